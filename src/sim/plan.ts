/**
 * What one run will be, drawn from its seed: sizes, limits, how bad the network and the disks are, and which faults come when.
 *
 * Owns: the ranges. Swarm testing (Groce et al., "Swarm Testing", ISSTA 2012): each seed switches every kind of fault on or off by
 * itself and draws how hard it is, since a run with everything on hides what only shows when something is off. Limits are small,
 * so that every run fills windows, batches, session tables and segments. A plan is plain data; `shrink.ts` makes smaller ones of it.
 */
import { defaultLimits, type FaultModel, type Limits } from "../api/config.js";
import { randomStream } from "../base/random.js";
import { defaultClientLimits, type ClientLimits } from "../client/limits.js";
import { Draw } from "./draw.js";
import { changesMembers, faultClasses, type FaultKind, type PlannedFault } from "./faults.js";
import { drawLies, type PlannedLie } from "./plan-lies.js";
import { drawChanges } from "./plan-members.js";

export interface PlanOptions {
  readonly seed: number;
  readonly model: FaultModel;
  readonly replicas: number;
  readonly clients: number;
  readonly operations: number;
  readonly faults: readonly FaultKind[];
  /** The end of the phase with faults, in milliseconds; undefined: as long as the operations take. */
  readonly untilMs: number | undefined;
  /** Operations a second, of all clients together; undefined: drawn. */
  readonly pace: number | undefined;
  /** Default limits and a good network instead of drawn ones: for scenarios and for measuring. */
  readonly calm: boolean;
}

export interface NetworkPlan {
  readonly delayMsMin: number;
  readonly delayMsMax: number;
  readonly lossChance: number;
  readonly duplicateChance: number;
  readonly reorderChance: number;
}

export interface DiskPlan {
  readonly latencyMsMin: number;
  readonly latencyMsMax: number;
  readonly spikeChance: number;
  readonly spikeMsMax: number;
}

export interface Plan {
  readonly seed: number;
  readonly model: FaultModel;
  readonly replicas: number;
  /** Hosts beside the founders' that may be added; 0 if members never change. */
  readonly spares: number;
  readonly clients: number;
  readonly operations: number;
  /** When faults end and everything must become well. */
  readonly healAtMs: number;
  readonly limits: Limits;
  readonly clientLimits: ClientLimits;
  readonly network: NetworkPlan;
  readonly disk: DiskPlan;
  readonly turnMsMax: number;
  /** Milliseconds between two questions of one client. */
  readonly paceMs: number;
  readonly outstandingMax: number;
  readonly timeoutMsMax: number;
  /** Of the standard workload: fewer keys meet more often. */
  readonly keys: number;
  readonly faults: readonly PlannedFault[];
  /** Of the replicas in their order; without one it is that of the limits. */
  readonly priorities: readonly number[];
  /** From the beginning to the end of the run. At most f. */
  readonly lies: readonly PlannedLie[];
  /** What clients are told by replicas that lie. */
  readonly falseAnswers: readonly PlannedLie[];
  readonly hostileClients: number;
  /** Disk operations after which the very first start of a replica ends, by its place; undefined: it does not. */
  readonly foundingEndsAt: readonly (number | undefined)[];
}

export const calmNetwork: NetworkPlan = {
  delayMsMin: 0.05,
  delayMsMax: 0.3,
  lossChance: 0,
  duplicateChance: 0,
  reorderChance: 0,
};
export const calmDisk: DiskPlan = { latencyMsMin: 0.1, latencyMsMax: 0.4, spikeChance: 0, spikeMsMax: 0 };

/** As a replica runs, but with segments that need little memory. */
export const calmLimits: Limits = {
  ...defaultLimits,
  storage: { ...defaultLimits.storage, segmentBytes: 262_144, reserveBytes: 32_768 },
};

