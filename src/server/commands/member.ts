/**
 * `quorate member`: who takes part in a running cluster, and changing that.
 *
 * Owns: the six verbs, the table, waiting until new members vote. Leaves to others: giving the instruction (`instruct.ts`).
 */
import { Command } from "commander";
import { z } from "zod";
import { answerMsMax, endpointsOf, faultOf, withEndpoints } from "../endpoints.js";
import { CommandFailure, exitCodes, usageFailure } from "../exit-codes.js";
import { instruct } from "../instruct.js";
import { paintFor, renderTable } from "../paint.js";
import { openProgress } from "../progress.js";
import { keyedPlaceOf, placeOf } from "../settings.js";
import { changeSigned, isByzantine, newcomer, type KeyedMember } from "../signed-change.js";
import { keyOfName } from "../../wire/key-name.js";
import type { Exit } from "./exit.js";

const statusSchema = z.looseObject({
  id: z.string(),
  role: z.string(),
  lastIndex: z.number(),
  members: z.array(
    z.looseObject({
      id: z.string(),
      role: z.string(),
      peer: z.string(),
      client: z.string(),
      connected: z.boolean(),
      matchIndex: z.number().optional(),
    }),
  ),
  checkpoint: z.looseObject({
    fetching: z.looseObject({ bytes: z.number(), bytesDone: z.number() }).optional(),
  }),
});

type Status = z.infer<typeof statusSchema>;

const lookMs = 250;

export function memberCommand(exit: Exit): Command {
  const command = new Command("member").summary("list, add, promote, remove or replace replicas of a running cluster");
  const verb = (usage: string, summary: string, run: (made: Command, argument: string) => Promise<void>): Command => {
    const made = withEndpoints(command.command(usage)).summary(summary).description(summary);
    if (!usage.startsWith("list"))
      made.option("--administrator-key <file>", "under Byzantine faults: the private key that signs the change");
    return made.action(async (argument: unknown) => {
      await run(made, typeof argument === "string" ? argument : "");
      exit(exitCodes.ok);
    });
  };
  const withWait = (made: Command): Command =>
    made.option("--wait <seconds>", "how long to wait until it votes; it goes on by itself later", "60");
  const place = "<id=host:port,host:port>";

  verb("list", "show the members as the leader knows them", list);
  withWait(verb(`add ${place}`, "add a replica: its address for replicas, then for clients", add)).option(
    "--learner",
    "it receives the log and never votes, unless it is promoted",
  );
  verb("promote <id>", "make a voter of a learner that has nearly the whole log", (made, id) =>
    change(made, "promote", { id }),
  );
  verb("remove <id>", "remove a replica; a leader hands over first", (made, id) => change(made, "remove", { id }));
  const rotate = verb(
    "rotate-key <id=ed25519:…>",
    "under Byzantine faults: the members know a replica by another key",
    rotateKey,
  );
  rotate.option("--wait <seconds>", "how long to wait until they do", "60");
  withWait(
    verb("replace <id>", "the same id with a new, empty data directory; elsewhere: id=host:port,host:port", replace),
  );
  withWait(verb("change", "several of these at once: either all of it counts, or nothing", changeSeveral))
    .option(`--add ${place}`, "add a replica; may be given again", listed)
    .option(`--replace ${place}`, "a new, empty data directory for this id; may be given again", listed)
    .option("--promote <id>", "make a voter of a learner; may be given again", listed)
    .option("--remove <id>", "remove a replica; may be given again", listed);
  return command;
}

