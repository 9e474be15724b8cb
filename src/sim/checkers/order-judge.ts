/**
 * Watches what every replica executes and who leads: agreement, elections, durability, equal outputs and states.
 *
 * Owns: the one order as it is decided (rules V2 to V6, V8 and V17), by whoever executes an index first. Leaves to others: what clients were
 * told (`client-judge.ts`). Called by each simulated replica as things happen, in simulated time.
 */
import { equalBytes, hexOf } from "../../base/bytes.js";
import { equalFingerprints, type Fingerprint } from "../../base/fingerprint.js";
import { isMajority } from "../../consensus/quorum.js";
import { configurationAt } from "../../consensus/raft/configuration.js";
import { isHardStateDurable, type RaftState } from "../../consensus/raft/state.js";
import type { Executed, Executor } from "../../execution/executor.js";
import type { Entry } from "../../model/entry.js";
import type { LogIndex, ReplicaId } from "../../model/ids.js";
import { voterSetsOf } from "../../model/membership.js";
import type { Reply } from "../../model/request.js";
import { equalExecuted, equalPlain } from "./equal.js";
import { must } from "./violation.js";

/** What the judge may see of a replica, dead or alive: of a dead one, as it was last. */
export interface Watched {
  readonly id: ReplicaId;
  readonly raft: RaftState | undefined;
}

export interface Decided {
  readonly entry: Entry;
  readonly executed: readonly Executed[];
  readonly by: ReplicaId;
  /** The term of whoever executed it first: it was decided in this term at the latest, which may be a later one than its own. */
  readonly term: number;
  /** True time of its first execution anywhere. */
  readonly at: number;
}

/** Where a command stands in the order. */
export interface Position {
  readonly index: LogIndex;
  readonly ordinal: number;
  readonly reply: Reply;
}

export interface OrderJudgeParts {
  readonly now: () => number;
  /** What this one executes is no measure: its memory is wrong, or it may lie. */
  readonly isExcused: (id: ReplicaId) => boolean;
  readonly reference: Executor | undefined;
}

/** What the judge asks of whoever has just executed an entry. */
export type Executing = Pick<Executor, "audits" | "audited" | "digest" | "versions">;

/**
 * The digest of the whole state is compared at every index that is a multiple of this, and at the end. At every index the fingerprints of the
 * machine and of all outputs are; of a machine that has none, the digest so often.
 */
const digestEvery = 512;
const digestWithoutFingerprintEvery = 64;

/** What somebody had behind an entry. */
interface KnownState {
  readonly output: Fingerprint;
  readonly state: Fingerprint;
  readonly by: ReplicaId;
}

export class OrderJudge {
  readonly decided: Decided[] = [];
  /** By index less one. */
  readonly #states: (KnownState | undefined)[] = [];
  readonly #positions = new Map<string, Position>();
  readonly #leaders = new Map<number, ReplicaId>();
  /** By term and voter: the candidate that counted its vote. */
  readonly #votes = new Map<string, ReplicaId>();
  readonly #digests = new Map<number, { readonly digest: string; readonly by: ReplicaId }>();
  readonly #replicas: readonly Watched[];
  readonly #now: () => number;
  readonly #isExcused: (id: ReplicaId) => boolean;
  readonly #reference: Executor | undefined;
  #digestsCompared = 0;

  /** Where memory fails, what is right is what `reference` makes of the order, and not what the first replica does. */
  constructor(replicas: readonly Watched[], { now, isExcused, reference }: OrderJudgeParts) {
    this.#replicas = replicas;
    this.#now = now;
    this.#isExcused = isExcused;
    this.#reference = reference;
  }

  get digestsCompared(): number {
    return this.#digestsCompared;
  }

  /** Terms in which somebody led. */
  get terms(): number {
    return this.#leaders.size;
  }

  positionOf(session: number, number: number): Position | undefined {
    return this.#positions.get(`${session}:${number}`);
  }

