/**
 * Every default and limit, in one place, with its unit; the relations between them are checked once, at start.
 *
 * Owns: the numbers. A section belongs to the stage that it is named after; a stage takes only its own section. Sections in
 * `ReplicatedLimits` decide what execution does, so they must be equal on every replica; the digest of the replicated state covers
 * `fingerprintOf`, so replicas that differ in them are told apart. All others are a replica's own affair. Changed by nobody while a
 * replica runs.
 */

import { requestLimits } from "../model/request-limits.js";

/** Replicated sessions (`execution/session-table.ts`). */
export interface SessionLimits {
  /** Sessions held at once. One more evicts the least recently used. */
  readonly sessionsMax: number;
  /** A session that nobody uses for this long, by agreed time, expires. */
  readonly expiryMs: number;
  /** Sessions expired by one entry at most, so that no entry takes long; the others follow with the next. */
  readonly expirationsPerEntryMax: number;
  /** Replies kept for one session until they are acknowledged; also bounds its requests in flight. */
  readonly repliesMax: number;
  /** Bytes of replies kept for one session; passed by the outputs of one entry at most. */
  readonly replyBytesMax: number;
  /** Bytes of replies kept for all sessions together. Beyond it the least recently used sessions are evicted. */
  readonly replyBytesTotalMax: number;
  /** Numbers settled as never to be executed, ahead of the session's next. */
  readonly tombstonesMax: number;
}

/** Replicated `Idempotency-Key`s (`execution/idempotency-table.ts`). */
export interface IdempotencyLimits {
  /** Keys held at once. A new one is refused when all are held, never exchanged for an old one. */
  readonly keysMax: number;
  /** Bytes of keys and their replies; passed by the outputs of one entry at most. */
  readonly bytesMax: number;
  /** A key is held for this long, by agreed time. */
  readonly retentionMs: number;
  /** Keys expired by one entry at most. */
  readonly expirationsPerEntryMax: number;
}

/** When checkpoints are taken, and how they are cut (`execution/checkpoint-pace.ts`, `replica/checkpointer.ts`). */
export interface CheckpointLimits {
  /** Entries of the log after which a checkpoint is taken. */
  readonly logEntriesMax: number;
  /** Bytes of the log after which a checkpoint is taken, or a quarter of the last checkpoint's, whichever is more. */
  readonly logBytesMax: number;
  /** A chunk ends behind what passes this. */
  readonly chunkBytes: number;
}

/** Reads that a leader answers by its clock (`consensus/raft/lease.ts`). */
export interface LeaseLimits {
  /** Who has heard a leader votes for nobody else for this long, so that the leader may answer. 0: leases are off. */
  readonly durationMs: number;
  /** Every clock's rate is this close to true time. What a clock does beyond it may make a read by lease stale. */
  readonly clockDriftPercentMax: number;
}

/** What machines do beside commands (`collections/typed-machine.ts`). */
export interface MachineLimits {
  /** Timers fired by one entry at most, so that no entry takes long; the others follow with the next. */
  readonly timersPerEntryMax: number;
  /** Of each name, the newest events that are kept for those who follow them, and their bytes; the oldest are dropped first. */
  readonly eventsMax: number;
  readonly eventsBytesMax: number;
}

/** At which positions replicas are compared (`execution/audit-table.ts`). */
export interface AuditLimits {
  /** Requests after which there is a position. */
  readonly everyCommands: number;
  /** After the first request behind a position there is another within this time, by agreed time. */
  readonly everyMs: number;
  /** Who has not reported on a position after this long, by agreed time, was not checked. */
  readonly reportMs: number;
}

/** What must be the same on every replica: execution depends on it, or a promise that one makes and another counts on. */
export interface ReplicatedLimits {
  readonly checkpoints: CheckpointLimits;
  readonly sessions: SessionLimits;
  readonly idempotency: IdempotencyLimits;
  readonly lease: LeaseLimits;
  readonly machine: MachineLimits;
  readonly audit: AuditLimits;
}