export function drawPlan(options: PlanOptions): Plan {
  const { seed, model, replicas, clients, operations, calm } = options;
  const draw = new Draw(randomStream(seed, "plan"));
  const drawn = calm
    ? calmLimits
    : boundStalls(drawKept(seed, { ...drawLimits(draw, clients), ...drawCheckpoints(seed), audit: drawAudit(seed) }));
  const limits = model === "byzantine" ? boundedByQuorums(drawn, seed, calm) : drawn;
  const opsPerSecond = options.pace ?? draw.spread(20, 2_000);
  const healAtMs = options.untilMs ?? Math.max(2_000, Math.min(60_000, (operations / opsPerSecond) * 1_000));
  const kinds = options.faults.filter((kind) => !isBeside(kind, model));
  const enabled = keptApart(
    draw,
    kinds.filter(() => draw.chance(enabledChance(kinds.length))),
  );
  const { lies, rounds, falseAnswers, hostileClients } = drawLies(options, healAtMs);
  const changes = drawChanges(options, healAtMs);
  return {
    seed,
    model,
    replicas,
    spares: changes.length > 0 || enabled.some(changesMembers) ? 2 : 0,
    clients,
    operations,
    healAtMs,
    limits,
    clientLimits: calm ? defaultClientLimits : drawClientLimits(draw),
    network: calm ? calmNetwork : drawNetwork(draw, enabled),
    disk: calm ? calmDisk : drawDisk(draw),
    turnMsMax: calm ? 0.02 : draw.pick([0.01, 0.1, 1]),
    paceMs: (clients * 1_000) / opsPerSecond,
    outstandingMax: calm ? 16 : draw.pick([1, 2, 4, 16]),
    timeoutMsMax: draw.pick([2_000, 10_000]),
    keys: draw.between(1, 4),
    faults: numbered([
      ...drawFaults(draw, enabled, healAtMs),
      ...drawBeside(options, healAtMs, { kind: "copiedDisk", stream: "copied disks", most: 4 }),
      ...rounds,
      ...drawBeside(options, healAtMs, { kind: "split", stream: "splits", most: 8 }),
      ...changes,
    ]),
    priorities: calm ? [] : drawPriorities(seed),
    lies,
    falseAnswers,
    hostileClients,
    foundingEndsAt: Array.from({ length: replicas }, () =>
      enabled.includes("startCrash") && draw.chance(0.3) ? draw.between(1, 30) : undefined,
    ),
  };
}

/** How many disks may be spoiled depends on who the members are: so in one run either members change or disks are damaged. */
function keptApart(draw: Draw, kinds: readonly FaultKind[]): readonly FaultKind[] {
  const damages = (kind: FaultKind): boolean => faultClasses["damage"]?.includes(kind) === true;
  if (!kinds.some(changesMembers) || !kinds.some(damages)) return kinds;
  const dropped = draw.chance(0.3) ? damages : changesMembers;
  return kinds.filter((kind) => !dropped(kind));
}

/** Whoever asks for a few kinds wants to see them together. */
function enabledChance(kinds: number): number {
  return Math.min(1, Math.max(0.4, 3 / kinds));
}

/** Ranges in the order of those of TigerBeetle's simulator: a few percent of loss is much for a stream. */
function drawNetwork(draw: Draw, enabled: readonly FaultKind[]): NetworkPlan {
  const chance = (kind: FaultKind, max: number): number => (enabled.includes(kind) ? draw.fraction() * max : 0);
  const delayMsMin = draw.spread(0.05, 2);
  return {
    delayMsMin,
    delayMsMax: delayMsMin + draw.spread(0.1, enabled.includes("delay") ? 40 : 5),
    lossChance: chance("loss", 0.05),
    duplicateChance: chance("duplication", 0.05),
    reorderChance: chance("reordering", 0.1),
  };
}

function drawDisk(draw: Draw): DiskPlan {
  const latencyMsMin = draw.spread(0.05, 2);
  return {
    latencyMsMin,
    latencyMsMax: latencyMsMin + draw.spread(0.1, 10),
    spikeChance: draw.chance(0.5) ? 0 : draw.fraction() * 0.02,
    spikeMsMax: draw.spread(10, 300),
  };
}

function drawClientLimits(draw: Draw): ClientLimits {
  const attemptMs = draw.pick([200, 500, 1_000]);
  return {
    ...defaultClientLimits,
    inFlightMax: draw.pick([1, 2, 4, 16]),
    attemptMs,
    attemptMsMax: attemptMs * draw.pick([2, 8]),
    connectMs: draw.pick([300, 1_000, 2_000]),
    backOffMsMax: draw.pick([100, 1_000]),
    keepAliveMs: draw.pick([500, 3_000, 30_000]),
    suspectMs: draw.pick([31_000, 90_000]),
    settledMax: draw.pick([1, 16, 1_024]),
  };
}