  onExecuted(by: ReplicaId, entry: Entry, executed: readonly Executed[], executor: Executing): void {
    const known = this.decided[entry.index - 1];
    const isExcused = this.#isExcused(by);
    // Only a correct replica's execution shows that something is decided.
    if (isExcused && this.#reference === undefined) return;
    if (known === undefined) this.#decide(by, entry, this.#reference?.execute(entry) ?? executed);
    const decided = this.decided[entry.index - 1];
    if (decided?.executed !== executed && decided !== undefined && !isExcused)
      this.#compare(decided, by, entry, executed);
    // Before the log says with which version it begins, an empty state is that of the program's oldest.
    if (isExcused || !executor.versions.state.hasBegun) return;
    this.#compareState(by, entry.index, executor);
  }

  #compareState(by: ReplicaId, index: LogIndex, executor: Executing): void {
    const { output, state } = executor.audits.trail.newest;
    const known = this.#states[index - 1];
    if (known === undefined) this.#states[index - 1] = { output, state, by };
    else {
      const isSame = equalFingerprints(known.state, state) && equalFingerprints(known.output, output);
      must(isSame, "V6", () => differing(index, known.by, by));
    }
    if (index % digestWithoutFingerprintEvery !== 0) return;
    if (index % digestEvery === 0 || executor.audited.machine.fingerprint === undefined)
      this.compareDigest(by, index, executor.digest());
  }

  compareDigest(by: ReplicaId, index: LogIndex, bytes: Uint8Array): void {
    const digest = hexOf(bytes);
    const known = this.#digests.get(index);
    if (known === undefined) return void this.#digests.set(index, { digest, by });
    this.#digestsCompared += 1;
    must(known.digest === digest, "V6", () => differing(index, known.by, by));
  }

  /** `raft` has just become leader of its term. */
  onLeader(by: ReplicaId, raft: RaftState): void {
    const { term, log } = raft;
    const other = this.#leaders.get(term);
    must(other === undefined || other === by, "V2", () => `${other} and ${by} both lead term ${term}`);
    if (other === by) return;
    this.#leaders.set(term, by);
    for (const { entry, term: decidedIn } of this.decided) {
      if (decidedIn >= term) continue;
      must(log.has(entry), "V4", () => {
        return `${by} leads term ${term} without entry ${entry.index} of term ${entry.term}, which was decided in term ${decidedIn} at the latest`;
      });
    }
  }

  /** A replica has started again; `before` is what it knew when its process ended. */
  onRestart(by: ReplicaId, before: RaftState, now: RaftState): void {
    const { durableIndex } = before.writes;
    const id = { index: durableIndex, term: before.log.termAt(durableIndex) };
    must(now.log.has(id), "V17", () => {
      return `${by} had its log on disk up to ${durableIndex} (term ${id.term}), and starts with ${now.log.lastIndex} entries up to term ${now.log.last.term}`;
    });
    if (!isHardStateDurable(before)) return;
    const isKept = now.term > before.term || (now.term === before.term && isVoteKept(before, now));
    must(isKept, "V17", () => {
      return `${by} had term ${before.term} and its vote for ${before.votedFor} on disk, and starts with term ${now.term} and a vote for ${now.votedFor}`;
    });
  }