/** Elections and replication (`consensus/raft`). */
export interface RaftLimits {
  /** A leader is heard at least this often. */
  readonly heartbeatMs: number;
  /** A follower that heard no leader for a random time between these stands for election. */
  readonly electionTimeoutMsMin: number;
  readonly electionTimeoutMsMax: number;
  /** When the connection to the leader breaks, a follower waits a random time up to this and asks for pre-votes. */
  readonly reconnectElectionMsMax: number;
  /** Entries in one message. */
  readonly appendBytesMax: number;
  /** Unacknowledged messages, and bytes in them, on the way to one follower. */
  readonly inflightCountMax: number;
  readonly inflightBytesMax: number;
  /** The newest entries kept in memory; older ones are read from disk for a follower that lags. */
  readonly logCacheBytes: number;
  /** How often timers are looked at. */
  readonly tickMs: number;
  /** Of this replica: a leader hands over to a voter of a higher priority that is up to date. */
  readonly priority: number;
  /** A leader leads for so long before it makes way for a higher priority, and asks again after as long. */
  readonly priorityStableMs: number;
  /** A leader whose oldest write to its log is under way for longer hands leadership over, and such a replica does not stand for election. */
  readonly writeStallMsMax: number;
  /** A leader whose event loop stood still for longer hands leadership over when it goes on. */
  readonly turnStallMsMax: number;
}

/** Taking requests in (`admission/`, `replica/host.ts`). */
export interface AdmissionLimits {
  /** Admitted requests that wait to be proposed. */
  readonly queueCountMax: number;
  readonly queueBytesMax: number;
  /** One entry. */
  readonly batchCountMax: number;
  readonly batchBytesMax: number;
  /** Entries proposed and not yet committed: what comes meanwhile is collected. */
  readonly pipelineMax: number;
  /** Requests that clients of this replica wait for, and their bytes: in all, and for one connection. */
  readonly waitingMax: number;
  readonly waitingBytesMax: number;
  readonly waitingPerConnectionMax: number;
  readonly waitingBytesPerConnectionMax: number;
  /** Queries waiting for a read barrier or for execution, and the bytes of their inputs; one query may pass these. */
  readonly queriesMax: number;
  readonly queriesBytesMax: number;
  /** Clients that wait for events. */
  readonly eventWaitsMax: number;
  /** A query for which no leader is found, or that execution does not reach, within this time is refused. */
  readonly queryMs: number;
  /** A read barrier is asked for at least this often, so that the age of what this replica has is known. */
  readonly renewMs: number;
}

/** Running committed entries (`replica/host.ts`, `replica/engine.ts`). */
export interface ExecutionLimits {
  /** Requests executed in one turn of the event loop; the rest follows in the next. */
  readonly requestsPerTurnMax: number;
  /** The same in bytes of entries, since one request may carry many commands. */
  readonly bytesPerTurnMax: number;
  /** Entries handed to execution and not yet executed. */
  readonly deliveredBytesMax: number;
  /** A leader that has not executed a decided entry for longer hands leadership over, and such a replica does not stand for election. */
  readonly stallMsMax: number;
  /** A call of a machine that runs for longer ends its process, which never tries it again. */
  readonly commandMsMax: number;
  /** A replica whose state differs is rebuilt; if it differs again after so many rebuilds within this time, it is not rebuilt any more. */
  readonly rebuildsMax: number;
  readonly rebuildWindowMs: number;
}

