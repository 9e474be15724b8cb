/**
 * Clients that want to hear what this replica answers to a request, whoever they have sent it to: each asks f + 1 replicas before it believes an
 * answer (`client/votes.ts`).
 *
 * Owns: who waits for which request, or follows which session, and what each is told: digests. Leaves to others: the requests (`requests.ts`).
 * Bounded for each connection; what is not taken is asked for again.
 */
import type { Executor } from "../execution/executor.js";
import type { LogIndex, ReplicaId, RequestNumber, SessionId } from "../model/ids.js";
import { voterSetsOf } from "../model/membership.js";
import { keyText, type ReplicaMessage, type Reply, type RequestKey, type SaidOfCommand } from "../model/request.js";
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
  readonly #followed = new Map<number, SessionId>();
  readonly #followers = new Map<SessionId, Set<number>>();
  /** Of sessions that are followed, in this turn, and not told yet: of one entry each. */
  readonly #executed = new Map<SessionId, { readonly index: LogIndex; readonly said: SaidOfCommand[] }>();

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

  /** From now on it is told of every command of this session, and of no other. */
  follow(connection: number, session: SessionId): void {
    this.#unfollow(connection);
    this.#followed.set(connection, session);
    this.#followers.set(session, (this.#followers.get(session) ?? new Set<number>()).add(connection));
    this.#tellOf(session, this.#parts.executor.executedIndex, [], [connection]);
  }

  executed(index: LogIndex, key: RequestKey, reply: Reply): void {
    if (key.kind === "command" && this.#followers.has(key.session)) this.#note(index, key.session, key.number, reply);
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

  /** The end of a turn: what was executed in it is told. If this replica is set aside it counts for nothing. */
  tell(isServing: boolean): void {
    if (this.#executed.size === 0) return;
    if (isServing) for (const [session, { index, said }] of this.#executed) this.#tellOf(session, index, said);
    this.#executed.clear();
  }

  disconnected(connection: number): void {
    this.#unfollow(connection);
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

  get #voters(): number {
    const { membership } = this.#parts.executor.configuration;
    return Math.max(...voterSetsOf(membership).map((set) => set.length));
  }

  #note(index: LogIndex, session: SessionId, number: RequestNumber, reply: Reply): void {
    const digest = voteDigest(this.#parts.hash, { kind: "command", session, number }, reply);
    const noted = this.#executed.get(session);
    if (noted?.index === index) return void noted.said.push({ number, digest });
    if (noted !== undefined) this.#tellOf(session, noted.index, noted.said);
    this.#executed.set(session, { index, said: [{ number, digest }] });
  }

  #tellOf(
    session: SessionId,
    index: LogIndex,
    said: readonly SaidOfCommand[],
    to: Iterable<number> = this.#followers.get(session) ?? [],
  ): void {
    const { self, answer } = this.#parts;
    for (const connection of to)
      answer(connection, { kind: "votes", replica: self, voters: this.#voters, session, index, said });
  }

  #unfollow(connection: number): void {
    const session = this.#followed.get(connection);
    if (session === undefined) return;
    this.#followed.delete(connection);
    const followers = this.#followers.get(session);
    followers?.delete(connection);
    if (followers?.size === 0) this.#followers.delete(session);
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
    const { self, hash, answer } = this.#parts;
    const digest = voteDigest(hash, key, reply);
    answer(connection, { kind: "vote", replica: self, voters: this.#voters, key, index, digest });
  }
}
