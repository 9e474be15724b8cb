/**
 * A replica's counters in Prometheus's text form, with the names that operators of etcd know.
 *
 * Owns: names, help texts and which counter feeds which metric. Nothing is counted here: every metric reads the replica's status
 * when it is scraped, so the hot path pays nothing. docs/reference/metrics.md lists the same names (tested).
 */
import { Counter, Gauge, Registry, type CounterConfiguration, type GaugeConfiguration } from "prom-client";
import type { ReplicaStatus } from "../api/replica.js";
import type { RespCounters } from "./resp/counters.js";
import type { EventLoopReport } from "../node/event-loop.js";

export interface MetricSources {
  status(): ReplicaStatus;
  eventLoop(): EventLoopReport;
  /** Of the thread of the ordering engine, if that has one of its own. */
  engineEventLoop(): EventLoopReport | undefined;
  logLinesDropped(): number;
  /** Requests that HTTP answered, by status code. */
  httpAnswers(): ReadonlyMap<number, number>;
  /** `undefined` if Redis clients are not served. */
  redis(): RespCounters | undefined;
}

type Read = (status: ReplicaStatus, sources: MetricSources) => number;

const prefix = "quorate_";

const gauges: readonly (readonly [string, string, Read])[] = [
  ["has_leader", "1 if this replica knows a leader.", (status) => Number(status.leader !== undefined)],
  ["is_leader", "1 if this replica is the leader.", (status) => Number(status.role === "leader")],
  ["is_learner", "1 if this replica is a learner.", (status) => Number(status.role === "learner")],
  ["ready", "1 if this replica executes what it must and can reach a leader.", (status) => Number(status.ready)],
  ["broken", "1 if this replica has stepped aside for good.", (status) => Number(status.broken !== undefined)],
  ["disk_full", "1 if the disk has no space for more log.", (status) => Number(status.storage.full !== undefined)],
  [
    "unfinished_command",
    "1 if this replica waits at a command that it cannot finish.",
    (status) => Number(status.unfinished !== undefined),
  ],
  [
    "audit_named_replicas",
    "Replicas that differ from more than half of all voters.",
    (status) => status.audit.named.length,
  ],
  [
    "audit_unchecked_replicas",
    "Replicas that were not checked at the last position.",
    (status) => status.audit.replicas.filter(({ unchecked }) => unchecked > 0).length,
  ],
  [
    "audit_alarms",
    "Replicas that were not checked for 30 s of agreed time.",
    (status) => status.audit.replicas.filter(({ isAlarm }) => isAlarm).length,
  ],
  [
    "quarantined",
    "1 if this replica is set aside because it differs: it answers nobody.",
    ({ quarantine: { state } }) => Number(state !== "sound" && state !== "unspared"),
  ],
  [
    "quarantine_alarm",
    "1 if it differs and will not heal by itself: it is stopped, or cannot be spared.",
    ({ quarantine: { state } }) => Number(state === "stopped" || state === "unspared"),
  ],
  ["scrub_cycle_seconds", "The last look at the whole state took so long.", ({ audit }) => audit.scrub.cycleMs / 1000],
  ["term", "Raft's current term.", (status) => status.term],
  ["log_last_index", "Last index in this replica's log.", (status) => status.lastIndex],
  ["proposals_committed_index", "Index up to which the order is decided.", (status) => status.commitIndex],
  ["proposals_applied_index", "Index up to which this replica has executed.", (status) => status.executedIndex],
  ["checkpoint_index", "Last entry that the newest checkpoint covers.", (status) => status.checkpoint.index],
  [
    "checkpoint_certified_index",
    "Last entry that a checkpoint covers which f + 1 replicas have reported alike.",
    (status) => status.checkpoint.certifiedIndex,
  ],
  ["checkpoint_bytes", "Bytes of the newest checkpoint.", (status) => status.checkpoint.bytes],
  [
    "checkpoint_fetching_bytes",
    "Bytes of the checkpoint that is being fetched from peers; 0 without one.",
    (status) => status.checkpoint.fetching?.bytes ?? 0,
  ],
  [
    "checkpoint_fetching_done_bytes",
    "Bytes of it that are here.",
    (status) => status.checkpoint.fetching?.bytesDone ?? 0,
  ],
  ["log_start_index", "Last entry that the log does not hold any more.", (status) => status.checkpoint.logStart],
  ["proposals_pending", "Requests taken and not yet answered.", (status) => status.counters.proposalsPending],
  ["proposals_pending_bytes", "Bytes of those, and of queries.", (status) => status.counters.pendingBytes],
  ["sessions", "Sessions in the replicated table.", (status) => status.counters.sessions],
  ["client_connections", "Open connections of clients.", (status) => status.counters.clientConnections],
  ["peers_connected", "Other replicas that this one is connected to.", countConnected],
  ["machine_version_active", "Version of the machine that executes.", (status) => status.machine.active],
  ["machine_version_since_index", "The entry at which it started.", (status) => status.machine.since],
  ["machine_versions_failed", "Versions whose migration threw.", (status) => status.machine.failed.length],
  ["uptime_seconds", "Seconds since this process started the replica.", (status) => status.uptimeMs / 1000],
  ["redis_connections", "Open connections of Redis clients.", (_status, sources) => sources.redis()?.connections ?? 0],
  ["event_loop_longest_turn_seconds", "Longest time the event loop was held, wall clock.", longestWall],
  ["event_loop_longest_turn_cpu_seconds", "Processor time of that thread within it, at most.", longestCpu],
  [
    "engine_event_loop_longest_turn_seconds",
    "The same of the ordering engine's thread, wall clock; 0 without one.",
    (_status, sources) => (sources.engineEventLoop()?.longestTurnWallMs ?? 0) / 1000,
  ],
  [
    "engine_event_loop_longest_turn_cpu_seconds",
    "Processor time of that thread within it, at most.",
    (_status, sources) => (sources.engineEventLoop()?.longestTurnCpuMs ?? 0) / 1000,
  ],
];