function drawLimits(draw: Draw, clients: number): Limits {
  const heartbeatMs = draw.pick([20, 30, 50, 100]);
  const electionTimeoutMsMin = heartbeatMs * draw.pick([3, 5, 10]);
  const segmentBytes = draw.pick([16_384, 32_768, 65_536, 262_144]);
  const batchBytesMax = draw.pick([256, 1_024, 4_096]);
  return {
    ...defaultLimits,
    sessions: drawSessions(draw, clients),
    // Half of the runs: a promise that is kept, with clocks as bad as it allows for.
    lease: {
      durationMs: electionTimeoutMsMin >= 5 * heartbeatMs && draw.chance(0.7) ? electionTimeoutMsMin : 0,
      clockDriftPercentMax: draw.pick([5, 30]),
    },
    machine: {
      timersPerEntryMax: draw.pick([1, 256]),
      eventsMax: draw.pick([4, 64, 65_536]),
      eventsBytesMax: draw.pick([1_024, 65_536]),
    },
    raft: {
      ...defaultLimits.raft,
      heartbeatMs,
      electionTimeoutMsMin,
      electionTimeoutMsMax: electionTimeoutMsMin * draw.pick([1.2, 2, 3]),
      reconnectElectionMsMax: draw.pick([1, 10, 30]),
      appendBytesMax: draw.pick([128, 1_024, 16_384, 1_048_576]),
      inflightCountMax: draw.pick([1, 2, 8, 64]),
      inflightBytesMax: draw.pick([256, 4_096, 1_048_576]),
      logCacheBytes: draw.pick([512, 4_096, 65_536, 1_048_576]),
      tickMs: draw.pick([5, 10]),
    },
    admission: {
      queueCountMax: draw.pick([2, 16, 256]),
      queueBytesMax: draw.pick([2_048, 65_536]),
      batchCountMax: draw.pick([1, 4, 64]),
      batchBytesMax,
      pipelineMax: draw.pick([1, 2, 4]),
      waitingMax: draw.pick([8, 64, 1_024]),
      waitingBytesMax: draw.pick([8_192, 1_048_576]),
      waitingPerConnectionMax: draw.pick([4, 64, 1_024]),
      waitingBytesPerConnectionMax: 524_288,
      queriesMax: draw.pick([4, 64, 1_024]),
      queriesBytesMax: 524_288,
      eventWaitsMax: 64,
      queryMs: draw.pick([500, 5_000]),
      renewMs: draw.pick([50, 500]),
    },
    execution: {
      ...defaultLimits.execution,
      requestsPerTurnMax: draw.pick([1, 8, 1_024]),
      bytesPerTurnMax: draw.pick([256, 131_072]),
      deliveredBytesMax: draw.pick([512, 8_192, 1_048_576]),
    },
    transport: {
      ...defaultLimits.transport,
      handshakeMs: draw.pick([500, 5_000]),
      redialMsMin: draw.pick([5, 20]),
      peerSilenceMsMax: draw.pick([600, 3_000]),
    },
    storage: drawStorage(draw, segmentBytes),
    repair: {
      requestsInFlightMax: draw.pick([1, 8]),
      readsInFlightMax: draw.pick([1, 16]),
      replyMsMin: 100,
      replyMsMax: 2_000,
    },
  };
}

function drawStorage(draw: Draw, segmentBytes: number): Limits["storage"] {
  const groupsInFlightMax = draw.pick([1, 2, 4]);
  return { ...defaultLimits.storage, segmentBytes, groupsInFlightMax, reserveBytes: segmentBytes / 8 };
}

function drawSessions(draw: Draw, clients: number): Limits["sessions"] {
  return {
    sessionsMax: draw.pick([clients + 2, 4 * clients, 1_000]),
    expiryMs: draw.pick([1_000, 5_000, 60_000]),
    expirationsPerEntryMax: draw.pick([1, 16]),
    repliesMax: draw.pick([16, 64, 1_024]),
    replyBytesMax: draw.pick([4_096, 65_536]),
    replyBytesTotalMax: draw.pick([65_536, 1_048_576]),
    tombstonesMax: draw.pick([4, 64]),
  };
}

/** In step with elections, so that a run meets them. */
function boundStalls(limits: Limits): Limits {
  const { electionTimeoutMsMin } = limits.raft;
  const longMs = 9 * electionTimeoutMsMin;
  const stalls = { priorityStableMs: longMs, writeStallMsMax: longMs, turnStallMsMax: electionTimeoutMsMin };
  const raft = { ...limits.raft, ...stalls };
  return { ...limits, raft, execution: { ...limits.execution, stallMsMax: longMs } };
}

/** Of the replicas in their order, in half of the runs. From a stream of its own, as checkpoints are. */
function drawPriorities(seed: number): readonly number[] {
  const draw = new Draw(randomStream(seed, "priorities"));
  return draw.chance(0.5) ? [] : Array.from({ length: 9 }, () => draw.between(1, 3));
}

