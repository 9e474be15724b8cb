/** What a replica tells about itself, from the figures of its two sides. */
import type { ReplicaStatus } from "../api/replica.js";
import type { Executor } from "../execution/executor.js";
import { bytesOf } from "../model/checkpoint.js";
import { maxIndex, noIndex, noTerm, type ReplicaId } from "../model/ids.js";
import { memberOf, type Membership } from "../model/membership.js";
import { keyNameOf } from "../wire/key-name.js";
import type { EvidenceStore } from "../storage/evidence-store.js";
import type { CheckpointStore } from "../storage/checkpoint-store.js";
import type { Identity } from "../transport/gate.js";
import type { EngineHealth } from "./channel.js";
import type { EngineFigures } from "./engine-side.js";
import type { Host } from "./host.js";
import type { HostOrdering } from "./host-ordering.js";
import type { StateTransfer } from "./state-transfer.js";

export interface StatusSources {
  readonly identity: Identity;
  readonly host: Host;
  readonly executor: Executor;
  readonly checkpoints: CheckpointStore;
  readonly evidence: EvidenceStore;
  readonly figures: EngineFigures;
  readonly membership: Membership;
  readonly connected: readonly ReplicaId[];
  readonly transfer: StateTransfer;
  readonly health: EngineHealth;
  /** Monotonic milliseconds. */
  readonly startedAt: number;
  readonly now: number;
  readonly broken: string | undefined;
  readonly clientConnections: number;
  readonly framesDropped: Readonly<Record<string, number>>;
  readonly ordering: Pick<HostOrdering, "signatures" | "administrator">;
}

type CoreStatus = Omit<ReplicaStatus, "quorateVersion" | "incarnation">;

/** Undecided entries that a replica which keeps up may have before it. */
const lagMax = 10_000;

export function statusOf(sources: StatusSources): CoreStatus {
  const { identity, host, executor, figures, membership, broken, health } = sources;
  const { role } = host;
  const executedIndex = host.execution.index;
  const checks = {
    log: broken === undefined,
    leader: role?.leader !== undefined,
    executing: figures.commitIndex - executedIndex < lagMax && executor.unfinished === undefined,
    whole: figures.isWhole,
    settled: role?.leader !== undefined && executedIndex > 0,
    sound: host.quarantine.isServing,
    member: memberOf(membership, identity.id) !== undefined,
  };
  return {
    id: identity.id,
    clusterId: identity.clusterId,
    role: role?.role ?? "follower",
    term: role?.view ?? role?.term ?? noTerm,
    leader: role?.leader,
    // The figures of an engine on another thread are a little older than what the host knows by itself.
    lastIndex: maxIndex(figures.lastIndex, executedIndex),
    commitIndex: maxIndex(figures.commitIndex, executedIndex),
    executedIndex,
    checkpoint: checkpointOf(sources),
    audit: auditOf(sources),
    quarantine: quarantineOf(sources),
    storage: { full: health.full },
    unfinished: unfinishedOf(executor),
    stalled: health.stalled,
    resigned: health.resigned,
    machine: machineOf(identity, executor),
    uptimeMs: Math.round(sources.now - sources.startedAt),
    epoch: role?.epoch,
    administrator: sources.ordering.administrator,
    members: membership.members.map(({ id, role: memberRole, peer, client, incarnation, key }) => {
      const connected = id === identity.id || sources.connected.includes(id);
      const { match, inFlightBytes } = figures.followers.get(id) ?? {};
      const queuedBytes = figures.traffic.queued.get(id) ?? 0;
      return {
        ...{ id, role: memberRole, peer, client, incarnation, key: key && keyNameOf(key) },
        ...{ connected, matchIndex: match, inFlightBytes, queuedBytes },
      };
    }),
    ready: Object.values(checks).every((good) => good),
    checks,
    broken,
    counters: countersOf(sources),
  };
}

function unfinishedOf({ unfinished }: Executor): ReplicaStatus["unfinished"] {
  return unfinished === undefined ? undefined : { ...unfinished.at, reason: unfinished.reason };
}

function machineOf({ machine, machineVersion }: Identity, executor: Executor): ReplicaStatus["machine"] {
  const { state, runnable } = executor.versions;
  const { active, since, offers, failed } = state;
  return {
    name: machine,
    version: machineVersion,
    active,
    since,
    versions: runnable,
    offers: offers.map(({ replica, incarnation, versions }) => ({ replica, incarnation, versions })),
    failed,
    timerFailure: executor.machineStatistics?.lastTimerFailure,
  };
}

/** A replica that was not checked for so long, by agreed time, is an alarm. */
const uncheckedMsMax = 30_000;

function auditOf({ executor: { audits, time }, host, evidence }: StatusSources): ReplicaStatus["audit"] {
  const { counts, open, recent, findings, named, replicas } = audits.table.state;
  return {
    positions: counts,
    waiting: open.length,
    recent,
    findings,
    named,
    replicas: replicas.map((replica) => {
      const uncheckedMs = replica.unchecked === 0 ? 0 : time - replica.uncheckedSince;
      return { ...replica, uncheckedMs, isAlarm: uncheckedMs >= uncheckedMsMax };
    }),
    scrub: host.scrubber.statistics,
    evidence: evidence.paths,
  };
}

function quarantineOf({ host, startedAt, now }: StatusSources): ReplicaStatus["quarantine"] {
  const { state, since, count, goneUpTo } = host.quarantine;
  const forMs = Math.round(now - (since ?? startedAt));
  return { state, forMs, count, replacedUpTo: goneUpTo, rebuiltFrom: host.execution.rebuiltFrom };
}

function checkpointOf({ checkpoints, host, figures, transfer }: StatusSources): ReplicaStatus["checkpoint"] {
  const { newest, certified } = checkpoints;
  return {
    index: newest?.last.index ?? noIndex,
    certifiedIndex: certified?.last.index ?? noIndex,
    bytes: newest === undefined ? 0 : bytesOf(newest),
    logStart: figures.logStart,
    failure: host.checkpointer.statistics.failure,
    fetching: transfer.progress,
  };
}

function countersOf({ host, executor, figures, transfer, ...sources }: StatusSources): ReplicaStatus["counters"] {
  const machine = executor.machineStatistics;
  return {
    ...host.counters,
    resignations: sources.health.resignations,
    queriesAnswered: host.queriesAnswered,
    timersFired: machine?.timersFired ?? 0,
    timersFailed: machine?.timersFailed ?? 0,
    eventsEmitted: machine?.eventsEmitted ?? 0,
    forbiddenUses: machine?.forbiddenUses ?? 0,
    entriesProposed: figures.entriesProposed,
    proposalsPending: host.pending,
    pendingBytes: host.pendingBytes,
    logWrites: figures.log.writes,
    logSyncs: figures.log.syncs,
    logBytes: figures.log.bytesWritten,
    checkpointsTaken: host.checkpointer.statistics.taken,
    checkpointsFetched: transfer.fetched,
    syncSeconds: figures.log.syncSeconds,
    sessions: executor.sessions.count,
    clientConnections: sources.clientConnections,
    framesDropped: sources.framesDropped,
    signatures: sources.ordering.signatures(),
    peerBytesReceived: figures.traffic.received,
    peerBytesSent: figures.traffic.sent,
  };
}
