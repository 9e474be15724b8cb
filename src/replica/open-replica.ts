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
import { createRaftState, type RaftState } from "../consensus/raft/state.js";
import { Executor, type ExecutorParts } from "../execution/executor.js";
import { noIndex, type ReplicaId } from "../model/ids.js";
import type { Checkpoint } from "../model/checkpoint.js";
import { foundingIncarnation, type Member, type Membership } from "../model/membership.js";
import type { Clock } from "../ports/clock.js";
import type { Disk } from "../ports/disk.js";
import type { Entropy } from "../ports/entropy.js";
import type { Hash } from "../ports/hash.js";
import type { Network } from "../ports/network.js";
import { CheckpointStore } from "../storage/checkpoint-store.js";
import {
  openDataDirectory,
  type BootstrapOptions,
  type DataDirectory,
  type DataDirectoryRefused,
} from "../storage/data-dir.js";
import { openLog, type OpenedLog } from "../storage/wal.js";
import type { LogRefused } from "../storage/log-store.js";
import type { Identity } from "../transport/gate.js";
import { EngineSide, type EngineSideParts } from "./engine-side.js";
import { loadCheckpoint } from "./load-checkpoint.js";
import { ReplicaCore, type ReplicaObserver } from "./replica.js";

export interface ReplicaPorts {
  readonly clock: Clock;
  readonly disk: Disk;
  readonly network: Network;
  readonly hash: Hash;
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
}

export interface OpenedReplica {
  readonly kind: "opened";
  readonly core: ReplicaCore<EngineSide>;
  readonly directory: DataDirectory;
  readonly log: OpenedLog;
  readonly checkpoints: CheckpointStore;
  /** The checkpoint that execution began with. */
  readonly loaded: Checkpoint | undefined;
  /** For looking: only `step` changes it. */
  readonly state: RaftState;
  readonly executor: Executor;
}

export interface OpenRefused {
  readonly kind: "refused";
  readonly code: DataDirectoryRefused["code"] | LogRefused["code"] | "OTHER_MEMBERS" | "amnesiac";
  /** For people: the action, the fact, what to do. */
  readonly message: string;
}

/** Throws `DiskError` if the disk fails; the directory's lock is given back then too. */
export function openReplica(
  machine: LowLevelMachine,
  options: OpenReplicaOptions,
  ports: ReplicaPorts,
  observer: ReplicaObserver,
): OpenedReplica | OpenRefused {
  const directory = openDirectory(machine, options, ports);
  if (directory.kind === "refused") return directory;
  try {
    const log = openLogIn(directory, options, ports);
    const opened = log.kind === "refused" ? log : openState(machine, options, { ports, directory, log });
    if (opened.kind === "loaded") return join(machine, options, { ...opened, ports, observer, directory });
    directory.release();
    return opened;
  } catch (cause) {
    directory.release();
    throw cause;
  }
}

