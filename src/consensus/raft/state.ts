/**
 * What one replica knows: the state that `step` alone changes, and how it begins.
 *
 * Owns: the shape, and the replica's durable index, which is where two rules about pending writes live (hazards of a late
 * "stored" signal). Leaves to others: every transition. Called by `step.ts` and its helpers; the engine keeps the value.
 */
import { randomStream, nextBetween, nextUint32, type Random } from "../../base/random.js";
import { maxIndex, minIndex, before, noIndex, type LogIndex, type ReplicaId, type Term } from "../../model/ids.js";
import { noEntry, type Entry, type EntryId, type Proposal } from "../../model/entry.js";
import type { HardState, LogSpace, Promised } from "../../model/log.js";
import type { Configuration, Membership } from "../../model/membership.js";
import type { Resignation } from "../../model/resignation.js";
import { MemoryLog, type RecoveredEntries } from "../memory-log.js";
import type { RoleView } from "../vocabulary.js";
import { configurationsOf, newestConfiguration, viewOf, type Configured } from "./configuration.js";
import type { Follower } from "./progress.js";

/** Times in milliseconds, sizes in bytes; relations between them are checked where the configuration is made. */
export interface RaftSettings {
  readonly heartbeatMs: number;
  /** An election starts a random time in this range after the leader was last heard. */
  readonly electionTimeoutMsMin: number;
  readonly electionTimeoutMsMax: number;
  /** After the link to the leader broke, and after an election that nobody can win, the next try waits 0 to this long, or to twice as long after each further such election, up to the shortest time-out. */
  readonly reconnectElectionMsMax: number;
  /** Entries in one AppendEntries; a single larger entry still travels alone. */
  readonly appendBytesMax: number;
  /** Sent to one follower and not yet acknowledged. */
  readonly inflightBytesMax: number;
  readonly inflightCountMax: number;
  /** Entries kept in memory once they are durable and committed. */
  readonly logCacheBytes: number;
  /** Who has heard a leader votes for nobody so long; 0: leases are off. */
  readonly leaseMs: number;
  /** A clock differs from true time by so much at most, in its rate. */
  readonly clockDriftPercentMax: number;
  /** Of this replica, from 1: a leader makes way for a voter with a higher one. */
  readonly priority: number;
  /** It leads for so long before. */
  readonly priorityStableMs: number;
  /** A leader resigns, and nobody stands, whose oldest write is under way for longer than this. */
  readonly writeStallMsMax: number;
  /** A leader resigns that was not run for longer than this. */
  readonly turnStallMsMax: number;
}

/**
 * What the disk allows this replica to do. `damaged`: the names of all entries survive but not every content, so it votes and
 * acknowledges, and does not stand. `amnesiac`: it may have forgotten a promise, so it neither votes, stands, nor acknowledges.
 */
export type Trust = "whole" | "damaged" | "amnesiac";

export interface RaftOptions {
  readonly self: ReplicaId;
  /** Of the data directory. */
  readonly incarnation: number;
  /** The members at bootstrap; empty at a replica that joins. Configurations in the log are newer. */
  readonly membership: Membership;
  /** What a checkpoint says of the members, if the log begins behind one: then the founders no longer count. */
  readonly configuration?: Configuration | undefined;
  readonly hardState: HardState;
  /** With every entry of kind `configuration`, but for damaged ones, which come back when they are repaired. */
  readonly log: RecoveredEntries & { readonly configurations: readonly Entry[] };
  readonly settings: RaftSettings;
  /** Different at every start: time-outs and read ids are drawn from it. */
  readonly seed: number;
  readonly trust: Trust;
}

export interface RaftState extends Configured {
  readonly settings: RaftSettings;
  trust: Trust;
  /** On this replica's disk. */
  space: LogSpace;
  /** What is decided has not been executed for too long. */
  isExecutionStalled: boolean;
  /** What was executed here is not what the others have: somebody else has to lead. */
  isQuarantined: boolean;
  /** It was not run for a while: until then it does not stand. */
  restUntil: number;
  readonly random: Random;