const counters: readonly (readonly [string, string, Read])[] = [
  [
    "leader_changes_seen_total",
    "Changes of leader that this replica has seen.",
    (status) => status.counters.leaderChanges,
  ],
  ["scrub_cycles_total", "Looks at the whole state, as it lies in memory.", ({ audit }) => audit.scrub.cycles],
  [
    "scrub_mismatches_total",
    "Parts of the state that were found to be not what was written.",
    ({ audit }) => audit.scrub.mismatches,
  ],
  ["scrub_chunk_cycles_total", "Looks at all of the checkpoints on the disk.", ({ audit }) => audit.scrub.chunkCycles],
  [
    "scrub_chunks_damaged_total",
    "Files of checkpoints that were found to be not what they were.",
    ({ audit }) => audit.scrub.chunksDamaged,
  ],
  ["proposals_total", "Entries that this replica proposed.", (status) => status.counters.entriesProposed],
  ["requests_admitted_total", "Requests admitted.", (status) => status.counters.requestsAdmitted],
  ["commands_executed_total", "Commands executed.", (status) => status.counters.commandsExecuted],
  [
    "commands_repeated_total",
    "Repeated commands answered from the stored reply.",
    (status) => status.counters.commandsRepeated,
  ],
  ["timers_fired_total", "Timers of the machine fired.", (status) => status.counters.timersFired],
  ["timers_failed_total", "Timers whose handler threw.", (status) => status.counters.timersFailed],
  ["events_emitted_total", "Events emitted since the machine began.", (status) => status.counters.eventsEmitted],
  [
    "forbidden_uses_total",
    "Uses of the clock, randomness and the like by the machine: each has failed.",
    (status) => status.counters.forbiddenUses,
  ],
  [
    "quarantines_total",
    "How often this replica was set aside because it differed.",
    (status) => status.quarantine.count,
  ],
  ["queries_answered_total", "Queries answered.", (status) => status.counters.queriesAnswered],
  ["disk_wal_writes_total", "Writes to the log.", (status) => status.counters.logWrites],
  ["disk_wal_fsyncs_total", "Flushes of the log.", (status) => status.counters.logSyncs],
  ["disk_wal_write_bytes_total", "Bytes written to the log.", (status) => status.counters.logBytes],
  ["checkpoints_taken_total", "Checkpoints written.", (status) => status.counters.checkpointsTaken],
  ["checkpoints_fetched_total", "Checkpoints fetched from peers.", (status) => status.counters.checkpointsFetched],
  [
    "network_peer_received_bytes_total",
    "Bytes received from other replicas.",
    (status) => status.counters.peerBytesReceived,
  ],
  ["network_peer_sent_bytes_total", "Bytes sent to other replicas.", (status) => status.counters.peerBytesSent],
  [
    "log_lines_dropped_total",
    "Lines of this process's log that nobody read.",
    (_status, sources) => sources.logLinesDropped(),
  ],
  [
    "redis_connections_total",
    "Connections of Redis clients accepted.",
    (_status, sources) => sources.redis()?.connectionsAccepted ?? 0,
  ],
  [
    "redis_connections_refused_total",
    "Connections of Redis clients over the limit.",
    (_status, sources) => sources.redis()?.connectionsRefused ?? 0,
  ],
  ["signatures_made_total", "Signatures made.", ({ counters }) => counters.signatures.made],
  ["signatures_verified_total", "Signatures of others verified.", ({ counters }) => counters.signatures.verified],
  [
    "signatures_known_total",
    "Signatures of others that were verified before.",
    ({ counters }) => counters.signatures.known,
  ],
  ["redis_commands_total", "Commands of Redis clients.", (_status, sources) => sources.redis()?.commands ?? 0],
  [
    "redis_protocol_errors_total",
    "Redis clients that did not speak the protocol.",
    (_status, sources) => sources.redis()?.protocolErrors ?? 0,
  ],
];