function openDirectory(
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

/** The replicated state, from the newest checkpoint on. */
function openState(
  machine: LowLevelMachine,
  options: OpenReplicaOptions,
  { ports, directory, log }: Pick<Joined, "ports" | "directory" | "log">,
): LoadedState | OpenRefused {
  const amnesia = refusalOfAmnesia(options, log);
  const loaded = amnesia ?? loadState(machine, options, { ports, directory, log });
  const refusal = loaded.kind === "loaded" ? refusalOfMembers(options, directory, loaded) : loaded;
  if (refusal !== undefined) log.log.close(() => {});
  return refusal ?? loaded;
}

/** Of founders who never changed: later members are what the log says. */
function refusalOfMembers(
  { id, dataDir, members }: OpenReplicaOptions,
  { identity }: DataDirectory,
  { executor, log }: LoadedState,
): OpenRefused | undefined {
  const founders = identity.membership.members;
  const known = idsOf(founders);
  const isChanged = executor.configuration.index > noIndex || log.recovered.configurations.length > 0;
  if (founders.length === 0 || isChanged || known === idsOf(members)) return undefined;
  const message = `Cannot start replica ${id}: the members of its cluster are ${known}, as ${dataDir} remembers, and not ${idsOf(members)}; change them with quorate member, and only their addresses here`;
  return { kind: "refused", code: "OTHER_MEMBERS", message };
}

function idsOf(members: readonly Member[]): string {
  return members
    .map(({ id }) => id)
    .sort()
    .join(", ");
}

function openLogIn(
  directory: DataDirectory,
  { limits }: OpenReplicaOptions,
  { disk, hash, clock }: ReplicaPorts,
): OpenedLog | LogRefused {
  return openLog({
    disk,
    hash,
    clock,
    directory: directory.path,
    logIdentity: directory.identity.logIdentity,
    ...limits.storage,
    cacheBytes: limits.raft.logCacheBytes,
  });
}

/** It could neither vote nor follow: better told at once than found out by its silence. Rejoining is a later release's. */
function refusalOfAmnesia({ id, dataDir }: OpenReplicaOptions, { recovered }: OpenedLog): OpenRefused | undefined {
  if (recovered.amnesia === undefined) return undefined;
  const why = `the log in ${dataDir} is damaged so that it may have forgotten what it promised (${recovered.amnesia})`;
  const message = `Cannot start replica ${id}: ${why}; nothing on its disk was changed`;
  return { kind: "refused", code: "amnesiac", message };
}

interface Joined extends LoadedState {
  readonly ports: ReplicaPorts;
  readonly observer: ReplicaObserver;
  readonly directory: DataDirectory;
}

/** Closes what writes: `done` once nothing of it is in flight any more. */
export function closeReplica({ core, checkpoints, directory }: OpenedReplica, done: () => void): void {
  core.stop();
  core.engine.close(() => {
    checkpoints.close(() => {
      directory.release();
      done();
    });
  });
}

function join(
  machine: LowLevelMachine,
  options: OpenReplicaOptions,
  { ports, observer, directory, log: opened, executor, checkpoints, loaded }: Joined,
): OpenedReplica {
  const { id, limits } = options;
  const { clock, hash, network, entropy } = ports;
  const { log, recovered } = opened;
  const seed = seedOf(entropy.bytes(6));
  const { configuration } = executor;
  const isChanged = configuration.index > noIndex;
  const lacksState = executor.executedIndex < recovered.start.index;
  const state = createRaftState(
    {
      self: id,
      membership: membershipOf(directory, options.members),
      configuration: isChanged ? configuration : undefined,
      hardState: recovered.hardState,
      log: {
        ...recovered,
        configurations: recovered.configurations.filter(({ index }) => index > configuration.index),
        startTime: loaded?.last.index === recovered.start.index ? loaded.time : undefined,
      },
      settings: {
        ...limits.raft,
        leaseMs: limits.lease.durationMs,
        clockDriftPercentMax: limits.lease.clockDriftPercentMax,
      },
      seed,
      trust: recovered.damaged.length > 0 || lacksState ? "damaged" : "whole",
    },
    clock.monotonic(),
  );
  const identity = identityOf(machine, options, directory, hexOf(entropy.bytes(8)));
  const engine: EngineSideParts = {
    identity,
    seeds: options.members.filter((member) => member.id !== id),
    lost: directory.lost,
    state,
    log,
    damaged: recovered.damaged,
    checkpoints,
    begun: { executedIndex: executor.executedIndex, configuration, loaded },
    clock,
    hash,
    network,
    seed,
    limits,
  };
  const core = new ReplicaCore({
    identity,
    executor,
    checkpoints,
    clock,
    hash,
    limits,
    observer,
    engine: (listener) => new EngineSide(engine, listener),
  });
  return { kind: "opened", core, directory, log: opened, checkpoints, loaded, state, executor };
}

interface LoadedState {
  readonly kind: "loaded";
  readonly log: OpenedLog;
  readonly checkpoints: CheckpointStore;
  readonly executor: Executor;
  /** The checkpoint that it begins with; without one it begins with the first entry, or waits for a peer's checkpoint. */
  readonly loaded: Checkpoint | undefined;
}

/** The newest checkpoint on this disk that is whole. */
function loadState(
  machine: LowLevelMachine,
  { limits, members, executed }: OpenReplicaOptions,
  { ports, directory, log }: Pick<Joined, "ports" | "directory" | "log">,
): LoadedState {
  const { disk, hash } = ports;
  const checkpoints = new CheckpointStore({ disk, hash, directory: directory.path });
  const founders = membershipOf(directory, members);
  const empty = (): Executor => new Executor({ machine, hash, limits, founders, executed });
  for (const loaded of checkpoints.all) {
    const executor = empty();
    if (loadCheckpoint(executor, checkpoints, loaded) === undefined) {
      return { kind: "loaded", log, checkpoints, executor, loaded };
    }
  }
  return { kind: "loaded", log, checkpoints, executor: empty(), loaded: undefined };
}

function identityOf(
  machine: LowLevelMachine,
  { id, clusterId, limits }: OpenReplicaOptions,
  directory: DataDirectory,
  process: string,
): Identity {
  return {
    clusterId,
    id,
    incarnation: directory.identity.incarnation,
    process,
    machine: machine.name,
    machineVersion: machine.version,
    foundation: `${fingerprintOf(limits)}${foundersOf(directory)}`,
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