  term: Term;
  votedFor: ReplicaId | undefined;
  /** The newest certified checkpoint that is durable here; entry 0 if there is none. The log never begins behind it. */
  checkpoint: EntryId;
  role: Role;
  /** Votes for nobody until then (`lease.ts`). */
  boundUntil: number;
  /** When a replica that hears no leader starts a pre-vote. */
  electionDeadline: number;
  /** Until then an election that cannot be won is tried again soon instead of after a whole time-out. */
  hurryUntil: number;
  /** Elections in a row that nobody won, since a leader was last heard: the range of the next hurried try doubles with each. */
  undecided: number;
  /** Attempts at a pre-vote, over all terms. */
  attempt: number;
  /** The own election was once put off in favour of another's since a leader was last heard. */
  hasDeferred: boolean;
  /** Time-outs in a row at which this replica did not stand, since a leader was last heard. */
  timeoutsPassed: number;
  /** Peers whose link is known to be broken: nothing is sent there until it opens. */
  readonly unreachable: Set<ReplicaId>;
  /** Of the data directory that was last heard under each id. */
  readonly incarnations: Map<ReplicaId, number>;
  /** From that directory, to this replica since it started. */
  readonly promises: Map<ReplicaId, Promised>;
  lastTick: number;

  readonly writes: Writes;
  /** Read barriers of this replica's own service side that wait for the leader's answer, by the id of the try. */
  readonly forwarded: Map<number, ForwardedBarrier>;
  nextReadId: number;
  /** What the service side was told last. */
  view: RoleView;
  told: Configuration;
}

export type Role = FollowerRole | PreCandidateRole | CandidateRole | LeaderRole;

export interface FollowerRole {
  readonly kind: "follower";
  leader: ReplicaId | undefined;
  /** When `leader` was last heard. */
  heardAt: number;
  /** Up to here the log equals the leader's, as its own messages have shown in this term. */
  verified: LogIndex;
  /** Highest match acknowledged to this leader, or about to be by a pending write. */
  acknowledged: LogIndex;
  /** Highest round echoed to this leader. */
  round: number;
}

export interface PreCandidateRole {
  readonly kind: "preCandidate";
  readonly attempt: number;
  readonly granted: Set<ReplicaId>;
  readonly refused: Set<ReplicaId>;
}

export interface CandidateRole {
  readonly kind: "candidate";
  /** Asked to by the leader. */
  readonly byTransfer: boolean;
  /** Its own vote is in it only once it is durable. */
  readonly granted: Set<ReplicaId>;
  readonly refused: Set<ReplicaId>;
}

export interface LeaderRole {
  readonly kind: "leader";
  /** When it began. */
  readonly since: number;
  /** The entry that opened this term; once it is committed, so is everything before it. */
  readonly noopIndex: LogIndex;
  /** One for each peer, and for each that was removed and may not know it yet. */
  readonly followers: Map<ReplicaId, Follower>;
  round: number;
  heartbeatDueAt: number;
  /** Barriers that join the next round. */
  readonly waitingReads: ReadRequest[];
  runningReads: RunningReads | undefined;
  readonly lease: Lease;
  transfer: Transfer | undefined;
  /** Leadership is not offered by this replica's own choice before. */
  handOverAt: number;
  /** It is giving leadership up. */
  resigning: Resignation | undefined;
  hasFailedToHandOver: boolean;
  /** The operator's instruction that began the change of members which is under way. */
  change: number | undefined;
}

/** What a leader knows of its own lease (`lease.ts`). */
export interface Lease {
  /** Rounds that no majority has answered yet, in their order. */
  readonly rounds: { readonly round: number; readonly sentAt: number }[];
  until: number;
  /** Leadership was offered to another, which may take it up late: there is no lease in this term any more. */
  isDropped: boolean;
}

/** Leadership on its way to another replica. */
export interface Transfer {
  readonly target: ReplicaId;
  /** Of the operator's instruction; undefined if nobody waits for the outcome. */
  readonly instruction: number | undefined;
  /** The leader goes on if it still leads then. */
  readonly deadline: number;
  isOffered: boolean;
  /** What was proposed meanwhile: appended if the leader goes on. */
  readonly held: Proposal[];
}

/** `from` is this replica itself, or the follower that forwarded its own try with this id. */
export interface ReadRequest {
  readonly from: ReplicaId;
  readonly id: number;
}

export interface RunningReads {
  readonly round: number;
  readonly index: LogIndex;
  readonly requests: readonly ReadRequest[];
}

export interface ForwardedBarrier {
  readonly barrier: number;
  readonly leader: ReplicaId;
  readonly deadline: number;
}

/** The writes that were asked for, and what those that have completed make durable. */
export interface Writes {
  nextId: number;
  durableIndex: LogIndex;
  /** The newest write that holds a hard state, and the newest that is durable. */
  hardStateId: number;
  durableId: number;
  readonly pending: PendingWrite[];
}

export interface PendingWrite {
  readonly id: number;
  /** Moved on by time in which this process did not run. */
  askedAt: number;
  /** Last index that this write makes durable; lowered when a later write cuts off entries of this one. */
  upTo: LogIndex;
}