  /** Another replica speaks under this id from now on. */
  forgetVoter(id: ReplicaId): void {
    for (const key of this.#votes.keys()) if (key.endsWith(`:${id}`)) this.#votes.delete(key);
  }

  /** Looks at the votes that a candidate has counted. */
  onVotes(candidate: ReplicaId, term: number, granted: ReadonlySet<ReplicaId>): void {
    for (const voter of granted) {
      const key = `${term}:${voter}`;
      const other = this.#votes.get(key);
      if (other === undefined) this.#votes.set(key, candidate);
      else must(other === candidate, "V2", () => `${voter} voted for ${other} and for ${candidate} in term ${term}`);
    }
  }

  #decide(by: ReplicaId, entry: Entry, executed: readonly Executed[]): void {
    must(entry.index === this.decided.length + 1, "V3", () => {
      return `${by} executes entry ${entry.index}, and ${this.decided.length} is the last that anybody executed`;
    });
    this.#checkDurable(by, entry);
    const term = this.#replicas.find(({ id }) => id === by)?.raft?.term ?? entry.term;
    this.decided.push({ entry, executed, by, term, at: this.#now() });
    this.#states.push(undefined);
    executed.forEach((each, ordinal) => this.#place(entry.index, ordinal, each));
  }

  #place(index: LogIndex, ordinal: number, { key, reply, repeated }: Executed): void {
    if (key.kind !== "command" || repeated) return;
    if (reply.status !== "ok" && reply.status !== "rejected" && reply.status !== "failed") return;
    const name = `${key.session}:${key.number}`;
    const earlier = this.#positions.get(name);
    must(earlier === undefined, "V8", () => {
      return `request ${key.number} of session ${key.session} is executed at ${earlier?.index} and at ${index}`;
    });
    this.#positions.set(name, { index, ordinal, reply });
  }

  #compare(known: Decided, by: ReplicaId, entry: Entry, executed: readonly Executed[]): void {
    const { entry: first, executed: expected, by: other } = known;
    must(isSameEntry(first, entry), "V3", () => {
      return `at ${entry.index} ${other} executes ${describeEntry(first)} and ${by} executes ${describeEntry(entry)}`;
    });
    must(equalExecuted(expected, executed), "V6", () => {
      const at = expected.findIndex((each, place) => !equalPlain(each, executed[place]));
      return `the outputs of entry ${entry.index} differ at its request ${at}: ${describeReply(expected[at]?.reply)} on ${other}, ${describeReply(executed[at]?.reply)} on ${by}`;
    });
  }

  /** An entry is committed by the members that it finds, or by later ones that its leader had appended by then. */
  #checkDurable(by: ReplicaId, { index, term }: Entry): void {
    const holders = this.#replicas
      .filter(({ raft }) => raft !== undefined && raft.writes.durableIndex >= index && raft.log.has({ index, term }))
      .map(({ id }) => id);
    const raft = this.#replicas.find(({ id }) => id === by)?.raft;
    if (raft === undefined) return;
    const first = raft.configurations.indexOf(configurationAt(raft, index));
    const isHeld = raft.configurations
      .slice(first)
      .some(({ membership }) => isMajority(voterSetsOf(membership), (voter) => holders.includes(voter)));
    must(isHeld, "V5", () => {
      return `${by} executes entry ${index}, which only ${holders.join(", ") || "nobody"} has on disk`;
    });
  }
}

function differing(index: LogIndex, one: ReplicaId, other: ReplicaId): string {
  return `after entry ${index} the states of ${one} and ${other} differ`;
}

/** As `equalPlain`, for what is compared on every replica. */
function isSameEntry(left: Entry, right: Entry): boolean {
  const isSameName = left.index === right.index && left.term === right.term && left.kind === right.kind;
  return isSameName && left.time === right.time && equalBytes(left.payload, right.payload);
}

function isVoteKept(before: RaftState, now: RaftState): boolean {
  return before.votedFor === undefined || before.votedFor === now.votedFor;
}

function describeEntry({ index, term, kind, payload }: Entry): string {
  return `a ${kind} of term ${term} with ${payload.length} bytes (index ${index})`;
}

export function describeReply(reply: Reply | undefined): string {
  if (reply === undefined) return "nothing";
  switch (reply.status) {
    case "ok":
      return `output ${hexOf(reply.output)}`;
    case "rejected":
      return `rejection ${reply.code}`;
    case "failed":
      return `failure "${reply.message}"`;
    case "refused":
      return `refusal ${reply.refusal.code}`;
    default:
      return reply.status;
  }
}
