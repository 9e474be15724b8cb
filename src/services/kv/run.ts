/**
 * Running Redis commands one after another against the state.
 *
 * Owns: refusing what is unknown or has the wrong number of arguments, where a long request stops, and transactions. Called by the
 * machine's command `redis` and query `redisRead`. Commands of one request are separate: an error of one says nothing about the others.
 */
import type { Argv } from "./commands/command.js";
import { findCommand, hasArity } from "./commands/table.js";
import { isUnchanged } from "./keyspace.js";
import { kvLimits } from "./limits.js";
import { unknownCommand, weightOf, wrongArity, type Reply } from "./reply.js";
import type { Reading, Writing } from "./state.js";

/** A key and its version when it was watched. */
export type Watched = readonly [key: string, version: number];

/** One reply for each command executed; commands behind them were not, since replies already weigh what a request may carry. */
export function runAll(writing: Writing, commands: readonly Argv[]): readonly Reply[] {
  return untilHeavy(commands, (argv) => runOne(writing, argv));
}

/** As `runAll`, for commands that only read. */
export function readAll(reading: Reading, commands: readonly Argv[]): readonly Reply[] {
  return untilHeavy(commands, (argv) => readOne(reading, argv));
}

/**
 * MULTI … EXEC: all commands, or `undefined` and none if a watched key has changed. As in Redis an error of one command does not undo
 * the others. @throws if the replies are more than a request can carry, which undoes all of them.
 */
export function runTransaction(
  writing: Writing,
  commands: readonly Argv[],
  watched: readonly Watched[],
): readonly Reply[] | undefined {
  if (!watched.every(([key, version]) => isUnchanged(writing, key, version))) return undefined;
  const replies = commands.map((argv) => runOne(writing, argv));
  if (weightOf(replies) > kvLimits.commandReplyWeightMax + kvLimits.replyWeightMax) {
    throw new Error(tooHeavy("the replies of the transaction"));
  }
  return replies;
}

function untilHeavy(commands: readonly Argv[], run: (argv: Argv) => Reply): readonly Reply[] {
  const replies: Reply[] = [];
  let weight = 0;
  for (const argv of commands) {
    if (weight > kvLimits.replyWeightMax) break;
    const reply = run(argv);
    weight += weightOf(reply);
    replies.push(reply);
  }
  return replies;
}

function runOne(writing: Writing, argv: Argv): Reply {
  const row = findCommand(argv[0] ?? "");
  if (row === undefined) return unknownCommand(argv);
  if (!hasArity(row, argv.length)) return wrongArity(row.name);
  if (row.access === "read") return bounded(row.run(writing, argv));
  const reply = row.run(writing, argv);
  if (row.bulky !== "never" && weightOf(reply) > kvLimits.commandReplyWeightMax) {
    throw new Error(tooHeavy(`the reply of ${row.name}`));
  }
  return reply;
}

function readOne(reading: Reading, argv: Argv): Reply {
  const row = findCommand(argv[0] ?? "");
  if (row === undefined) return unknownCommand(argv);
  if (!hasArity(row, argv.length)) return wrongArity(row.name);
  if (row.access !== "read") return { error: `ERR '${row.name}' is not a command that only reads` };
  return bounded(row.run(reading, argv));
}

function bounded(reply: Reply): Reply {
  return weightOf(reply) > kvLimits.commandReplyWeightMax ? { error: `ERR ${tooHeavy("the reply")}` } : reply;
}

function tooHeavy(what: string): string {
  return `${what} would be larger than ${kvLimits.commandReplyWeightMax} bytes; ask for a part of it`;
}
