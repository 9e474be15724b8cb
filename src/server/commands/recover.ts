/**
 * `quorate recover`: the survivors go on after a majority of a cluster was lost for good.
 *
 * Owns: the flags, the order of the steps, what is printed. Leaves to others: the decision (`replica/recovery-plan.ts`), a survivor's disk
 * (`replica/survivor.ts`), asking who lives (`ask-members.ts`). Each directory is changed in three steps, each durable before the next: the
 * record of the whole recovery, the new cluster id, and at the source the entry. Cut short anywhere it is run again with the same words: a
 * directory that has the new id plans from its record, one that has not is as its report says.
 */
import { Command } from "commander";
import { membersOf } from "../../model/membership.js";
import { createNodeClock } from "../../node/clock.js";
import { nodeDisk } from "../../node/disk.js";
import { nodeHash } from "../../node/hash.js";
import {
  planRecovery,
  refusalOfAnswers,
  type Answering,
  type Recovery,
  type RecoveryWish,
  type Survivor,
} from "../../replica/recovery-plan.js";
import { holdSurvivor, type HeldSurvivor } from "../../replica/survivor.js";
import { askMember } from "../ask-members.js";
import { CommandFailure, exitCodes, usageFailure } from "../exit-codes.js";
import {
  describeRecovery,
  describeSurvivor,
  readReports,
  recoveryToJson,
  survivorFromJson,
  survivorToJson,
} from "../recovery-report.js";
import { placeOf } from "../settings.js";
import type { Exit } from "./exit.js";

interface Flags {
  readonly data: readonly string[];
  readonly report: readonly string[] | undefined;
  readonly clusterId: string | undefined;
  readonly member: readonly string[] | undefined;
  readonly acceptLoss: true | undefined;
  readonly json: true | undefined;
}

export function recoverCommand(exit: Exit): Command {
  const gather = (text: string, before: readonly string[] | undefined): readonly string[] => [...(before ?? []), text];
  const command = new Command("recover")
    .summary("let the survivors go on after a majority was lost for good")
    .description(
      "Works on the data directories of stopped replicas. Alone it shows what they hold; with --cluster-id, what would be kept and what may be lost; with --accept-loss it does it. Run it for every survivor before any is started.",
    )
    .requiredOption("--data <dir>", "a survivor's data directory; may be given again", gather)
    .option("--report <file>", "what recover --json printed on another survivor; may be given again", gather)
    .option("--cluster-id <id>", "of the cluster that goes on: another one than the old")
    .option("--member <id=peer,client>", "where a member is now, if not where the directories say", gather)
    .option("--accept-loss", "do it, and lose what is printed under may be gone")
    .option("--json", "print JSON, one object a line");
  return command.action(async () => {
    await recover(command.opts<Flags>());
    exit(exitCodes.ok);
  });
}

async function recover(flags: Flags): Promise<void> {
  const { clusterId, acceptLoss, report = [] } = flags;
  if (clusterId === undefined && (acceptLoss === true || report.length > 0)) {
    throw usageFailure(
      "Cannot recover without --cluster-id: the cluster that goes on needs another id than the old one",
    );
  }
  const held: HeldSurvivor[] = [];
  try {
    for (const path of flags.data) held.push(hold(path));
    if (clusterId === undefined) show(flags, held);
    else await goOn(flags, clusterId, held);
  } finally {
    for (const each of held) await new Promise<void>((resolve) => each.close(resolve));
  }
}

function hold(path: string): HeldSurvivor {
  const held = holdSurvivor({ disk: nodeDisk, hash: nodeHash, clock: createNodeClock() }, path);
  if (held.kind === "refused") throw new CommandFailure(exitCodes.dataRefused, held.message, {});
  return held;
}

function show({ json }: Flags, held: readonly HeldSurvivor[]): void {
  for (const { survivor } of held) {
    process.stdout.write(json === true ? `${survivorToJson(survivor)}\n` : describeSurvivor(survivor));
  }
}

