/**
 * What a program holds of a running replica, and what every replica tells about itself.
 *
 * Owns: the shapes that `status`, `/readyz`, `/metrics` and the start-up card are made from.
 */
import type {
  DivergenceKind,
  AuditedPosition,
  AuditedReplica,
  NamedReplica,
  TrailEntry,
  VerdictKind,
} from "../model/audit.js";
import type { LogIndex, ReplicaId, Term, View } from "../model/ids.js";
import type { QuarantineState } from "../model/quarantine.js";
import type { Resignation, ResignReason } from "../model/resignation.js";
import type { MemberRole } from "../model/membership.js";
import type { UnfinishedReason } from "../model/skip.js";
import type { FailedVersion, VersionOffer } from "../model/version.js";
import type { Door } from "./door.js";
import type { MachineFork } from "./low-level.js";

export interface ReplicaStatus {
  readonly id: ReplicaId;
  readonly clusterId: string;
  readonly incarnation: number;
  readonly role: "leader" | "follower" | "candidate" | "learner";
  /** Raft's term; under Byzantine faults the view. */
  readonly term: Term | View;
  readonly leader: ReplicaId | undefined;
  /** Last index in the log, decided index, executed index. */
  readonly lastIndex: LogIndex;
  readonly commitIndex: LogIndex;
  readonly executedIndex: LogIndex;
  readonly checkpoint: CheckpointStatus;
  readonly audit: AuditStatus;
  readonly quarantine: QuarantineStatus;
  readonly storage: {
    /** Why the disk has no space for more log, while that is so: commands are refused as DISK_FULL or go to another leader. */
    readonly full: string | undefined;
  };
  /** What it waits at since it cannot finish it, while it does: it executes nothing behind it (docs/internals/unfinished-commands.md). */
  readonly unfinished: UnfinishedStatus | undefined;
  /** Why this replica should not lead now, if so. */
  readonly stalled: ResignReason | undefined;
  /** When it gave leadership up by itself last, and why. */
  readonly resigned: Resignation | undefined;
  readonly machine: {
    readonly name: string;
    /** The newest that this program has. */
    readonly version: number;
    /** The one that executes on every replica, and the entry at which it started; 0: the log began with it. */
    readonly active: number;
    readonly since: LogIndex;
    /** All that this program can run, ascending. */
    readonly versions: readonly number[];
    /** What replicas have said that they can run. One that has nothing to say runs the active version, and no other. */
    readonly offers: readonly VersionOffer[];
    /** Versions that never start, since their migration threw. */
    readonly failed: readonly FailedVersion[];
    /** Which timer's handler threw last since process start, where and why. */
    readonly timerFailure: string | undefined;
  };
  readonly quorateVersion: string;
  readonly uptimeMs: number;
  /** Under Byzantine faults: counts the sets of members; -1 at a replica that joins and is in none yet. */
  readonly epoch: number | undefined;
  /** Under Byzantine faults: whose signature changes the members, if anybody's. */
  readonly administrator: string | undefined;
  readonly members: readonly {
    readonly id: ReplicaId;
    readonly role: MemberRole;
    readonly peer: string;
    readonly client: string;
    readonly incarnation: number;
    /** Under Byzantine faults: its public key, as `quorate keygen` prints it. */
    readonly key: string | undefined;
    readonly connected: boolean;
    /** What it surely has of the leader's log; told by the leader alone, of others. */
    readonly matchIndex: LogIndex | undefined;
    /** Bytes of entries that were sent to it and that it has not acknowledged; told by the leader alone, of others. */
    readonly inFlightBytes: number | undefined;
    /** Bytes that wait in this process to leave for it. */
    readonly queuedBytes: number;
  }[];
  /** Executes what it must and can reach a leader. */
  readonly ready: boolean;
  /** Named reasons, each true when good: what `/readyz?verbose` prints. */
  readonly checks: Readonly<Record<string, boolean>>;
  /** Set when this replica has stepped aside for good and waits to be stopped. */
  readonly broken: string | undefined;
  readonly counters: ReplicaCounters;
}

/** A command, timer or sweep: a step of an entry, counted from 0. */
export interface UnfinishedStatus {
  readonly index: LogIndex;
  readonly step: number;
  readonly reason: UnfinishedReason;
}

