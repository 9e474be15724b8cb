/**
 * `quorate member`: who takes part in a running cluster, and changing that.
 *
 * Owns: the five verbs, the table, waiting until a new member votes. Leaves to others: giving the instruction (`instruct.ts`).
 */
import { Command } from "commander";
import { z } from "zod";
import { answerMsMax, endpointsOf, faultOf, withEndpoints } from "../endpoints.js";
import { CommandFailure, exitCodes, usageFailure } from "../exit-codes.js";
import { instruct } from "../instruct.js";
import { paintFor, renderTable } from "../paint.js";
import { placeOf } from "../settings.js";
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
});

type Status = z.infer<typeof statusSchema>;

const lookMs = 250;

export function memberCommand(exit: Exit): Command {
  const command = new Command("member").summary("list, add, promote, remove or replace replicas of a running cluster");
  const verb = (usage: string, summary: string, run: (made: Command, argument: string) => Promise<void>): Command => {
    const made = withEndpoints(command.command(usage)).summary(summary).description(summary);
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
  withWait(
    verb("replace <id>", "the same id with a new, empty data directory; elsewhere: id=host:port,host:port", replace),
  );
  return command;
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

async function add(command: Command, argument: string): Promise<void> {
  const learner = command.opts<{ learner?: true }>().learner === true;
  const member = placeOf(argument);
  await instruct(endpointsOf(command), "/v1/members/add", { ...member, learner });
  process.stdout.write(`${member.id} is a member; start it there with --join if it does not run yet\n`);
  if (!learner) await untilItVotes(command, member.id);
}

async function replace(command: Command, argument: string): Promise<void> {
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
  await instruct(endpointsOf(command), `/v1/members/${verb}`, body);
  process.stdout.write(`${body.id} was ${verb}d\n`);
}

/** Tells how far it is whenever that changes. */
async function untilItVotes(command: Command, id: string): Promise<void> {
  const seconds = Number(command.opts<{ wait: string }>().wait);
  if (!(seconds >= 0)) throw usageFailure(`Cannot wait "${command.opts<{ wait: string }>().wait}" seconds`);
  const end = performance.now() + seconds * 1000;
  let told = "";
  for (;;) {
    const { members, lastIndex } = await lookAtLeader(endpointsOf(command));
    const member = members.find((each) => each.id === id);
    const isAway = member?.connected !== true || member.matchIndex === undefined;
    const progress = isAway ? "is not connected" : `has ${member.matchIndex} of ${lastIndex} entries`;
    if (member?.role === "voter") return void process.stdout.write(`${id} votes\n`);
    if (progress !== told) process.stderr.write(`${id} ${progress}\n`);
    told = progress;
    if (performance.now() > end) {
      throw new CommandFailure(
        exitCodes.failure,
        `${id} does not vote yet: it ${progress}; it will once it has nearly all`,
        {},
      );
    }
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
}

/** The status of the leader, or of any replica if none of these leads. */
async function lookAtLeader(endpoints: readonly string[]): Promise<Status> {
  const faults: string[] = [];
  let any: Status | undefined;
  for (const endpoint of endpoints) {
    try {
      const response = await fetch(`http://${endpoint}/v1/status`, { signal: AbortSignal.timeout(answerMsMax) });
      const status = statusSchema.parse(await response.json());
      if (status.role === "leader") return status;
      any ??= status;
    } catch (cause) {
      faults.push(`${endpoint}: ${cause instanceof z.ZodError ? "not a quorate replica" : faultOf(cause)}`);
    }
  }
  if (any !== undefined) return any;
  throw new CommandFailure(exitCodes.failure, `Cannot reach the cluster: ${faults.join("; ")}`, {});
}