/** Connections (`transport/`). */
export interface TransportLimits {
  /** One frame between replicas, and one between client and replica. */
  readonly peerFrameBytesMax: number;
  readonly clientFrameBytesMax: number;
  readonly handshakeMs: number;
  readonly clientConnectionsMax: number;
  /** A client that leaves more than this unread is not read from. */
  readonly clientOutputBytesMax: number;
  /** A client that leaves more than this unread is disconnected. */
  readonly clientOutputBytesHardMax: number;
  /** Delay before dialing a peer again: random, from the first up to the second, which failures approach; up to 32 times that where this replica is no member. */
  readonly redialMsMin: number;
  readonly redialMsMax: number;
  /** A link between replicas on which nothing is heard for so long is broken and dialed again. */
  readonly peerSilenceMsMax: number;
}

/** The log on disk (`storage/`). */
export interface StorageLimits {
  /** Of each new file of the log; 1 MiB to 256 MiB, and more than the largest entry. */
  readonly segmentBytes: number;
  /** Flushes of the log that may be in flight together; more shorten the wait of a write and double the flushes under load. */
  readonly groupsInFlightMax: number;
  /**
   * Room in the log that clients' commands do not use when the disk is full: it is kept for elections, changes of members and reports
   * of checkpoints. At most half a segment; it should hold what is on its way to one replica beside.
   */
  readonly reserveBytes: number;
  /**
   * The last two checkpoints stay on the disk, and the log since the older one, as long as both together take no more bytes than this;
   * else only the newest. With 1 it is always only the newest.
   */
  readonly checkpointsBytesMax: number;
}

/** Fetching damaged entries from peers (`replica/repair.ts`). */
export interface RepairLimits {
  /** Damaged entries asked for at once. */
  readonly requestsInFlightMax: number;
  /** Entries read at once for peers that ask; further questions are dropped and come again. */
  readonly readsInFlightMax: number;
  /** A peer that has not answered is passed over after this long; doubled for each round through all peers, up to the second. */
  readonly replyMsMin: number;
  readonly replyMsMax: number;
}

/** Fetching a checkpoint from peers (`replica/state-transfer.ts`). */
export interface TransferLimits {
  /** Asked for by one replica, so that a transfer leaves room for clients. */
  readonly bytesPerSecondMax: number;
  /** A peer that has not answered after this long is passed over for `restMs`. */
  readonly replyMs: number;
  readonly restMs: number;
  /** Chunks read at once for peers that ask; further questions are dropped and come again. */
  readonly readsInFlightMax: number;
}

/** Ordering under Byzantine faults (`consensus/bft`, `replica/bft-driver.ts`). The first two must be the same at all replicas. */
export interface ByzantineLimits {
  /** Entries above the last stable checkpoint that may be under way; at least twice `checkpointEntries`. */
  readonly windowEntries: number;
  /** A checkpoint is taken at least this often, in entries: nothing is ordered further than a window beyond the last that a quorum has. */
  readonly checkpointEntries: number;
  /** How often a replica says where it stands, so that it is sent again what it lacks. */
  readonly statusMs: number;
  /** A request that waits for so long is told to all replicas. */
  readonly overdueMs: number;
  /** A client's oldest request that was told waits for so long before the primary is given up; doubled with each view that brings nothing. */
  readonly requestMs: number;
  readonly requestMsMax: number;
  /** Requests of one client that are watched. */
  readonly watchedMax: number;
  /** A proposal's time may be so far from a backup's clock: correct replicas' clocks must be as close to each other. */
  readonly clockBoundMs: number;
}

/** What replicas are expected to do wrong at worst: to stop, or anything at all. */
export const faultModels = ["crash", "byzantine"] as const;
export type FaultModel = (typeof faultModels)[number];
export const defaultFaultModel: FaultModel = "crash";

export interface Limits extends ReplicatedLimits {
  readonly raft: RaftLimits;
  readonly admission: AdmissionLimits;
  readonly execution: ExecutionLimits;
  readonly transport: TransportLimits;
  readonly storage: StorageLimits;
  readonly repair: RepairLimits;
  readonly transfer: TransferLimits;
  readonly byzantine: ByzantineLimits;
}