function listed(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

async function changeSeveral(command: Command): Promise<void> {
  const given = command.opts<Partial<Record<"add" | "replace" | "promote" | "remove", readonly string[]>>>();
  const [add, replace] = [given.add?.map(placeOf), given.replace?.map(placeOf)];
  const { promote, remove } = given;
  if ([add, replace, promote, remove].every((list) => list === undefined))
    throw usageFailure("Cannot change the members: give at least one of --add, --replace, --promote and --remove");
  await instruct(endpointsOf(command), "/v1/members/change", { add, replace, promote, remove });
  process.stdout.write("the members were changed\n");
  const joining = [...(add ?? []), ...(replace ?? [])];
  for (const { id, peer } of joining) process.stdout.write(`${id}: start it at ${peer} with --join\n`);
  for (const { id } of joining) await untilItVotes(command, id);
}

async function list(command: Command): Promise<void> {
  const status = await lookAtLeader(endpointsOf(command));
  const rows = status.members.map((member) => {
    const lag = member.matchIndex === undefined ? "-" : String(status.lastIndex - member.matchIndex);
    const role = member.id === status.id ? "leader" : member.role;
    const cells = [member.id, role, member.peer, member.client, member.connected ? "yes" : "no", lag];
    return cells.map((text) => ({ text }));
  });
  const header = ["", "role", "peer", "client", "connected", "lag"];
  process.stdout.write(`${renderTable(header, rows, paintFor(process.stdout.isTTY, process.env))}\n`);
}

type Next = Parameters<typeof changeSigned>[3];

function signed(command: Command, next: Next): Promise<void> {
  const { administratorKey, wait = "60" } = command.opts<{ administratorKey?: string; wait?: string }>();
  return changeSigned(endpointsOf(command), administratorKey, Number(wait), next);
}

/** Of a member that is there, or why not. */
function memberIn(members: readonly KeyedMember[], id: string): KeyedMember {
  const member = members.find((each) => each.id === id);
  if (member !== undefined) return member;
  const known = members.map((each) => each.id).join(", ");
  throw new CommandFailure(exitCodes.failure, `Cannot find ${id}: the members are ${known}`, {});
}

function withMember(members: readonly KeyedMember[], member: KeyedMember): readonly KeyedMember[] {
  return [...members.filter(({ id }) => id !== member.id), member];
}

async function rotateKey(command: Command, argument: string): Promise<void> {
  const [id = "", key = ""] = argument.split("=");
  if (keyOfName(key) === undefined)
    throw usageFailure(`Cannot use "${argument}": expected id=ed25519:…, as quorate keygen prints it`);
  await signed(command, (members) => withMember(members, { ...memberIn(members, id), key }));
  process.stdout.write(`${id} is known by ${key}\n`);
}

async function addSigned(command: Command, argument: string): Promise<void> {
  const place = keyedPlaceOf(argument);
  await signed(command, (members) => {
    if (members.some(({ id }) => id === place.id))
      throw new CommandFailure(exitCodes.failure, `Cannot add ${place.id}: it is a member already`, {});
    return withMember(members, newcomer(place));
  });
  process.stdout.write(`${place.id} is a member; start it there with --join if it does not run yet\n`);
}

async function replaceSigned(command: Command, argument: string): Promise<void> {
  const place = keyedPlaceOf(argument);
  await signed(command, (members) => {
    memberIn(members, place.id);
    return withMember(members, newcomer(place));
  });
  process.stdout.write(`${place.id} was replaced; start it with --join and an empty data directory\n`);
}

async function add(command: Command, argument: string): Promise<void> {
  if (await isByzantine(endpointsOf(command))) return addSigned(command, argument);
  const learner = command.opts<{ learner?: true }>().learner === true;
  const member = placeOf(argument);
  await instruct(endpointsOf(command), "/v1/members/add", { ...member, learner });
  process.stdout.write(`${member.id} is a member; start it there with --join if it does not run yet\n`);
  if (!learner) await untilItVotes(command, member.id);
}

async function replace(command: Command, argument: string): Promise<void> {
  if (await isByzantine(endpointsOf(command))) return replaceSigned(command, argument);
  const member = argument.includes("=") ? placeOf(argument) : await knownPlaceOf(command, argument);
  await instruct(endpointsOf(command), "/v1/members/replace", member);
  process.stdout.write(
    `${member.id} was replaced; start it at ${member.peer} with --join and an empty data directory\n`,
  );
  await untilItVotes(command, member.id);
}

/** Where it was so far. */
async function knownPlaceOf(command: Command, id: string): Promise<ReturnType<typeof placeOf>> {
  const { members } = await lookAtLeader(endpointsOf(command));
  const member = members.find((each) => each.id === id);
  if (member !== undefined) return { id, peer: member.peer, client: member.client };
  const known = members.map((each) => each.id).join(", ");
  throw new CommandFailure(exitCodes.failure, `Cannot replace ${id}: it is no member. The members are ${known}`, {});
}

async function change(command: Command, verb: "promote" | "remove", body: { readonly id: string }): Promise<void> {
  const { id: leaving } = body;
  if (verb === "remove" && (await isByzantine(endpointsOf(command))))
    await signed(command, (members) => members.filter((member) => member !== memberIn(members, leaving)));
  else await instruct(endpointsOf(command), `/v1/members/${verb}`, body);
  process.stdout.write(`${body.id} was ${verb}d\n`);
}

/** Shows how far it is: a bar at a terminal, elsewhere a line whenever that changes. */
async function untilItVotes(command: Command, id: string): Promise<void> {
  const seconds = Number(command.opts<{ wait: string }>().wait);
  if (!(seconds >= 0)) throw usageFailure(`Cannot wait "${command.opts<{ wait: string }>().wait}" seconds`);
  const end = performance.now() + seconds * 1000;
  const screen = openProgress(process.stderr);
  let told = "";
  for (;;) {
    const { text, share, votes } = joinedSoFar(await lookAtAll(endpointsOf(command)), id);
    if (votes || performance.now() > end) screen.end();
    if (votes) return void process.stdout.write(`${id} votes\n`);
    if (performance.now() > end) {
      const message = `${id} does not vote yet: it ${text}; it will once it has nearly all`;
      throw new CommandFailure(exitCodes.failure, message, {});
    }
    if (process.stderr.isTTY) screen.show(`${id} ${text}`, share);
    else if (text !== told) process.stderr.write(`${id} ${text}\n`);
    told = text;
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
}

interface Joined {
  readonly text: string;
  /** From 0 to 1. */
  readonly share: number;
  readonly votes: boolean;
}

/** By what the leader says of its log, and itself of the checkpoint that it fetches, if it is among those who are asked. */
export function joinedSoFar(statuses: readonly Status[], id: string): Joined {
  const { members, lastIndex } = leaderOf(statuses);
  const member = members.find((each) => each.id === id);
  const votes = member?.role === "voter";
  const fetching = statuses.find((status) => status.id === id)?.checkpoint.fetching;
  if (fetching !== undefined) {
    const { bytesDone, bytes } = fetching;
    return {
      text: `has ${mebibytes(bytesDone)} of ${mebibytes(bytes)} MiB of a checkpoint`,
      ...shareOf(bytesDone, bytes),
      votes,
    };
  }
  if (member?.connected !== true || member.matchIndex === undefined)
    return { text: "is not connected", share: 0, votes };
  return { text: `has ${member.matchIndex} of ${lastIndex} entries`, ...shareOf(member.matchIndex, lastIndex), votes };
}

function shareOf(done: number, all: number): { readonly share: number } {
  return { share: all > 0 ? Math.min(1, done / all) : 1 };
}

function mebibytes(bytes: number): string {
  return (bytes / 1_048_576).toFixed(1);
}

/** The status of the leader, or of any replica if none of these leads. */
async function lookAtLeader(endpoints: readonly string[]): Promise<Status> {
  return leaderOf(await lookAtAll(endpoints));
}

function leaderOf(statuses: readonly Status[]): Status {
  const [first] = statuses;
  if (first === undefined) throw new Error("somebody has answered");
  return statuses.find(({ role }) => role === "leader") ?? first;
}

/** Of those who answer: at least one. */
async function lookAtAll(endpoints: readonly string[]): Promise<readonly Status[]> {
  const faults: string[] = [];
  const look = async (endpoint: string): Promise<readonly Status[]> => {
    try {
      const response = await fetch(`http://${endpoint}/v1/status`, { signal: AbortSignal.timeout(answerMsMax) });
      return [statusSchema.parse(await response.json())];
    } catch (cause) {
      faults.push(`${endpoint}: ${cause instanceof z.ZodError ? "not a quorate replica" : faultOf(cause)}`);
      return [];
    }
  };
  const statuses = (await Promise.all(endpoints.map(look))).flat();
  if (statuses.length === 0)
    throw new CommandFailure(exitCodes.failure, `Cannot reach the cluster: ${faults.join("; ")}`, {});
  return statuses;
}
