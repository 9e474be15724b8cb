/**
 * Opens a replica over the ports: its directory, its log, its core, in this order.
 *
 * Owns: what must fit before anything runs (identity, members, a log that has forgotten nothing), and how the pure parts are joined.
 * Leaves to others: checking options, listening, the end of the process. Called by `node/create-replica.ts` and, with simulated ports,
 * by `sim/sim-replica.ts`. A refusal leaves nothing open and nothing on disk changed but the count of starts.
 */
import { fingerprintOf, type Limits } from "../api/config.js";
import type { LowLevelMachine } from "../api/low-level.js";
import { hexOf } from "../base/bytes.js";
import { seedOf } from "../base/random.js";
import { doAll } from "../base/steps.js";
import type { RaftState } from "../consensus/raft/state.js";
import { Executor, type ExecutorParts } from "../execution/executor.js";
import { maxIndex, noIndex, type LogIndex, type ReplicaId, type Term } from "../model/ids.js";
import type { Checkpoint } from "../model/checkpoint.js";
import { foundingIncarnation, type Member, type Membership } from "../model/membership.js";
import { isSamePosition, type Unfinished } from "../model/skip.js";
import type { Entropy } from "../ports/entropy.js";
import { CheckpointStore } from "../storage/checkpoint-store.js";
import { EvidenceStore } from "../storage/evidence-store.js";
import { UnfinishedStore } from "../storage/unfinished-store.js";
import {
  openDataDirectory,
  type BootstrapOptions,
  type DataDirectory,
  type DataDirectoryRefused,
} from "../storage/data-dir.js";
import type { OpenedLog } from "../storage/wal.js";
import type { LogRefused } from "../storage/log-store.js";
import type { Identity } from "../transport/gate.js";
import type { Certified } from "./channel.js";
import type { EngineListener, EngineSide } from "./engine-side.js";
import { orderedByRaft, type HostOrdering } from "./host-ordering.js";
import { loadCheckpoint } from "./load-checkpoint.js";
import {
  openEngineLog,
  startEngine,
  type EnginePorts,
  type EngineStart,
  type LogAmnesiac,
  type OpenLogOptions,
} from "./open-engine.js";
import type { RaftDriver } from "./raft-driver.js";
import { ReplicaCore, type OrderingEngine, type ReplicaObserver } from "./replica.js";
import type { ScrubberParts } from "./scrubber.js";

export interface ReplicaPorts extends EnginePorts {
  readonly entropy: Entropy;
}

export interface OpenReplicaOptions {
  readonly id: ReplicaId;
  readonly clusterId: string;
  readonly dataDir: string;
  /** All replicas, this one included, with the addresses of this run. */
  readonly members: readonly Member[];
  readonly bootstrap: boolean;
  /** Creates the data directory of a replica that is added to a running cluster. */
  readonly join: boolean;
  readonly limits: Limits;
  readonly executed?: ExecutorParts["executed"];
  readonly forbidden?: ExecutorParts["forbidden"];
  readonly watch?: ExecutorParts["watch"];
  /** As `ScrubberParts` has it: a simulator's, where no memory fails. */
  readonly scrubCycleMs?: ScrubberParts["scrubCycleMs"];
  /** What ended an earlier process of this replica: it is not tried again. */
  readonly unfinished?: Unfinished | undefined;
}

/** With its engine wherever that runs. */
export interface OpenedReplica<Ordering extends OrderingEngine = OrderingEngine> {
  readonly kind: "opened";
  readonly core: ReplicaCore<Ordering>;
  readonly directory: DataDirectory;
  readonly checkpoints: CheckpointStore;
  readonly evidence: EvidenceStore;
  /** The checkpoint that execution began with. */
  readonly loaded: Checkpoint | undefined;
  readonly executor: Executor;
}

/** With its engine on the same event loop. */
export interface InlineReplica extends OpenedReplica<EngineSide<RaftDriver>> {
  readonly log: OpenedLog;
  /** For looking: only `step` changes it. */
  readonly state: RaftState;
}

export interface OpenRefused {
  readonly kind: "refused";
  readonly code:
    | DataDirectoryRefused["code"]
    | LogRefused["code"]
    | LogAmnesiac["code"]
    | "OTHER_MEMBERS"
    | "LACKS_VERSION"
    | "NOT_UNDER_BYZANTINE_FAULTS";
  /** For people: the action, the fact, what to do. */
  readonly message: string;
}

/** Throws `DiskError` if the disk fails; the directory's lock is given back then too. */
export function openReplica(
  machine: LowLevelMachine,
  options: OpenReplicaOptions,
  ports: ReplicaPorts,
  observer: ReplicaObserver,
): InlineReplica | OpenRefused {
  const directory = openDirectory(machine, options, ports);
  if (directory.kind === "refused") return directory;
  try {
    const log = openEngineLog(logOptionsOf(options, directory), ports);
    const opened = log.kind === "refused" ? log : openInline(machine, options, { ports, observer, directory, log });
    if (opened.kind === "refused") directory.release();
    return opened;
  } catch (cause) {
    directory.release();
    throw cause;
  }
}