/** What `/metrics` answers. */
export interface Metrics {
  readonly contentType: string;
  render(): Promise<string>;
}

export function openMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  for (const [name, help, read] of gauges) {
    const gauge: Gauge = new Gauge({
      name: prefix + name,
      help,
      registers: [registry],
      collect: (): void => gauge.set(read(sources.status(), sources)),
    });
  }
  for (const [name, help, read] of counters) {
    counterOf(registry, { name: prefix + name, help }, (set) => set({}, read(sources.status(), sources)));
  }
  labelledMetrics(registry, sources);
  counterOf(
    registry,
    {
      name: `${prefix}signed_messages_refused_total`,
      help: "Signed messages refused, by reason.",
      labelNames: ["reason"],
    },
    (set) => {
      const { refused } = sources.status().counters.signatures;
      for (const [reason, count] of Object.entries(refused)) set({ reason }, count);
    },
  );
  return {
    contentType: registry.contentType,
    render: async () => (await registry.metrics()) + renderSyncHistogram(sources.status()),
  };
}

function labelledMetrics(registry: Registry, sources: MetricSources): void {
  const configuration: GaugeConfiguration<"version" | "machine" | "machine_version" | "id" | "cluster"> = {
    name: `${prefix}info`,
    help: "1, labelled by what runs here.",
    labelNames: ["version", "machine", "machine_version", "id", "cluster"],
    registers: [registry],
    collect: () => {
      const { quorateVersion, machine, id, clusterId } = sources.status();
      info.set(
        { version: quorateVersion, machine: machine.name, machine_version: machine.version, id, cluster: clusterId },
        1,
      );
    },
  };
  const info = new Gauge(configuration);
  peerGauge(registry, { name: "peer_inflight_bytes", help: "Sent to it, not acknowledged (leader only)." }, (set) => {
    for (const { id, inFlightBytes } of sources.status().members)
      if (inFlightBytes !== undefined) set(id, inFlightBytes);
  });
  peerGauge(registry, { name: "peer_queued_bytes", help: "Waiting in this process to leave for it." }, (set) => {
    const { members, id: self } = sources.status();
    for (const { id, queuedBytes } of members) if (id !== self) set(id, queuedBytes);
  });
  counterOf(
    registry,
    { name: `${prefix}requests_refused_total`, help: "Requests refused, by code.", labelNames: ["code"] },
    (set) => {
      for (const [code, count] of Object.entries(sources.status().counters.requestsRefused)) set({ code }, count);
    },
  );
  counterOf(
    registry,
    {
      name: `${prefix}audit_positions_total`,
      help: "Positions at which replicas were compared, by verdict.",
      labelNames: ["verdict"],
    },
    (set) => {
      for (const [verdict, count] of Object.entries(sources.status().audit.positions)) set({ verdict }, count);
    },
  );
  counterOf(
    registry,
    { name: `${prefix}resignations_total`, help: "Leadership given up by itself, by reason.", labelNames: ["reason"] },
    (set) => {
      for (const [reason, count] of Object.entries(sources.status().counters.resignations)) set({ reason }, count);
    },
  );
  counterOf(
    registry,
    { name: `${prefix}frames_dropped_total`, help: "Frames dropped, by reason.", labelNames: ["reason"] },
    (set) => {
      for (const [reason, count] of Object.entries(sources.status().counters.framesDropped)) set({ reason }, count);
    },
  );
  counterOf(
    registry,
    { name: `${prefix}http_answers_total`, help: "HTTP requests answered, by status.", labelNames: ["code"] },
    (set) => {
      for (const [code, count] of sources.httpAnswers()) set({ code: String(code) }, count);
    },
  );
}