/** Where a replica orders: on the thread that executes commands, or on one of its own. */
export const enginePlaces = ["inline", "worker"] as const;
export type EnginePlace = (typeof enginePlaces)[number];
export const defaultEnginePlace: EnginePlace = "inline";

export const defaultLimits: Limits = {
  checkpoints: {
    logEntriesMax: 100_000,
    logBytesMax: 16_777_216,
    chunkBytes: 1_048_576,
  },
  sessions: {
    sessionsMax: 65_536,
    expiryMs: 3_600_000,
    expirationsPerEntryMax: 1_024,
    repliesMax: 16_384,
    replyBytesMax: 16_777_216,
    replyBytesTotalMax: 268_435_456,
    tombstonesMax: 1_024,
  },
  idempotency: {
    keysMax: 262_144,
    bytesMax: 134_217_728,
    retentionMs: 86_400_000,
    expirationsPerEntryMax: 1_024,
  },
  lease: {
    durationMs: 0,
    clockDriftPercentMax: 10,
  },
  machine: {
    timersPerEntryMax: 256,
    eventsMax: 65_536,
    eventsBytesMax: 33_554_432,
  },
  audit: {
    everyCommands: 1_000,
    everyMs: 1_000,
    reportMs: 5_000,
  },
  raft: {
    heartbeatMs: 100,
    electionTimeoutMsMin: 1_000,
    electionTimeoutMsMax: 2_000,
    reconnectElectionMsMax: 30,
    appendBytesMax: 1_048_576,
    inflightCountMax: 64,
    inflightBytesMax: 8_388_608,
    logCacheBytes: 33_554_432,
    tickMs: 10,
    priority: 1,
    priorityStableMs: 10_000,
    writeStallMsMax: 6_000,
    turnStallMsMax: 2_000,
  },
  admission: {
    queueCountMax: 65_536,
    queueBytesMax: 67_108_864,
    batchCountMax: 4_096,
    batchBytesMax: 131_072,
    pipelineMax: 4,
    waitingMax: 131_072,
    waitingBytesMax: 268_435_456,
    waitingPerConnectionMax: 65_536,
    waitingBytesPerConnectionMax: 33_554_432,
    queriesMax: 131_072,
    queriesBytesMax: 134_217_728,
    eventWaitsMax: 65_536,
    queryMs: 5_000,
    renewMs: 500,
  },
  execution: {
    requestsPerTurnMax: 1_024,
    bytesPerTurnMax: 131_072,
    deliveredBytesMax: 33_554_432,
    stallMsMax: 10_000,
    commandMsMax: 30_000,
    rebuildsMax: 2,
    rebuildWindowMs: 3_600_000,
  },
  transport: {
    peerFrameBytesMax: 16_777_216,
    clientFrameBytesMax: 8_388_608,
    handshakeMs: 5_000,
    clientConnectionsMax: 10_000,
    clientOutputBytesMax: 4_194_304,
    clientOutputBytesHardMax: 67_108_864,
    redialMsMin: 20,
    redialMsMax: 200,
    peerSilenceMsMax: 3_000,
  },
  storage: {
    segmentBytes: 16_777_216,
    groupsInFlightMax: 1,
    reserveBytes: 4_194_304,
    checkpointsBytesMax: 67_108_864,
  },
  repair: {
    requestsInFlightMax: 8,
    readsInFlightMax: 16,
    replyMsMin: 200,
    replyMsMax: 10_000,
  },
  transfer: {
    bytesPerSecondMax: 67_108_864,
    replyMs: 5_000,
    restMs: 1_000,
    readsInFlightMax: 4,
  },
  byzantine: {
    windowEntries: 1_024,
    checkpointEntries: 256,
    statusMs: 200,
    overdueMs: 500,
    requestMs: 2_000,
    requestMsMax: 60_000,
    watchedMax: 64,
    clockBoundMs: 10_000,
  },
};