function openInline(
  machine: LowLevelMachine,
  options: OpenReplicaOptions,
  { log, ...around }: Omit<HostParts, "found" | "ordering"> & { readonly log: OpenedLog },
): InlineReplica | OpenRefused {
  const parts = { ...around, found: foundIn(log), ordering: orderedByRaft() };
  const opened = openHost(machine, options, parts, (start, listener) =>
    startEngine(log, start, around.ports, listener),
  );
  if (opened.kind === "opened") return { ...opened, log, state: opened.core.engine.driver.state };
  log.log.close(() => {});
  return opened;
}

export function openDirectory(
  machine: LowLevelMachine,
  options: OpenReplicaOptions,
  { disk, hash, entropy }: ReplicaPorts,
): DataDirectory | DataDirectoryRefused {
  const { id, clusterId, dataDir, limits } = options;
  return openDataDirectory({
    disk,
    hash,
    path: dataDir,
    clusterId,
    replicaId: id,
    machine: machine.name,
    segmentBytes: limits.storage.segmentBytes,
    bootstrap: beginningOf(options, entropy),
  });
}

/** A founder begins with the members that it is told, a replica that joins with none: those in the log will count. */
function beginningOf(
  { id, members, bootstrap, join }: OpenReplicaOptions,
  entropy: Entropy,
): BootstrapOptions | undefined {
  if (bootstrap) {
    const incarnation = members.find((member) => member.id === id)?.incarnation ?? foundingIncarnation;
    return { membership: { members }, incarnation, entropy: entropy.bytes(8) };
  }
  if (!join) return undefined;
  const incarnation = foundingIncarnation + 1 + seedOf(entropy.bytes(6));
  return { membership: { members: [] }, incarnation, entropy: entropy.bytes(8) };
}

export function logOptionsOf(
  { id, limits }: OpenReplicaOptions,
  { path, identity: { logIdentity } }: DataDirectory,
): OpenLogOptions {
  return { id, directory: path, logIdentity, limits };
}

/** What the host must know of a log. */
export interface FoundLog {
  /** The last entry that it does not hold any more. */
  readonly start: LogIndex;
  readonly lastIndex: LogIndex;
  /** Of the hard state. */
  readonly term: Term;
  readonly hasConfigurations: boolean;
  /** What others are told in place of how often its directory was started. */
  readonly starts?: number | undefined;
}

export function foundIn({ recovered }: OpenedLog): FoundLog {
  const { start, lastIndex, hardState, configurations } = recovered;
  return { start: start.index, lastIndex, term: hardState.term, hasConfigurations: configurations.length > 0 };
}

/** Of founders who never changed: later members are what the log says. */
function refusalOfMembers(
  { id, dataDir, members }: OpenReplicaOptions,
  { identity }: DataDirectory,
  { executor, found }: Pick<LoadedState, "executor"> & Pick<HostParts, "found">,
): OpenRefused | undefined {
  const founders = identity.membership.members;
  const known = idsOf(founders);
  const isChanged = executor.configuration.index > noIndex || found.hasConfigurations;
  if (founders.length === 0 || isChanged || known === idsOf(members)) return undefined;
  const message = `Cannot start replica ${id}: the members of its cluster are ${known}, as ${dataDir} remembers, and not ${idsOf(members)}; change them with quorate member, and only their addresses here`;
  return { kind: "refused", code: "OTHER_MEMBERS", message };
}

/** Its newest checkpoint is of a version that this program does not have. */
function refusalOfVersion({ id }: OpenReplicaOptions, { lacksVersion }: Executor): OpenRefused | undefined {
  if (lacksVersion === undefined) return undefined;
  return { kind: "refused", code: "LACKS_VERSION", message: `Cannot start replica ${id}. ${lacksVersion}` };
}

function idsOf(members: readonly Member[]): string {
  return members
    .map(({ id }) => id)
    .sort()
    .join(", ");
}

export interface HostParts {
  readonly ports: ReplicaPorts;
  readonly observer: ReplicaObserver;
  readonly directory: DataDirectory;
  readonly found: FoundLog;
  readonly ordering: HostOrdering;
}

/** Closes what writes: `done` once nothing of it is in flight any more. */
export function closeReplica({ core, checkpoints, evidence, directory }: OpenedReplica, done: () => void): void {
  core.stop();
  core.engine.close(() => {
    checkpoints.close(() => {
      evidence.close(() => {
        directory.release();
        done();
      });
    });
  });
}