/** Indexes are 0 where there is none. */
export interface CheckpointStatus {
  /** Of the newest on this disk, and of the newest that f + 1 replicas have reported alike. */
  readonly index: LogIndex;
  readonly certifiedIndex: LogIndex;
  readonly bytes: number;
  /** The last entry that the log does not hold any more. */
  readonly logStart: LogIndex;
  /** Why the last one was given up, if it was. */
  readonly failure: string | undefined;
  /** A checkpoint on its way from peers. */
  readonly fetching: { readonly index: LogIndex; readonly bytes: number; readonly bytesDone: number } | undefined;
}

/** Comparisons of the replicas (docs/guides/audits.md), as far as this replica has executed. */
export interface AuditStatus {
  /** Positions since the cluster began, by what came of them. */
  readonly positions: Readonly<Record<VerdictKind, number>>;
  /** Positions whose reports are awaited. */
  readonly waiting: number;
  /** The newest that were settled, oldest first. */
  readonly recent: readonly AuditedPosition[];
  /** The newest at which something differed for the first time, oldest first. */
  readonly findings: readonly AuditedPosition[];
  /** Who has something else than more than half of all voters, at present. */
  readonly named: readonly NamedReplica[];
  readonly replicas: readonly (AuditedReplica & {
    /** For how long, by agreed time, it was not checked. */
    readonly uncheckedMs: number;
    /** For so long that somebody should look. */
    readonly isAlarm: boolean;
  })[];
  readonly scrub: ScrubStatus;
  /** Files in the data directory with what this replica has kept of differences, oldest first: `quorate replay` executes them. */
  readonly evidence: readonly string[];
}

/** Looking at the state of this replica again, as it lies in memory. Since process start. */
export interface ScrubStatus {
  readonly cycles: number;
  /** How long the last one took. */
  readonly cycleMs: number;
  /** Parts of the state that were not what was written, as often as that was found: memory is damaged. */
  readonly mismatches: number;
  /** Of the last cycle that found any. */
  readonly damaged: readonly string[];
  /** How often all of the checkpoints on the disk was read again: chunks, manifests, the certificate. */
  readonly chunkCycles: number;
  /** Files of these that were not what they were: the disk is damaged. They are written again, chunks by a checkpoint that is taken anew. */
  readonly chunksDamaged: number;
}

/** Whether this replica may answer, lead and vouch for what it has executed (docs/guides/audits.md). */
export interface QuarantineStatus {
  readonly state: QuarantineState;
  /** Milliseconds in this state. */
  readonly forMs: number;
  /** How often it was set aside, since process start. */
  readonly count: number;
  /** Positions up to here it had executed with a state that is thrown away; 0: with none. */
  readonly replacedUpTo: LogIndex;
  /** The checkpoint from which it was made again last; 0: from the first entry. Undefined if it was not, or has not begun yet. */
  readonly rebuiltFrom: LogIndex | undefined;
}

/** Since process start. */
export interface ReplicaCounters {
  readonly entriesProposed: number;
  readonly requestsAdmitted: number;
  readonly requestsRefused: Readonly<Record<string, number>>;
  readonly commandsExecuted: number;
  readonly commandsRepeated: number;
  readonly timersFired: number;
  /** Of these, whose handler threw: `machine.timerFailure` tells the last. */
  readonly timersFailed: number;
  /** Since the machine began. */
  readonly eventsEmitted: number;
  /** Of the clock, of randomness, and so on by the machine's code: each has failed. */
  readonly forbiddenUses: number;
  readonly queriesAnswered: number;
  readonly proposalsPending: number;
  /** Bytes of the requests that wait here for an answer. */
  readonly pendingBytes: number;
  readonly leaderChanges: number;
  /** How often this replica gave leadership up by itself, by reason. */
  readonly resignations: Readonly<Partial<Record<ResignReason, number>>>;
  readonly logWrites: number;
  readonly logSyncs: number;
  readonly logBytes: number;
  readonly checkpointsTaken: number;
  readonly checkpointsFetched: number;
  /** Seconds per flush, as a histogram: upper bounds and cumulative counts. */
  readonly syncSeconds: {
    readonly bounds: readonly number[];
    readonly counts: readonly number[];
    readonly sum: number;
  };
  readonly sessions: number;
  readonly clientConnections: number;
  readonly framesDropped: Readonly<Record<string, number>>;
  readonly signatures: SignatureCounters;
  readonly peerBytesReceived: number;
  readonly peerBytesSent: number;
}