export function createRaftState(options: RaftOptions, now: number): RaftState {
  const { self, incarnation, hardState, settings, trust } = options;
  const founding = { ...noEntry, membership: options.membership };
  const configurations = configurationsOf(options.configuration ?? founding, options.log.configurations);
  const newest = newestConfiguration({ configurations });
  const view = viewOf({ self, incarnation }, newest);
  const { voters } = view;
  const log = new MemoryLog(options.log);
  const random = randomStream(options.seed, "raft");
  const alone = voters.length === 1 && voters[0] === self;
  // A leader that lives is heard within a heartbeat of connecting, and a pre-vote would not unseat it. So a replica that has just
  // started waits less than one whose leader has fallen silent: a group that was down serves again sooner.
  const { heartbeatMs, electionTimeoutMsMin } = settings;
  const patience = nextBetween(random, 2 * heartbeatMs, Math.max(2 * heartbeatMs, electionTimeoutMsMin));
  return {
    self,
    incarnation,
    settings,
    trust,
    space: "ample",
    isExecutionStalled: false,
    isQuarantined: false,
    restUntil: now,
    configurations,
    ...view,
    random,
    term: hardState.term,
    votedFor: hardState.votedFor,
    log,
    commitIndex: log.start.index,
    checkpoint: log.start,
    role: followerOf(undefined, now),
    // What it promised before it started is not known any more: it may have been just now.
    boundUntil: now + settings.leaseMs,
    electionDeadline: alone ? now : now + patience,
    hurryUntil: now,
    undecided: 0,
    attempt: 0,
    hasDeferred: false,
    timeoutsPassed: 0,
    unreachable: new Set(),
    incarnations: new Map(),
    promises: new Map(),
    lastTick: now,
    writes: { nextId: 1, durableIndex: log.lastIndex, hardStateId: 0, durableId: 0, pending: [] },
    forwarded: new Map(),
    // Far from where an earlier process of this replica counted, so that an answer to it is not taken for one to us.
    nextReadId: nextUint32(random) * 0x1_0000 + 1,
    view: {
      role: voters.includes(self) ? "follower" : "learner",
      term: hardState.term,
      leader: undefined,
      settledAt: undefined,
    },
    told: newest,
  };
}

export function followerOf(leader: ReplicaId | undefined, now: number): FollowerRole {
  return { kind: "follower", leader, heardAt: now, verified: noIndex, acknowledged: noIndex, round: 0 };
}

export function isVoter(state: RaftState, id: ReplicaId): boolean {
  return state.voters.includes(id);
}

/** Leads, and has committed an entry of its own term, and so all that earlier leaders may have promised. */
export function isSettled({ role, commitIndex }: RaftState): boolean {
  return role.kind === "leader" && commitIndex >= role.noopIndex;
}

export function leaderOf(state: RaftState): ReplicaId | undefined {
  if (state.role.kind === "leader") return state.self;
  return state.role.kind === "follower" ? state.role.leader : undefined;
}

/** Term and vote as they are now survive a crash. */
export function isHardStateDurable({ writes }: RaftState): boolean {
  return writes.hardStateId <= writes.durableId;
}

/** The disk hangs. */
export function isDiskStalled({ writes, settings }: RaftState, now: number): boolean {
  const oldest = writes.pending[0];
  return oldest !== undefined && now - oldest.askedAt > settings.writeStallMsMax;
}

/** Records a write that is about to be asked for. */
export function beginWrite(writes: Writes, change: { hardState: boolean; upTo: LogIndex; now: number }): number {
  const id = writes.nextId;
  writes.nextId += 1;
  if (change.hardState) writes.hardStateId = id;
  writes.pending.push({ id, askedAt: change.now, upTo: change.upTo });
  return id;
}

/**
 * The entries from `index` on are replaced: what pending writes say of them no longer counts, not even if the same index, or
 * the same entry, is written again. Only the newest write of an index can make it durable.
 */
export function cutWrites(writes: Writes, index: LogIndex): void {
  writes.durableIndex = minIndex(writes.durableIndex, before(index));
  for (const write of writes.pending) write.upTo = minIndex(write.upTo, before(index));
}

/** The write `id` and all before it are durable. */
export function completeWrites(writes: Writes, id: number): void {
  let done = 0;
  for (const write of writes.pending) {
    if (write.id > id) break;
    writes.durableIndex = maxIndex(writes.durableIndex, write.upTo);
    writes.durableId = write.id;
    done += 1;
  }
  writes.pending.splice(0, done);
}