/** The host, over what its disk has; `begin` starts the engine that belongs to it. */
export function openHost<Ordering extends OrderingEngine>(
  machine: LowLevelMachine,
  options: OpenReplicaOptions,
  { ports, observer, directory, found, ordering }: HostParts,
  begin: (start: EngineStart, listener: EngineListener) => Ordering,
): OpenedReplica<Ordering> | OpenRefused {
  const { id, limits } = options;
  const { reportRules } = ordering;
  const { executor, checkpoints, unfinished, loaded } = loadState(machine, options, { ports, directory, reportRules });
  const refusal = refusalOfVersion(options, executor) ?? refusalOfMembers(options, directory, { executor, found });
  if (refusal !== undefined) return refusal;
  const { entropy, disk } = ports;
  const evidence = new EvidenceStore({ disk, directory: directory.path });
  const seed = seedOf(entropy.bytes(6));
  const identity = identityOf(machine, options, directory, {
    ordering,
    process: hexOf(entropy.bytes(8)),
    found: {
      starts: found.starts ?? directory.identity.starts,
      term: found.term,
      lastIndex: maxIndex(found.lastIndex, checkpoints.newest?.last.index ?? noIndex),
    },
  });
  const start: EngineStart = {
    directory: directory.path,
    identity,
    seeds: options.members.filter((member) => member.id !== id),
    lost: directory.lost,
    founders: membershipOf(directory, options.members),
    begun: {
      loaded: loaded === undefined ? undefined : { last: loaded.last, time: loaded.time },
      configuration: executor.configuration,
      certified: certifiedIn(checkpoints),
    },
    seed,
    limits,
  };
  const core = new ReplicaCore({
    ...ports,
    identity,
    executor,
    checkpoints,
    unfinished,
    evidence,
    limits,
    scrubCycleMs: options.scrubCycleMs,
    ordering,
    observer,
    disowned: (reason) => directory.disown(reason),
    logStart: found.start,
    engine: (listener) => begin(start, listener),
  });
  return { kind: "opened", core, directory, checkpoints, evidence, loaded, executor };
}

function certifiedIn({ certified, fallback }: CheckpointStore): Certified | undefined {
  return certified && { last: certified.last, unneeded: (fallback ?? certified).last.index };
}

interface LoadedState {
  readonly checkpoints: CheckpointStore;
  readonly unfinished: UnfinishedStore;
  readonly executor: Executor;
  /** The checkpoint that it begins with; without one it begins with the first entry, or waits for a peer's checkpoint. */
  readonly loaded: Checkpoint | undefined;
}

/** The newest checkpoint on this disk that is whole, even if this program cannot run it. */
function loadState(
  machine: LowLevelMachine,
  { limits, members, executed, forbidden, watch, unfinished: ended }: OpenReplicaOptions,
  { ports, directory, reportRules }: Pick<HostParts, "ports" | "directory"> & Pick<HostOrdering, "reportRules">,
): LoadedState {
  const { disk, hash } = ports;
  const bothBytesMax = limits.storage.checkpointsBytesMax;
  const checkpoints = new CheckpointStore({ disk, hash, directory: directory.path, bothBytesMax });
  const unfinished = new UnfinishedStore({ disk, hash, directory: directory.path });
  const certified = checkpoints.certified?.last.index ?? noIndex;
  if (ended !== undefined && !unfinished.notes.some(({ at }) => isSamePosition(at, ended.at)))
    unfinished.note({ ...ended, what: "held" }, certified);
  // What it has taken behind a step that was skipped later is of a state that nobody else has.
  if (unfinished.notes.some(({ at, what }) => what === "passed" && at.index > certified)) checkpoints.keepCertified();
  const founders = membershipOf(directory, members);
  const empty = (): Executor =>
    new Executor({ machine, hash, limits, founders, reportRules, executed, forbidden, watch });
  for (const loaded of checkpoints.all) {
    const executor = empty();
    const objection = doAll(loadCheckpoint(executor, checkpoints, loaded));
    if (objection !== undefined && executor.lacksVersion === undefined) continue;
    if (executor.lacksVersion === undefined) checkpoints.beginWith(loaded);
    return { checkpoints, unfinished, executor, loaded };
  }
  return { checkpoints, unfinished, executor: empty(), loaded: undefined };
}

function identityOf(
  machine: LowLevelMachine,
  { id, clusterId, limits }: OpenReplicaOptions,
  directory: DataDirectory,
  { process, found, ordering }: Pick<Identity, "process" | "found"> & Pick<HostParts, "ordering">,
): Identity {
  return {
    clusterId,
    id,
    incarnation: directory.identity.incarnation,
    process,
    machine: machine.name,
    machineVersion: machine.version,
    foundation: `${fingerprintOf(limits)}${ordering.foundation}${foundersOf(directory)}`,
    found,
  };
}

/** The members at bootstrap, sorted: each founder was told them by hand, so they are compared. */
function foundersOf(directory: DataDirectory): string {
  const { members } = directory.identity.membership;
  if (members.length === 0) return "";
  return `;members=${members
    .map(({ id, role }) => `${id}:${role}`)
    .sort()
    .join(",")}`;
}

/** Who takes part is what the directory remembers, and the same ids; where they are is what this run was told. */
function membershipOf(directory: DataDirectory, members: readonly Member[]): Membership {
  return {
    members: directory.identity.membership.members.map((known) => {
      const told = members.find(({ id }) => id === known.id);
      return told === undefined ? known : { ...known, peer: told.peer, client: told.client };
    }),
  };
}