/** The first relation that does not hold, as a sentence for people. */
export function checkLimits(limits: Limits): string | undefined {
  return (
    checkCounts("checkpoints", limits.checkpoints) ??
    checkCounts("sessions", limits.sessions) ??
    checkCounts("idempotency", limits.idempotency) ??
    checkLease(limits) ??
    checkCounts("machine", limits.machine) ??
    checkCounts("audit", limits.audit) ??
    checkCounts("raft", limits.raft) ??
    checkCounts("admission", limits.admission) ??
    checkCounts("execution", limits.execution) ??
    checkCounts("transport", limits.transport) ??
    checkCounts("storage", limits.storage) ??
    checkCounts("repair", limits.repair) ??
    checkCounts("transfer", limits.transfer) ??
    checkCounts("byzantine", limits.byzantine) ??
    checkByzantine(limits.byzantine) ??
    checkSessions(limits.sessions) ??
    checkRaft(limits.raft) ??
    checkRepair(limits.repair) ??
    checkSizes(limits)
  );
}

/** Equal for replicas that execute alike: every replicated limit in a fixed order. */
export function fingerprintOf(limits: ReplicatedLimits): string {
  const { checkpoints, sessions, idempotency, lease, machine, audit } = limits;
  return [checkpoints, sessions, idempotency, lease, machine, audit].map(textOf).join(";");
}

function checkSessions(limits: SessionLimits): string | undefined {
  if (limits.replyBytesTotalMax < limits.replyBytesMax) {
    return `Cannot keep replies: sessions.replyBytesTotalMax (${limits.replyBytesTotalMax}) is less than sessions.replyBytesMax (${limits.replyBytesMax}).`;
  }
  if (limits.expiryMs < 1000)
    return `Cannot keep sessions: sessions.expiryMs is ${limits.expiryMs} and must be at least 1000.`;
  return undefined;
}

/** What is left of it for the leader must outlast the time to the next round, and it must not hold up an election after a time-out. */
function checkLease({ lease, raft }: Limits): string | undefined {
  const { durationMs, clockDriftPercentMax } = lease;
  const objection = checkCounts("lease", durationMs === 0 ? { clockDriftPercentMax } : lease);
  if (objection !== undefined || durationMs === 0) return objection;
  if (clockDriftPercentMax > 90)
    return `Cannot use leases: lease.clockDriftPercentMax (${clockDriftPercentMax}) must be at most 90.`;
  const usableMs = (durationMs * (100 - clockDriftPercentMax)) / (100 + clockDriftPercentMax);
  if (usableMs < 2 * raft.heartbeatMs)
    return `Cannot use leases: of lease.durationMs (${durationMs}) a drift of ${clockDriftPercentMax} % leaves ${Math.floor(usableMs)} ms, and that must be at least twice raft.heartbeatMs (${raft.heartbeatMs}).`;
  if (durationMs > raft.electionTimeoutMsMin)
    return `Cannot use leases: lease.durationMs (${durationMs}) must be at most raft.electionTimeoutMsMin (${raft.electionTimeoutMsMin}).`;
  return undefined;
}

function checkRaft(limits: RaftLimits): string | undefined {
  const { heartbeatMs, electionTimeoutMsMin, electionTimeoutMsMax, tickMs } = limits;
  if (electionTimeoutMsMax <= electionTimeoutMsMin) {
    return `Cannot hold elections: raft.electionTimeoutMsMax (${electionTimeoutMsMax}) must be more than raft.electionTimeoutMsMin (${electionTimeoutMsMin}).`;
  }
  if (electionTimeoutMsMin < 3 * heartbeatMs) {
    return `Cannot keep a leader: raft.electionTimeoutMsMin (${electionTimeoutMsMin}) must be at least three times raft.heartbeatMs (${heartbeatMs}).`;
  }
  if (tickMs > heartbeatMs / 2) {
    return `Cannot keep time: raft.tickMs (${tickMs}) must be at most half of raft.heartbeatMs (${heartbeatMs}).`;
  }
  return undefined;
}

