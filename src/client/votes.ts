/**
 * Votes on replies (`faults: "value"` and `"byzantine"`): an answer is believed once f + 1 replicas have the same, so that one which computes or remembers
 * wrongly misleads nobody.
 *
 * Owns: links of their own to all replicas, what each of them says of each request, and when that is enough. Leaves to others: asking for
 * the answer itself and what it means (`command-side.ts`), whom to ask for it (`routes.ts`). Called by `client-core.ts`, which sends nothing to
 * a caller that this has not let through.
 *
 * All replicas are asked for digests of what they answer: to all commands of the session by following it, and to a request that opens a session,
 * settles a command, goes out once more, or before a replica says that it follows, by itself. Each says so as soon as it has executed it, so
 * nothing waits longer than for the f + 1st replica.
 *
 * What holds: a reply goes on to its caller only if f + 1 replicas, told by address and by name, have said its digest, where f is of as
 * many voters as anybody speaks of: the user by the endpoints, or one of these replicas.
 */
import { equalBytes } from "../base/bytes.js";
import type { Random } from "../base/random.js";
import { liarsMaxOf } from "../model/membership.js";
import { maxIndex, minIndex, noIndex, type LogIndex, type SessionId } from "../model/ids.js";
import { keyText, type Reply, type ReplicaMessage, type RequestKey } from "../model/request.js";
import type { Hash } from "../ports/hash.js";
import { voteDigest } from "../wire/client-codec.js";
import type { ClientLimits } from "./limits.js";
import type { ClientLinks } from "./links.js";
import { backOffDelay } from "./pace.js";

export interface VotesParts {
  /** Used by nobody else. */
  readonly links: ClientLinks;
  /** Of all replicas. */
  readonly endpoints: readonly string[];
  readonly hash: Pick<Hash, "sha256">;
  /** `byzantine`: replicas may lie, also of how many there are, so f is of as many as there are endpoints, and is fewer than a third. */
  readonly faults?: "value" | "byzantine";
}

type Vote = Extract<ReplicaMessage, { readonly kind: "vote" }>;
type SessionVotes = Extract<ReplicaMessage, { readonly kind: "votes" }>;

export interface Voted {
  readonly key: RequestKey;
  readonly reply: Reply;
  /** The newest that any of those who agree has; the oldest if they may lie. */
  readonly index: LogIndex;
}

/** `outvoted`: f + 1 replicas have something else than the one that answered. */
export type VoteOutcome = Voted | "waiting" | "outvoted";

interface Voter {
  readonly address: string;
  state: "closed" | "opening" | "ready";
  /** When it is opened, or given up. */
  dueAt: number;
  failures: number;
  /** It was asked to follow this session. */
  asked: SessionId | undefined;
  /** It has said that it follows this one: it will tell of each command that is asked from then on. */
  follows: SessionId | undefined;
  /** How often it has said something else than what was accepted. */
  dissents: number;
}

interface Ballot {
  readonly key: RequestKey;
  candidate: { readonly reply: Reply; readonly index: LogIndex; readonly digest: Uint8Array } | undefined;
  /** One may say several things of a request that is executed more than once; the same once. */
  readonly said: Said[];
}

interface Said {
  readonly address: string;
  readonly replica: string;
  readonly voters: number;
  readonly index: LogIndex;
  readonly digest: Uint8Array;
}

/** More than can be in flight; the oldest is nobody's any more. */
const ballotsMax = 4_096;
/** By one replica of one request: nobody correct says so much. */
const saidMax = 16;

export class Votes {
  readonly #parts: VotesParts;
  readonly #limits: ClientLimits;
  readonly #random: Random;
  readonly #voters: readonly Voter[];
  readonly #ballots = new Map<string, Ballot>();
  /** Of the newest command. */
  #session: SessionId | undefined;
  #outvoted = 0;