/** Labelled by the peers of now. */
function peerGauge(
  registry: Registry,
  { name, help }: { readonly name: string; readonly help: string },
  collect: (set: (peer: string, value: number) => void) => void,
): void {
  const gauge = new Gauge({
    name: prefix + name,
    help,
    labelNames: ["peer"],
    registers: [registry],
    collect: () => {
      gauge.reset();
      collect((peer, value) => gauge.set({ peer }, value));
    },
  });
}

/** A counter that is set to what was counted elsewhere: reset and raised by the whole at each scrape. */
function counterOf(
  registry: Registry,
  configuration: CounterConfiguration<string>,
  collect: (set: (labels: Record<string, string>, count: number) => void) => void,
): void {
  const counter = new Counter({
    ...configuration,
    registers: [registry],
    collect: () => {
      counter.reset();
      collect((labels, count) => counter.inc(labels, count));
    },
  });
}

/** The histogram is counted where the flushes happen; `prom-client` has no way to take one over, so its text is written here. */
function renderSyncHistogram(status: ReplicaStatus): string {
  const { bounds, counts, sum } = status.counters.syncSeconds;
  const name = `${prefix}disk_wal_fsync_duration_seconds`;
  const lines = [`# HELP ${name} Seconds per flush of the log.`, `# TYPE ${name} histogram`];
  for (const [at, bound] of bounds.entries()) lines.push(`${name}_bucket{le="${bound}"} ${counts[at] ?? 0}`);
  const total = counts[bounds.length] ?? counts.at(-1) ?? 0;
  lines.push(`${name}_bucket{le="+Inf"} ${total}`, `${name}_sum ${sum}`, `${name}_count ${total}`, "");
  return lines.join("\n");
}

function countConnected(status: ReplicaStatus): number {
  return status.members.filter((member) => member.connected && member.id !== status.id).length;
}

function longestWall(_status: ReplicaStatus, sources: MetricSources): number {
  return sources.eventLoop().longestTurnWallMs / 1000;
}

function longestCpu(_status: ReplicaStatus, sources: MetricSources): number {
  return sources.eventLoop().longestTurnCpuMs / 1000;
}

/** Every name that `/metrics` may show, for the reference page's test. */
export const metricNames: readonly string[] = [
  ...gauges.map(([name]) => prefix + name),
  ...counters.map(([name]) => prefix + name),
  ...[
    "info",
    "peer_inflight_bytes",
    "peer_queued_bytes",
    "requests_refused_total",
    "audit_positions_total",
    "resignations_total",
    "frames_dropped_total",
    "signed_messages_refused_total",
    "http_answers_total",
    "disk_wal_fsync_duration_seconds",
  ].map((name) => prefix + name),
];
