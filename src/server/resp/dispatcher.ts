/**
 * Between the connections and the replicated service: makes few requests of many commands.
 *
 * Owns: packing the runs of a turn into requests, and handing replies back. Leaves to others: the order within one connection
 * (`connection.ts`), sessions and retries (the `Door`). Called by connections within a turn, and by the listener at its end.
 *
 * Three kinds of runs, because a request stops early once its replies weigh too much, and what it left undone must be sent again before
 * anything later of that connection:
 *
 *     plain   ordered, small replies: never stops early, so runs of many connections share a request and a connection may have several out
 *     bulky   ordered, large replies: a request for each run, and the connection waits for it
 *     read    no effects: runs of many connections share a query if they are of one level, and each connection waits for its own
 *
 * Invariant RD1: requests leave in the order plain, bulky; so a bulky run never overtakes a plain one of its connection.
 */
import type { Door } from "../../api/door.js";
import { requestLimits } from "../../model/request-limits.js";
import type { ReadLevel } from "../../model/request.js";
import type { Reply } from "../../services/kv/redis.js";
import { encodeValue } from "../../wire/canonical.js";
import { linearizable } from "./client-state.js";
import type { RespLimits } from "./limits.js";
import { settleCommand, settleQuery, type Settled } from "./outcomes.js";
import type { Argv } from "./parser.js";
import type { Slot } from "./slot.js";

/** Consecutive commands of one connection. */
export interface Run {
  readonly commands: Argv[];
  /** One for each command. */
  readonly slots: Slot[];
  /** Characters in the arguments, and an allowance for each. */
  bytes: number;
  /** How fresh the replies must be, if there are only reads in it. */
  readonly read: ReadLevel;
  /** Every slot is filled. */
  readonly done: () => void;
}

/** What EXEC sends. */
export interface Transaction {
  readonly commands: readonly Argv[];
  readonly watch: readonly (readonly [string, number])[];
  readonly done: (settled: Settled) => void;
}

/** Bytes of a request that are not its input. */
const requestAllowance = 1024;

export class Dispatcher {
  readonly #door: Door;
  readonly #limits: Pick<RespLimits, "packCountMax" | "packBytesMax">;
  #plain: Run[] = [];
  #reads: Run[] = [];
  #bulky: (() => void)[] = [];

  constructor(door: Door, limits: Pick<RespLimits, "packCountMax" | "packBytesMax">) {
    this.#door = door;
    this.#limits = limits;
  }

  plain(run: Run): void {
    this.#plain.push(run);
  }

  bulky(run: Run): void {
    this.#bulky.push(() => this.#sendOrdered([run]));
  }

  read(run: Run): void {
    this.#reads.push(run);
  }

  transaction(transaction: Transaction): void {
    this.#bulky.push(() => this.#sendTransaction(transaction));
  }

  /** Sends what the turn has gathered. */
  send(): void {
    for (const pack of this.#packsOf(this.#plain)) this.#sendOrdered(pack);
    for (const send of this.#bulky) send();
    for (const pack of this.#packsOf(this.#reads)) this.#sendReads(pack);
    this.#plain = [];
    this.#bulky = [];
    this.#reads = [];
  }

  /** Of one level each. A run is never divided; its connection has kept it within the limits already. */
  #packsOf(runs: readonly Run[]): readonly (readonly Run[])[] {
    const packs: Run[][] = [];
    let pack: Run[] = [];
    let count = 0;
    let bytes = 0;
    for (const run of runs) {
      const isFull =
        !isSameLevel(pack[0]?.read, run.read) ||
        count + run.commands.length > this.#limits.packCountMax ||
        bytes + run.bytes > this.#limits.packBytesMax;
      if (isFull && pack.length > 0) {
        packs.push(pack);
        pack = [];
        count = 0;
        bytes = 0;
      }
      pack.push(run);
      count += run.commands.length;
      bytes += run.bytes;
    }
    if (pack.length > 0) packs.push(pack);
    return packs;
  }

  #sendOrdered(pack: readonly Run[]): void {
    const input = encodeValue({ commands: commandsOf(pack) });
    const tooLarge = tooLargeText(input);
    if (tooLarge !== undefined) return failAll(pack, tooLarge);
    void this.#door.command("redis", input, undefined).then(
      (outcome) => this.#onOrdered(pack, settleCommand(outcome)),
      (cause: unknown) => failAll(pack, brokenText(cause)),
    );
  }

