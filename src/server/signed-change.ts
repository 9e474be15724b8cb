/**
 * Changing the members under Byzantine faults: what the administrator signs, and who is asked what there is to change.
 *
 * Owns: that no replica alone is believed who the members are, the next members, waiting for their epoch. Leaves to others: giving the
 * instruction (`instruct.ts`), the bytes (`wire/successor-codec.ts`). Called by `quorate member`.
 */
import { z } from "zod";
import { signedBytesOfChange } from "../authentication/domain.js";
import { hexOf } from "../base/bytes.js";
import { anyIncarnation, liarsMaxOf, type Member } from "../model/membership.js";
import { keyNameOf, keyOfName } from "../wire/key-name.js";
import { encodeReconfiguration, encodeReconfigurationBody, successorOf } from "../wire/successor-codec.js";
import { answerMsMax } from "./endpoints.js";
import { CommandFailure, exitCodes, usageFailure } from "./exit-codes.js";
import { instruct } from "./instruct.js";
import { readKeyFile } from "./key-file.js";

const viewSchema = z.object({
  clusterId: z.string(),
  epoch: z.number(),
  administrator: z.string().optional(),
  members: z.array(
    z.object({ id: z.string(), peer: z.string(), client: z.string(), incarnation: z.number(), key: z.string() }),
  ),
});

type View = z.infer<typeof viewSchema>;
export type KeyedMember = View["members"][number];

/** `next` makes the members after the change of those before it. Ends when f + 1 replicas say that their epoch has begun. */
export async function changeSigned(
  endpoints: readonly string[],
  keyFile: string | undefined,
  waitSeconds: number,
  next: (members: readonly KeyedMember[]) => readonly KeyedMember[],
): Promise<void> {
  if (keyFile === undefined) {
    throw usageFailure(
      "Cannot change the members without --administrator-key FILE: under Byzantine faults its owner signs every change",
    );
  }
  const signer = readKeyFile(keyFile);
  const view = await agreedView(endpoints);
  const { clusterId, epoch, administrator, members } = view;
  const written = keyNameOf(signer.publicKey);
  if (administrator !== written) {
    const fact = administrator === undefined ? "the replicas have no administrator" : `theirs is ${administrator}`;
    throw new CommandFailure(
      exitCodes.failure,
      `Cannot sign with ${keyFile}: its public key is ${written}, and ${fact}`,
      {},
    );
  }
  const body = encodeReconfigurationBody({ epoch, successor: successorOfMembers(next(members)) });
  const signed = encodeReconfiguration(signer.sign(signedBytesOfChange(clusterId, body)), body);
  await instruct(endpoints, "/v1/members/reconfigure", { signed: hexOf(signed) });
  process.stderr.write(`decided; the members change at a checkpoint\n`);
  await untilEpoch(endpoints, epoch + 1, waitSeconds);
}

/** The status says so: the model of faults is that in which replicas sign. */
export async function isByzantine(endpoints: readonly string[]): Promise<boolean> {
  const statuses = await Promise.all(endpoints.map(async (endpoint) => statusOf(endpoint)));
  return statuses.some((status) => z.looseObject({ epoch: z.number() }).safeParse(status).success);
}

function successorOfMembers(members: readonly KeyedMember[]): NonNullable<ReturnType<typeof successorOf>> {
  const keyed = members.map(({ key, ...member }): Member => ({ ...member, role: "voter", key: keyOfName(key) }));
  const successor = successorOf({ members: keyed.sort((one, other) => (one.id < other.id ? -1 : 1)) });
  if (successor !== undefined) return successor;
  throw usageFailure("Cannot sign these members: each has a key of its own, as quorate keygen prints it");
}

/** Of f + 1 replicas that say the same one at least is correct. One alone could put its own keys in the place of others. */
async function agreedView(endpoints: readonly string[]): Promise<View> {
  const views = await Promise.all(
    endpoints.map(async (endpoint) => viewSchema.safeParse(await statusOf(endpoint)).data),
  );
  const said = views.map((view) => view && JSON.stringify(sorted(view)));
  for (const [at, view] of views.entries()) {
    if (view === undefined) continue;
    const equal = said.filter((each) => each === said[at]).length;
    if (equal > liarsMaxOf(view.members.length)) return view;
  }
  const count = views.filter((view) => view !== undefined).length;
  throw new CommandFailure(
    exitCodes.failure,
    `Cannot tell who the members are: of ${endpoints.length} replicas ${count} answered, and not enough of them say the same. With f that may lie it takes f + 1; give more --endpoints, or ask again`,
    {},
  );
}

function sorted({ members, ...view }: View): View {
  return { ...view, members: [...members].sort((one, other) => (one.id < other.id ? -1 : 1)) };
}

const lookMs = 250;

async function untilEpoch(endpoints: readonly string[], epoch: number, seconds: number): Promise<void> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const views = await Promise.all(
      endpoints.map(async (endpoint) => viewSchema.safeParse(await statusOf(endpoint)).data),
    );
    const reached = views.filter((view) => (view?.epoch ?? -1) >= epoch);
    const [first] = reached;
    if (first !== undefined && reached.length > liarsMaxOf(first.members.length)) return;
    if (performance.now() > end) {
      throw new CommandFailure(
        exitCodes.failure,
        `It is decided, and epoch ${epoch} has not begun yet at enough replicas; quorate member list tells`,
        {},
      );
    }
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
}

/** `undefined` for one that does not answer. */
async function statusOf(endpoint: string): Promise<unknown> {
  try {
    const response = await fetch(`http://${endpoint}/v1/status`, { signal: AbortSignal.timeout(answerMsMax) });
    return await response.json();
  } catch {
    return undefined;
  }
}

/** What is added, or takes the place of one that is there, begins with an empty directory. */
export function newcomer(member: Omit<KeyedMember, "incarnation">): KeyedMember {
  return { ...member, incarnation: anyIncarnation };
}
