/**
 * The limits of a replica as options of a process.
 *
 * Owns: what each means to an operator, and putting a replica's limits together from its settings. Leaves to others: their defaults and what
 * must hold between them (`api/config.ts`).
 */
import { z } from "zod";
import { defaultLimits, type Limits } from "../api/config.js";

/** Every limit by section and name; the compiler sees to it that none is left out. */
type Meanings = { readonly [Section in keyof Limits]: { readonly [Name in keyof Limits[Section]]: string } };

const meanings: Meanings = {
  checkpoints: {
    logEntriesMax: "Entries of the log after which a checkpoint is taken.",
    logBytesMax:
      "Bytes of the log after which a checkpoint is taken, or a quarter of the last checkpoint's, whichever is more.",
    chunkBytes: "A chunk of a checkpoint ends behind what passes this.",
  },
  sessions: {
    sessionsMax: "Clients' sessions held at once. One more evicts the least recently used.",
    expiryMs: "A session that nobody uses for this long expires. At least 1000.",
    expirationsPerEntryMax: "Sessions expired by one entry at most.",
    repliesMax: "Replies kept for one session until they are acknowledged, and so its requests in flight.",
    replyBytesMax: "Bytes of replies kept for one session.",
    replyBytesTotalMax: "Bytes of replies kept for all sessions; beyond it the least recently used are evicted.",
    tombstonesMax: "Numbers of one session settled as never to be executed, ahead of its next.",
  },
  idempotency: {
    keysMax: "Idempotency keys held at once; a new one is refused when all are held.",
    bytesMax: "Bytes of idempotency keys and their replies.",
    retentionMs: "How long an idempotency key is held.",
    expirationsPerEntryMax: "Idempotency keys expired by one entry at most.",
  },
  lease: {
    durationMs: "How long a leader may answer reads by its lease, before allowing for drift; 0: leases are off.",
    clockDriftPercentMax: "How much faster or slower than true time any replica's clock may run. At most 90.",
  },
  machine: {
    timersPerEntryMax: "Timers fired by one entry at most; the others follow with the next.",
    eventsMax: "Events of each name that are kept for those who follow them.",
    eventsBytesMax: "Bytes of events of each name that are kept.",
  },
  audit: {
    everyCommands: "Requests after which replicas compare what they have.",
    everyMs: "Time after a request by which they do so at the latest.",
    reportMs: "A replica that has not reported what it has by then was not checked.",
  },
  raft: {
    heartbeatMs: "A leader is heard at least this often.",
    electionTimeoutMsMin: "A follower that heard no leader for a random time from this on stands for election.",
    electionTimeoutMsMax: "The longest such time.",
    reconnectElectionMsMax:
      "When the connection to the leader breaks, a follower stands after a random time up to this.",
    appendBytesMax: "Bytes of entries in one message.",
    inflightCountMax: "Unacknowledged messages on the way to one follower.",
    inflightBytesMax: "Bytes in them.",
    logCacheBytes:
      "Bytes of the newest entries kept in memory; older ones are read from disk for a follower that lags.",
    tickMs: "How often timers are looked at.",
    priority: "Of this replica: a leader hands over to a voter of a higher priority that is up to date.",
    priorityStableMs: "A leader leads for so long before it makes way for a higher priority.",
    writeStallMsMax: "A leader whose write to its log takes longer hands leadership over.",
    turnStallMsMax: "A leader whose event loop stood still for longer hands leadership over.",
  },
  admission: {
    queueCountMax: "Admitted requests that wait to be proposed.",
    queueBytesMax: "Bytes of them.",
    batchCountMax: "Requests in one entry.",
    batchBytesMax: "Bytes of them.",
    pipelineMax: "Entries proposed and not yet committed: what comes meanwhile is collected.",
    waitingMax: "Requests that clients of this replica wait for.",
    waitingBytesMax: "Bytes of them.",
    waitingPerConnectionMax: "Requests that one connection waits for.",
    waitingBytesPerConnectionMax: "Bytes of them.",
    queriesMax: "Queries that wait for a read barrier or for execution.",
    queriesBytesMax: "Bytes of their inputs.",
    eventWaitsMax: "Clients that wait for events.",
    queryMs: "A query that finds no leader, or that execution does not reach, within this time is refused.",
    renewMs:
      "A read barrier is asked for at least this often, so that the age of what this replica has is known; under Byzantine faults four times as seldom.",
  },
  execution: {
    requestsPerTurnMax: "Requests executed in one turn of the event loop.",
    bytesPerTurnMax: "Bytes of entries executed in one turn of the event loop.",
    deliveredBytesMax: "Bytes of entries handed to execution and not yet executed.",
    stallMsMax: "A leader that has not executed a decided entry for longer hands leadership over.",
    commandMsMax: "A command or query that runs for longer ends its process, which does not try that command again.",
    rebuildsMax: "A replica that differs again after so many rebuilds is not rebuilt any more.",
    rebuildWindowMs: "Rebuilds within this time count.",
  },
  transport: {
    peerFrameBytesMax: "Bytes of one frame between replicas.",
    clientFrameBytesMax: "Bytes of one frame between a client and a replica.",
    handshakeMs: "How long a new connection has to say who it is.",
    clientConnectionsMax: "Connections of clients; more are refused.",
    clientOutputBytesMax: "A client that leaves more bytes than this unread is not read from.",
    clientOutputBytesHardMax: "A client that leaves more bytes than this unread is disconnected.",
    redialMsMin: "Delay before another replica is dialed again: random, from this on.",
    redialMsMax: "The longest such delay; 32 times as long for a replica that is no member.",
    peerSilenceMsMax: "A link between replicas on which nothing is heard for so long is broken and dialed again.",
  },
  storage: {
    segmentBytes: "Bytes of each new file of the log; 1 MiB to 256 MiB.",
    groupsInFlightMax: "Flushes of the log that may be in flight together.",
    reserveBytes: "Room in the log that commands leave free when the disk is full.",
    checkpointsBytesMax:
      "Bytes of the last two checkpoints up to which both are kept, with the log since the older; else only the newest.",
  },
  repair: {
    requestsInFlightMax: "Damaged entries asked for at once.",
    readsInFlightMax: "Entries read at once for replicas that ask.",
    replyMsMin: "A replica that has not answered is passed over after this long.",
    replyMsMax: "The longest such time; it doubles with each round.",
  },
  transfer: {
    bytesPerSecondMax: "Bytes a second of a checkpoint that a replica fetches, so that clients do not suffer.",
    replyMs: "A replica that has not answered after this long is passed over.",
    restMs: "For how long it is passed over.",
    readsInFlightMax: "Chunks read at once for replicas that ask.",
  },
  byzantine: {
    windowEntries:
      "Under Byzantine faults: entries that may be under way beyond the last checkpoint that a quorum has. At least twice the next. The same at all replicas.",
    checkpointEntries: "Under Byzantine faults: entries after which a checkpoint is taken. The same at all replicas.",
    statusMs: "How often a replica says where it stands, so that it is sent again what it lacks.",
    overdueMs: "A request that waits for so long is told to all replicas.",
    requestMs: "A request that was told and still waits after this makes replicas give the primary up.",
    requestMsMax: "The longest such time: it doubles with each primary that brings nothing.",
    watchedMax: "Requests of one client that are watched.",
    clockBoundMs: "How far a proposal's time may be from a replica's own clock.",
  },
};

/** A replica refuses to follow one that differs in these. */
const replicated: ReadonlySet<string> = new Set([
  "checkpoints",
  "sessions",
  "idempotency",
  "lease",
  "machine",
  "audit",
]);

export interface LimitOption {
  readonly path: string;
  readonly schema: z.ZodType;
  readonly fallback: number;
  readonly meaning: string;
}

export const limitOptions: readonly LimitOption[] = Object.entries(meanings).flatMap(([section, names]) =>
  Object.entries(names).map(([name, meaning]) => ({
    path: `${section}.${name}`,
    schema: z.int().min(section === "lease" && name === "durationMs" ? 0 : 1),
    fallback: (defaultLimits[section as keyof Limits] as unknown as Readonly<Record<string, number>>)[name] ?? 0,
    meaning: replicated.has(section) ? `${meaning} The same at each replica.` : meaning,
  })),
);

/** `valueOf` answers the setting of a path. */
export function limitsOf(valueOf: (path: string) => number): Limits {
  const sections = Object.entries(meanings).map(([section, names]) => [
    section,
    Object.fromEntries(Object.keys(names).map((name) => [name, valueOf(`${section}.${name}`)])),
  ]);
  return Object.fromEntries(sections) as Limits;
}
