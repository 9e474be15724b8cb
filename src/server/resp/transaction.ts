/**
 * MULTI and WATCH of one connection.
 *
 * Owns: what is queued, what is watched, and the replies of EXEC put together. Leaves to others: the order in the connection
 * (`connection.ts`), running it (the machine, as one command, so nothing comes between).
 *
 * A watched key is remembered with the version that a query gave; EXEC carries the versions, and the machine compares. Nothing
 * about a watch is replicated, so a client that goes away leaves nothing behind.
 */
import { Buffer } from "node:buffer";
import type { Reply } from "../../services/kv/redis.js";
import type { RespLimits } from "./limits.js";
import type { LocalCommand } from "./local-commands.js";
import type { Argv } from "./parser.js";

/** `local` commands are answered by the door once the others have been executed. */
export interface Queued {
  readonly argv: Argv;
  readonly local: LocalCommand | undefined;
}

export const execAborted = "EXECABORT Transaction discarded because of previous errors.";

type TransactionLimits = Pick<RespLimits, "queuedCountMax" | "queuedBytesMax" | "watchedKeysMax">;

export class TransactionState {
  readonly #limits: TransactionLimits;
  /** `undefined` outside of MULTI. */
  #queued: Queued[] | undefined;
  #queuedBytes = 0;
  /** A command could not be queued: EXEC will refuse. */
  #broken = false;
  readonly #watched = new Map<string, number>();

  constructor(limits: TransactionLimits) {
    this.#limits = limits;
  }

  get isOpen(): boolean {
    return this.#queued !== undefined;
  }

  get isBroken(): boolean {
    return this.#broken;
  }

  get queued(): readonly Queued[] {
    return this.#queued ?? [];
  }

  get watched(): readonly (readonly [string, number])[] {
    return [...this.#watched];
  }

  open(): void {
    this.#queued = [];
    this.#queuedBytes = 0;
    this.#broken = false;
  }

  fail(): void {
    this.#broken = true;
  }

  /** Keeps nothing of a command beyond the limits; then the transaction fails. */
  queue({ argv, local }: Queued): "queued" | "full" {
    const queued = this.#queued ?? [];
    const bytes = argv.reduce((sum, argument) => sum + argument.length + 8, 0);
    if (queued.length >= this.#limits.queuedCountMax || this.#queuedBytes + bytes > this.#limits.queuedBytesMax) {
      this.#broken = true;
      return "full";
    }
    this.#queuedBytes += bytes;
    queued.push({ argv: argv.map(detached), local });
    return "queued";
  }

  /** EXEC, DISCARD and RESET end a transaction and forget every watch. */
  close(): void {
    this.#queued = undefined;
    this.#broken = false;
    this.#watched.clear();
  }

  unwatch(): void {
    this.#watched.clear();
  }

  /** Takes the versions that a query gave for `keys`. A key watched before keeps its older version. */
  watch(keys: Argv, versions: Reply): Reply {
    if (!isVersions(versions)) return versions;
    if (this.#watched.size + keys.length > this.#limits.watchedKeysMax) {
      return { error: `ERR Cannot watch more than ${this.#limits.watchedKeysMax} keys` };
    }
    keys.forEach((key, at) => {
      const version = versions[at];
      if (version !== undefined && !this.#watched.has(key)) this.#watched.set(detached(key), version);
    });
    return true;
  }
}

/** The machine's replies with those of local commands in their places. */
export function mergeReplies(
  queued: readonly Queued[],
  replies: readonly Reply[],
  runLocal: (local: LocalCommand, argv: Argv) => Reply,
): readonly Reply[] {
  let next = 0;
  return queued.map(({ argv, local }) => {
    if (local !== undefined) return runLocal(local, argv);
    next += 1;
    return replies[next - 1] ?? null;
  });
}

function isVersions(reply: Reply): reply is readonly number[] {
  return Array.isArray(reply) && reply.every((version) => typeof version === "number");
}

/** An argument is a slice of a received chunk and would keep the whole of it in memory for as long as it is held. */
function detached(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}