async function goOn(flags: Flags, to: string, held: readonly HeldSurvivor[]): Promise<void> {
  const survivors = survivorsOf(flags, to, held);
  const wish: RecoveryWish = { survivors, to, places: (flags.member ?? []).map(placeOf) };
  const recovery = planRecovery(wish);
  if (recovery.kind === "refused") throw new CommandFailure(exitCodes.failure, recovery.message, {});
  const refusal = refusalOfAnswers(wish, await whoAnswers(wish, held));
  if (refusal !== undefined) throw new CommandFailure(exitCodes.failure, refusal.message, {});
  const isDone = flags.acceptLoss === true;
  if (isDone) for (const each of held) await change(each, recovery, survivors);
  const text = flags.json === true ? `${recoveryToJson(recovery, isDone)}\n` : describeRecovery(recovery, isDone);
  process.stdout.write(text);
  if (!isDone) process.stderr.write("Nothing was changed. With --accept-loss it is done.\n");
}

/** As they were before the recovery began, in one order whatever the order of the flags. */
function survivorsOf({ report = [] }: Flags, to: string, held: readonly HeldSurvivor[]): readonly Survivor[] {
  const found = new Map<string, Survivor>();
  const take = (survivor: Survivor, from: string): void => {
    const before = found.get(survivor.id);
    if (before !== undefined && survivorToJson(before) !== survivorToJson(survivor)) {
      const fact = `${from} says something else of ${survivor.id} than another report or directory: it was started since, or given twice`;
      throw new CommandFailure(exitCodes.failure, `Cannot recover cluster ${survivor.clusterId}: ${fact}`, {});
    }
    found.set(survivor.id, survivor);
  };
  const recorded = held.flatMap(({ survivor, directory }) => (survivor.clusterId === to ? [recordOf(directory)] : []));
  for (const [at, survivors] of recorded.entries()) {
    for (const survivor of survivors) take(survivor, `the record of recovery ${at + 1}`);
  }
  const names = new Set(found.keys());
  for (const { survivor } of held) if (survivor.clusterId !== to) take(survivor, "its directory");
  for (const path of report) for (const survivor of readReports(path)) take(survivor, path);
  const added = [...found.keys()].filter((id) => names.size > 0 && !names.has(id));
  if (added.length > 0) {
    const fact = `cluster ${to} was begun without ${added.join(", ")}: add it as a new member instead`;
    throw new CommandFailure(exitCodes.failure, `Cannot recover: ${fact}`, {});
  }
  return [...found.values()].sort((left, right) => (left.id < right.id ? -1 : 1));
}

function recordOf({ record, identity }: HeldSurvivor["directory"]): readonly Survivor[] {
  if (record === undefined) {
    const fact = `replica ${identity.replicaId} belongs to cluster ${identity.clusterId} already, and not by a recovery`;
    throw new CommandFailure(exitCodes.failure, `Cannot recover: ${fact}`, {});
  }
  return record.text.split("\n").map((line) => survivorFromJson(line, `the recovery record of ${identity.replicaId}`));
}

async function whoAnswers(
  { survivors, to, places }: RecoveryWish,
  held: readonly HeldSurvivor[],
): Promise<Answering[]> {
  const known = survivors.flatMap(({ configuration }) => membersOf(configuration.membership));
  // Held by this very process, so nobody runs on it.
  const others = known.filter(({ id }) => !held.some(({ survivor }) => survivor.id === id));
  const asked = others.map((member) => places.find(({ id }) => id === member.id) ?? member);
  const unique = asked.filter(
    (member, at) => asked.findIndex((other) => other.id === member.id && other.client === member.client) === at,
  );
  const answers = await Promise.all(unique.map(async (member) => ({ member, answer: await askMember(member) })));
  return answers.flatMap(({ member, answer }) => {
    if (answer === undefined || answer.clusterId === to) return [];
    return [{ id: answer.id ?? member.id, address: answer.address }];
  });
}

function change(held: HeldSurvivor, recovery: Recovery, survivors: readonly Survivor[]): Promise<void> {
  return new Promise((resolve, reject) => {
    held.goOn(recovery, survivors.map(survivorToJson).join("\n"), (failure) => {
      if (failure === undefined) resolve();
      else reject(new CommandFailure(exitCodes.broken, failure.message, {}));
    });
  });
}