  #onOrdered(pack: readonly Run[], settled: Settled): void {
    const rest = fill(pack, settled);
    // Only a bulky run stops early, and it is alone in its pack: its connection waits, so nothing is overtaken.
    if (rest.length > 0) this.#sendOrdered(rest);
  }

  #sendReads(pack: readonly Run[]): void {
    const input = encodeValue(commandsOf(pack));
    const tooLarge = tooLargeText(input);
    if (tooLarge !== undefined) return failAll(pack, tooLarge);
    const read = pack[0]?.read ?? linearizable;
    void this.#door.query("redisRead", input, read).then(
      (answer) => {
        const rest = fill(pack, settleQuery(answer));
        if (rest.length > 0) this.#sendReads(rest);
      },
      (cause: unknown) => failAll(pack, brokenText(cause)),
    );
  }

  #sendTransaction({ commands, watch, done }: Transaction): void {
    const input = encodeValue({ commands, watch });
    const tooLarge = tooLargeText(input);
    if (tooLarge !== undefined) return done({ kind: "error", text: tooLarge });
    void this.#door.command("redis", input, undefined).then(
      (outcome) => done(settleCommand(outcome)),
      (cause: unknown) => done({ kind: "error", text: brokenText(cause) }),
    );
  }
}

/** Levels with a number are seldom equal, and then it is no loss. */
function isSameLevel(one: ReadLevel | undefined, other: ReadLevel): boolean {
  return one === other || (one?.kind === other.kind && one.kind !== "atLeast" && one.kind !== "maxStaleness");
}

function commandsOf(pack: readonly Run[]): readonly Argv[] {
  const [first] = pack;
  if (pack.length === 1 && first !== undefined) return first.commands;
  return pack.flatMap((run) => run.commands);
}

/** Fills slots in order; answers what was left undone, as runs of their own. */
function fill(pack: readonly Run[], settled: Settled): readonly Run[] {
  if (settled.kind === "error") {
    failAll(pack, settled.text);
    return [];
  }
  const replies: readonly Reply[] = settled.replies ?? [];
  if (replies.length === 0) {
    failAll(pack, "ERR the machine of this replica does not answer Redis commands");
    return [];
  }
  const rest: Run[] = [];
  let next = 0;
  for (const run of pack) {
    const first = next;
    for (const slot of run.slots) {
      const reply = replies[next];
      if (reply === undefined) break;
      slot.take(reply);
      next += 1;
    }
    const filled = next - first;
    if (filled === run.slots.length) run.done();
    else rest.push({ ...run, commands: run.commands.slice(filled), slots: run.slots.slice(filled) });
  }
  return rest;
}

function failAll(pack: readonly Run[], text: string): void {
  for (const run of pack) {
    for (const slot of run.slots) slot.fail(text);
    run.done();
  }
}

function tooLargeText(input: Uint8Array): string | undefined {
  const limit = requestLimits.requestBytesMax - requestAllowance;
  return input.length > limit
    ? `ERR not executed: the request takes ${input.length} bytes and the limit is ${limit}`
    : undefined;
}

/** A door answers refusals as values; a rejected promise is our own fault, and nobody knows what became of the request. */
function brokenText(cause: unknown): string {
  return `UNKNOWN the command may or may not have been executed; ${cause instanceof Error ? cause.message : String(cause)}`;
}