/** Under Byzantine faults; all zero under others. Since process start. */
export interface SignatureCounters {
  /** Of what this replica says, and of what it asks for its clients. */
  readonly made: number;
  /** Of others. */
  readonly verified: number;
  /** Of others, in what came again or within a proof: verified before. */
  readonly known: number;
  /** Messages that were not taken, by why: `malformed`, `stranger`, `wronglySigned`, `overBudget`, `queueFull`. */
  readonly refused: Readonly<Record<string, number>>;
}

/** Where a new member will listen. */
export interface MemberAddress {
  readonly id: ReplicaId;
  /** `host:port` for other replicas, and for clients. */
  readonly peer: string;
  readonly client: string;
}

/**
 * Changes of the members; any replica may be asked, one change goes on at a time. Each resolves when the members after the
 * change alone decide, and rejects with `InstructionRefused`.
 */
export interface MemberChanges {
  /** It receives the log at once, and is made a voter by itself when it lacks little; with `learner` it never is. */
  add(member: MemberAddress, options?: { readonly learner?: boolean }): Promise<void>;
  promote(id: ReplicaId): Promise<void>;
  remove(id: ReplicaId): Promise<void>;
  /** The same id with a new, empty data directory. */
  replace(member: MemberAddress): Promise<void>;
  /** All of it at once: the members before decide until those after it do, and no set in between ever counts. At least one. */
  change(changes: MemberSet): Promise<void>;
  /** Under Byzantine faults, where the others are refused: what `quorate member` has signed. Resolves when it is decided. */
  reconfigure(signed: Uint8Array): Promise<void>;
}

/** Made in this order, and each must be possible by itself behind those before it. */
export interface MemberSet {
  readonly add?: readonly NewMember[] | undefined;
  readonly replace?: readonly MemberAddress[] | undefined;
  readonly promote?: readonly ReplicaId[] | undefined;
  readonly remove?: readonly ReplicaId[] | undefined;
}

export interface NewMember extends MemberAddress {
  readonly learner?: boolean | undefined;
}

/** Replicas have something different at one position (docs/guides/audits.md). */
export interface DivergenceReport extends AuditedPosition {
  /** `named`: those in `differing` are wrong, are set aside, and rebuilt. */
  readonly kind: DivergenceKind;
}

export type DivergenceListener = (report: DivergenceReport) => void;

/** What a replica has kept since it heard that replicas differ: until the next difference, and the states for half an hour. */
export interface AuditFinding {
  /** The position at which they differed. */
  readonly position: LogIndex;
  /** The entry at which that was found: `after` is the machine's state behind it. The same on every replica. */
  readonly foundAt: LogIndex;
  /** The last position at which all of them agreed; 0 if its state is not remembered. */
  readonly agreedAt: LogIndex;
  /** The version of the machine that executed when it was found. */
  readonly machineVersion: number;
  /** The machine's state at `agreedAt`. */
  readonly before: MachineFork | undefined;
  readonly after: MachineFork | undefined;
  /** Those that are remembered, up to `foundAt`, in order. */
  readonly entries: readonly TrailEntry[];
}

export interface SnapshotStream {
  readonly index: LogIndex;
  readonly bytes: number;
  /** Read slowly or not to its end, it holds nothing up: the checkpoint is kept until then. */
  readonly content: AsyncIterable<Uint8Array>;
}

export interface Replica {
  status(): ReplicaStatus;
  /** A door with a session of its own. */
  openDoor(name: string): Door;
  /**
   * Hands leadership to this voter, or to the one that lacks least; any replica may be asked. Rejects with `InstructionRefused`. While it goes
   * on, at most an election time-out, requests wait.
   */
  transferLeadership(to?: ReplicaId): Promise<void>;
  readonly members: MemberChanges;
  /** Takes a checkpoint now, on every replica; resolves when that is on its way. Rejects with `InstructionRefused`. */
  checkpoint(): Promise<void>;
  /**
   * Calls the listener once for each position at which replicas differ and did not at the one before, as far as this replica executes; on
   * every replica. A position that is executed again after a start is told again.
   */
  on(event: "divergence", listener: DivergenceListener): void;
  /** The listener is not called any more. */
  off(event: "divergence", listener: DivergenceListener): void;
  /** What can be told of the newest difference between replicas; undefined if there was none since this process began. */
  finding(): AuditFinding | undefined;
  /** The newest certified checkpoint of this replica, as the bytes of a snapshot file; undefined while there is none. */
  snapshot(): SnapshotStream | undefined;
  /** Hands leadership over if it leads, refuses new requests, drains admitted ones, closes what it opened, in the reverse order. */
  stop(): Promise<void>;
}