function checkByzantine(limits: ByzantineLimits): string | undefined {
  const { windowEntries, checkpointEntries, overdueMs, requestMs, requestMsMax } = limits;
  if (windowEntries < 2 * checkpointEntries) {
    return `Cannot order: byzantine.windowEntries (${windowEntries}) must be at least twice byzantine.checkpointEntries (${checkpointEntries}).`;
  }
  if (requestMs < 2 * overdueMs) {
    return `Cannot watch a primary: byzantine.requestMs (${requestMs}) must be at least twice byzantine.overdueMs (${overdueMs}).`;
  }
  if (requestMsMax < requestMs) {
    return `Cannot watch a primary: byzantine.requestMsMax (${requestMsMax}) is less than byzantine.requestMs (${requestMs}).`;
  }
  return undefined;
}

function checkRepair({ replyMsMin, replyMsMax }: RepairLimits): string | undefined {
  if (replyMsMax >= replyMsMin) return undefined;
  return `Cannot repair: repair.replyMsMax (${replyMsMax}) must be at least repair.replyMsMin (${replyMsMin}).`;
}

/** A legal request fits into an entry, an entry into a message, a message into a frame (hazard R13). */
function checkSizes(limits: Limits): string | undefined {
  const { admission, transport, raft, storage } = limits;
  const entryBytes = Math.max(admission.batchBytesMax, requestLimits.requestBytesMax) + 65_536;
  const messageBytes = Math.max(raft.appendBytesMax, entryBytes) + 65_536;
  if (storage.segmentBytes < entryBytes + 65_536 || storage.segmentBytes > 268_435_456) {
    return `Cannot store an entry: storage.segmentBytes (${storage.segmentBytes}) must be from ${entryBytes + 65_536} to 268435456.`;
  }
  if (storage.reserveBytes > storage.segmentBytes / 2) {
    return `Cannot keep a reserve: storage.reserveBytes (${storage.reserveBytes}) must be at most half of storage.segmentBytes (${storage.segmentBytes}).`;
  }
  if (transport.peerFrameBytesMax < messageBytes) {
    return `Cannot send an entry: transport.peerFrameBytesMax (${transport.peerFrameBytesMax}) must be at least ${messageBytes}.`;
  }
  // A chunk ends behind the frame that passes its size, and a frame behind the value that passes its own.
  const chunkBytes =
    limits.checkpoints.chunkBytes + requestLimits.valueBytesMax + requestLimits.stateKeyBytesMax + 131_072;
  if (transport.peerFrameBytesMax < chunkBytes) {
    return `Cannot send a checkpoint: transport.peerFrameBytesMax (${transport.peerFrameBytesMax}) must be at least ${chunkBytes}.`;
  }
  if (transport.clientFrameBytesMax < requestLimits.replyBytesMax + 65_536) {
    return `Cannot send a reply: transport.clientFrameBytesMax (${transport.clientFrameBytesMax}) must be at least ${requestLimits.replyBytesMax + 65_536}.`;
  }
  if (admission.batchCountMax > requestLimits.batchCountMax) {
    return `Cannot make a batch: admission.batchCountMax (${admission.batchCountMax}) must be at most ${requestLimits.batchCountMax}.`;
  }
  return undefined;
}

function checkCounts(section: string, limits: object): string | undefined {
  for (const [name, value] of Object.entries(limits) as [string, unknown][]) {
    if (!Number.isSafeInteger(value) || Number(value) < 1) {
      return `Cannot use ${section}.${name}: it is ${String(value)} and must be a whole number from 1.`;
    }
  }
  return undefined;
}

function textOf(section: object): string {
  return Object.entries(section)
    .map(([name, value]) => `${name}=${String(value)}`)
    .sort()
    .join(",");
}
