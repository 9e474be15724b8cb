/**
 * Clients that want to hear what this replica answers to a request, whoever they have sent it to: each asks f + 1 replicas before it believes an
 * answer (`client/votes.ts`).
 *
 * Owns: who waits for which request, and what each is told: a digest. Leaves to others: the requests (`requests.ts`). Bounded for each
 * connection; what is not taken is asked for again.
 */
import type { Executor } from "../execution/executor.js";
import type { LogIndex, ReplicaId } from "../model/ids.js";
import { voterSetsOf } from "../model/membership.js";
import { keyText, type ReplicaMessage, type Reply, type RequestKey } from "../model/request.js";
import type { Hash } from "../ports/hash.js";
import { voteDigest } from "../wire/client-codec.js";

export interface ConfirmationsParts {
  readonly self: ReplicaId;
  readonly executor: Executor;
  readonly hash: Hash;
  readonly answer: (connection: number, message: ReplicaMessage) => void;
}

/** Of one connection. */
const waitingMax = 4_096;

export class Confirmations {
  readonly #parts: ConfirmationsParts;
  readonly #waiting = new Map<string, Set<number>>();
  readonly #byConnection = new Map<number, Set<string>>();

  constructor(parts: ConfirmationsParts) {
    this.#parts = parts;
  }

  /** Told at once if it is kept, else when it is executed. */
  add(connection: number, key: RequestKey): void {
    const reply = this.#kept(key);
    if (reply !== undefined) return this.#tell(connection, key, { reply, index: this.#parts.executor.executedIndex });
    const text = keyText(key);
    const own = this.#byConnection.get(connection) ?? new Set();
    if (own.size >= waitingMax) return;
    this.#byConnection.set(connection, own.add(text));
    this.#waiting.set(text, (this.#waiting.get(text) ?? new Set<number>()).add(connection));
  }

  executed(index: LogIndex, key: RequestKey, reply: Reply): void {
    if (this.#waiting.size === 0) return;
    const text = keyText(key);
    const connections = this.#waiting.get(text);
    if (connections === undefined) return;
    this.#waiting.delete(text);
    for (const connection of connections) {
      this.#byConnection.get(connection)?.delete(text);
      this.#tell(connection, key, { reply, index });
    }
  }

  disconnected(connection: number): void {
    for (const text of this.#byConnection.get(connection) ?? []) {
      const connections = this.#waiting.get(text);
      connections?.delete(connection);
      if (connections?.size === 0) this.#waiting.delete(text);
    }
    this.#byConnection.delete(connection);
  }

  /** What is executed here counts for nothing. */
  clear(): void {
    this.#waiting.clear();
    this.#byConnection.clear();
  }

  #kept(key: RequestKey): Reply | undefined {
    const { sessions } = this.#parts.executor;
    if (key.kind === "command") return sessions.storedReply(key.session, key.number);
    const session = key.kind === "open" ? sessions.openedBy("", key.nonce) : undefined;
    return session === undefined ? undefined : { status: "opened", session };
  }

  #tell(
    connection: number,
    key: RequestKey,
    { reply, index }: { readonly reply: Reply; readonly index: LogIndex },
  ): void {
    const { self, executor, hash, answer } = this.#parts;
    const voters = Math.max(...voterSetsOf(executor.configuration.membership).map((set) => set.length));
    answer(connection, { kind: "vote", replica: self, voters, key, index, digest: voteDigest(hash, key, reply) });
  }
}