/** From a stream of its own: what is drawn here shifts nothing else. */
function drawCheckpoints(seed: number): Pick<Limits, "checkpoints" | "transfer"> {
  const draw = new Draw(randomStream(seed, "checkpoints"));
  return {
    checkpoints: {
      logEntriesMax: draw.pick([10, 40, 200, 100_000]),
      logBytesMax: draw.pick([1_024, 8_192, 1_048_576]),
      chunkBytes: draw.pick([256, 4_096, 1_048_576]),
    },
    transfer: {
      bytesPerSecondMax: draw.pick([20_000, 67_108_864]),
      replyMs: draw.pick([300, 2_000]),
      restMs: draw.pick([50, 500]),
      readsInFlightMax: draw.pick([1, 4]),
    },
  };
}

/** From a stream of its own, too: in a third of the runs only the newest checkpoint is kept. */
function drawKept(seed: number, limits: Limits): Limits {
  const draw = new Draw(randomStream(seed, "kept checkpoints"));
  return { ...limits, storage: { ...limits.storage, checkpointsBytesMax: draw.pick([1, 4_096, 1_048_576]) } };
}

/** From a stream of its own, too. */
function drawAudit(seed: number): Limits["audit"] {
  const draw = new Draw(randomStream(seed, "audit"));
  return {
    everyCommands: draw.pick([1, 10, 100, 1_000]),
    everyMs: draw.pick([50, 1_000]),
    reportMs: draw.pick([500, 5_000]),
  };
}

/** Without leases, which are Raft's. From a stream of its own. */
function boundedByQuorums(limits: Limits, seed: number, calm: boolean): Limits {
  const lease = { ...limits.lease, durationMs: 0 };
  // What begins a view fits into a segment that needs little memory.
  const calmWindow = { ...limits.byzantine, windowEntries: 64, checkpointEntries: 16 };
  if (calm) return { ...limits, lease, byzantine: calmWindow };
  const draw = new Draw(randomStream(seed, "byzantine"));
  const windowEntries = draw.pick([8, 16, 32]);
  const overdueMs = draw.pick([100, 200, 500]);
  const requestMs = overdueMs * draw.pick([3, 6]);
  const byzantine = {
    windowEntries,
    checkpointEntries: windowEntries / draw.pick([2, 4]),
    statusMs: draw.pick([50, 100, 200]),
    overdueMs,
    requestMs,
    requestMsMax: requestMs * draw.pick([2, 4]),
    watchedMax: draw.pick([4, 16, 64]),
    clockBoundMs: draw.pick([1_000, 10_000]),
  };
  // What begins a view is one record.
  const segmentBytes = Math.max(limits.storage.segmentBytes, 262_144);
  return { ...limits, lease, byzantine, storage: { ...limits.storage, segmentBytes } };
}

/** Kinds that came later are drawn from streams of their own, so that what was drawn before stays as it is. */
function isBeside(kind: FaultKind, model: FaultModel): boolean {
  if (model === "byzantine" && changesMembers(kind)) return true;
  return kind === "copiedDisk" || kind === "split" || faultClasses["lies"]?.includes(kind) === true;
}

/** In a quarter of the runs with all faults. */
function drawBeside(
  { seed, faults }: PlanOptions,
  healAtMs: number,
  { kind, stream, most }: { readonly kind: FaultKind; readonly stream: string; readonly most: number },
): readonly PlannedFault[] {
  const draw = new Draw(randomStream(seed, stream));
  const chance = Math.min(1, Math.max(0.25, 3 / faults.length));
  if (!faults.includes(kind) || !draw.chance(chance)) return [];
  return Array.from({ length: draw.between(1, most) }, () => ({
    number: 0,
    kind,
    at: draw.fraction() * healAtMs,
    lastsMs: draw.spread(5, 5_000),
    draws: [draw.fraction(), draw.fraction(), draw.fraction(), draw.fraction()],
  }));
}

function numbered(faults: readonly PlannedFault[]): readonly PlannedFault[] {
  return faults.map((fault, at) => ({ ...fault, number: at + 1 }));
}

/** Kinds that only set how bad the network always is (`drawNetwork`), and are no events. */
const standing: ReadonlySet<FaultKind> = new Set(["loss", "duplication", "reordering", "delay"]);

function drawFaults(draw: Draw, enabled: readonly FaultKind[], healAtMs: number): readonly PlannedFault[] {
  const kinds = enabled.filter((kind) => !standing.has(kind));
  if (kinds.length === 0) return [];
  const faults: PlannedFault[] = [];
  const gapMs = draw.spread(50, 3_000);
  for (let at = 0; faults.length < 500;) {
    at += -Math.log(1 - draw.fraction()) * gapMs;
    if (at >= healAtMs) break;
    faults.push({
      number: faults.length + 1,
      kind: draw.pick(kinds),
      at,
      lastsMs: draw.spread(5, 5_000),
      draws: [draw.fraction(), draw.fraction(), draw.fraction(), draw.fraction()],
    });
  }
  return faults;
}