  constructor(parts: VotesParts, limits: ClientLimits, random: Random) {
    this.#parts = parts;
    this.#limits = limits;
    this.#random = random;
    this.#voters = [...new Set(parts.endpoints)].map((address) => ({
      address,
      state: "closed",
      dueAt: -Infinity,
      failures: 0,
      asked: undefined,
      follows: undefined,
      dissents: 0,
    }));
  }

  /** How often an answer was not what f + 1 have, and who has said something else than what was accepted how often. */
  get statistics(): VoteStatistics {
    const dissents = this.#voters.filter((voter) => voter.dissents > 0).map((voter) => [voter.address, voter.dissents]);
    return { outvoted: this.#outvoted, dissents: Object.fromEntries(dissents) as Record<string, number> };
  }

  /** Opens what may be opened, and gives up what does not open. */
  tick(now: number): void {
    for (const voter of this.#voters) {
      if (voter.state === "ready" || now < voter.dueAt) continue;
      if (voter.state === "opening") {
        this.#parts.links.close(voter.address);
        this.#failed(voter, now);
        continue;
      }
      voter.state = "opening";
      voter.dueAt = now + this.#limits.connectMs;
      this.#parts.links.open(voter.address);
    }
  }

  wakeAt(): number {
    return Math.min(...this.#voters.map(({ state, dueAt }) => (state === "ready" ? Infinity : dueAt)));
  }

  /** It may have executed what waits. */
  onReady(address: string): void {
    const voter = this.#find(address);
    if (voter === undefined) return;
    voter.state = "ready";
    voter.failures = 0;
    voter.asked = undefined;
    voter.follows = undefined;
    this.#follow(voter);
    for (const { key } of this.#ballots.values()) this.#ask(voter, key);
  }

  onClosed(address: string, now: number): void {
    const voter = this.#find(address);
    if (voter !== undefined && voter.state !== "closed") this.#failed(voter, now);
  }

  /** A request goes out, perhaps once more. */
  asked(key: RequestKey): void {
    if (!isVotedOn(key)) return;
    const text = keyText(key);
    const before = this.#ballots.get(text);
    if (before !== undefined) this.#ballots.delete(text);
    this.#ballots.set(text, before ?? { key, candidate: undefined, said: [] });
    for (const oldest of this.#ballots.keys()) {
      if (this.#ballots.size <= ballotsMax) break;
      this.#ballots.delete(oldest);
    }
    const session = key.kind === "command" ? key.session : undefined;
    this.#session = session ?? this.#session;
    for (const voter of this.#voters) {
      if (voter.state !== "ready") continue;
      this.#follow(voter);
      if (before !== undefined || session === undefined || voter.follows !== session) this.#ask(voter, key);
    }
  }

  onReply(key: RequestKey, reply: Reply, index: LogIndex): VoteOutcome {
    if (!isVotedOn(key)) return { key, reply, index };
    const ballot = this.#ballots.get(keyText(key));
    if (ballot === undefined) return "waiting";
    ballot.candidate = { reply, index, digest: voteDigest(this.#parts.hash, key, reply) };
    return this.#count(ballot);
  }

  onVote(address: string, vote: Vote): VoteOutcome {
    return this.#onSaid(vote.key, { ...vote, address });
  }

  /** What follows for each command. */
  onVotes(address: string, { replica, voters, session, index, said }: SessionVotes): readonly VoteOutcome[] {
    const voter = this.#find(address);
    if (voter?.asked === session) voter.follows = session;
    return said.map(({ number, digest }) =>
      this.#onSaid({ kind: "command", session, number }, { address, replica, voters, index, digest }),
    );
  }

  #onSaid(key: RequestKey, said: Said): VoteOutcome {
    const ballot = this.#ballots.get(keyText(key));
    if (ballot === undefined) return "waiting";
    const own = ballot.said.filter(({ address }) => address === said.address);
    const before = own.find((other) => isSame(other, said));
    if (before !== undefined) ballot.said.splice(ballot.said.indexOf(before), 1);
    else if (own.length >= saidMax) return "waiting";
    ballot.said.push(said);
    return this.#count(ballot);
  }

  closeAll(): void {
    for (const voter of this.#voters) {
      if (voter.state !== "closed") this.#parts.links.close(voter.address);
      voter.state = "closed";
      voter.dueAt = Infinity;
    }
    this.#ballots.clear();
  }

  #count(ballot: Ballot): VoteOutcome {
    const { key, candidate, said } = ballot;
    if (candidate === undefined) return "waiting";
    const { reply } = candidate;
    const same = said.filter((each) => isSame(each, candidate));
    if (this.#isEnough(same)) {
      this.#ballots.delete(keyText(key));
      if (same.length < said.length) this.#dissented(said, same);
      return { key, reply, index: this.#indexOf(same) };
    }
    if (!said.some((one) => this.#isEnough(said.filter((each) => isSame(each, one))))) return "waiting";
    ballot.candidate = undefined;
    this.#outvoted += 1;
    return "outvoted";
  }

  /** A liar that agrees may name an index that nobody ever reaches: then the client waits for it at every replica. */
  #indexOf(votes: readonly Said[]): LogIndex {
    const indexes = votes.map(({ index }) => index);
    return this.#parts.faults === "byzantine"
      ? indexes.reduce((oldest, index) => minIndex(oldest, index))
      : indexes.reduce((newest, index) => maxIndex(newest, index), noIndex);
  }

  /** Of those who have said the same, each once. */
  #isEnough(same: readonly Said[]): boolean {
    const isByzantine = this.#parts.faults === "byzantine";
    // The usual case, without a set.
    if (same.length <= (isByzantine ? liarsMaxOf(this.#voters.length) : 0)) return false;
    const names = new Set(same.map(({ replica }) => replica));
    const agreeing = Math.min(same.length, names.size);
    if (isByzantine) return agreeing > liarsMaxOf(this.#voters.length);
    const voters = Math.max(this.#voters.length, ...same.map((each) => each.voters));
    return agreeing > Math.floor((voters - 1) / 2);
  }

  /** Who has also said what was accepted has executed the request twice, with two outcomes. */
  #dissented(said: readonly Said[], same: readonly Said[]): void {
    for (const voter of this.#voters) {
      const isBy = ({ address }: Said): boolean => address === voter.address;
      if (said.some(isBy) && !same.some(isBy)) voter.dissents += 1;
    }
  }

  #follow(voter: Voter): void {
    if (this.#session === undefined || voter.asked === this.#session) return;
    voter.asked = this.#session;
    this.#parts.links.send(voter.address, { kind: "follow", session: this.#session });
  }

  #ask({ address }: Voter, key: RequestKey): void {
    this.#parts.links.send(address, { kind: "confirm", key });
  }

  #failed(voter: Voter, now: number): void {
    voter.state = "closed";
    voter.failures += 1;
    voter.dueAt = now + backOffDelay(this.#limits, voter.failures, this.#random);
  }

  #find(address: string): Voter | undefined {
    return this.#voters.find((voter) => voter.address === address);
  }
}

export interface VoteStatistics {
  readonly outvoted: number;
  /** By address. */
  readonly dissents: Readonly<Record<string, number>>;
}

function isSame(one: Pick<Said, "digest">, other: Pick<Said, "digest">): boolean {
  return equalBytes(one.digest, other.digest);
}

/** The end of a session, and that it goes on, tell nothing of the state. */
function isVotedOn({ kind }: RequestKey): boolean {
  return kind === "open" || kind === "command" || kind === "resolve";
}
