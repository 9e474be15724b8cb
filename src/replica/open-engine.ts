/**
 * Opens the ordering side of a replica, where it is to run: first its log, then, once the host has loaded its state, the engine over it.
 *
 * Owns: what must fit before anything runs (a log that has forgotten nothing), and the core's state from what was found. Leaves to others:
 * the directory, and what the host begins with (`open-replica.ts`). What comes in is plain data, so it may come from another thread.
 */
import type { Limits } from "../api/config.js";
import { createRaftState } from "../consensus/raft/state.js";
import { noIndex, type ReplicaId } from "../model/ids.js";
import type { Member, Membership } from "../model/membership.js";
import type { Clock } from "../ports/clock.js";
import type { Disk } from "../ports/disk.js";
import type { Hash } from "../ports/hash.js";
import type { Network } from "../ports/network.js";
import type { LogRefused } from "../storage/log-store.js";
import { KnownStore, readKnown } from "../storage/known-store.js";
import { openLog, type OpenedLog } from "../storage/wal.js";
import type { Identity } from "../transport/gate.js";
import { EngineSide, type Begun, type EngineListener } from "./engine-side.js";
import { RaftDriver } from "./raft-driver.js";

export interface EnginePorts {
  readonly clock: Clock;
  readonly disk: Disk;
  readonly network: Network;
  readonly hash: Hash;
}

export interface OpenLogOptions {
  readonly id: ReplicaId;
  /** The data directory, opened and locked. */
  readonly directory: string;
  readonly logIdentity: Uint8Array;
  readonly limits: Pick<Limits, "storage" | "raft">;
}

export interface EngineStart {
  /** The data directory. */
  readonly directory: string;
  readonly identity: Identity;
  /** Whom to look for while the log names no members. */
  readonly seeds: readonly Member[];
  readonly founders: Membership;
  /** Of an older cluster that this one goes on without. */
  readonly lost: readonly Member[];
  readonly begun: Begun;
  readonly seed: number;
  readonly limits: Limits;
}

export interface LogAmnesiac {
  readonly kind: "refused";
  readonly code: "amnesiac";
  readonly message: string;
}

/** Throws `DiskError` if the disk fails. A refusal leaves nothing open. */
export function openEngineLog(
  { id, directory, logIdentity, limits }: OpenLogOptions,
  { disk, hash, clock }: EnginePorts,
): OpenedLog | LogRefused | LogAmnesiac {
  const { storage, raft } = limits;
  const opened = openLog({ disk, hash, clock, directory, logIdentity, ...storage, cacheBytes: raft.logCacheBytes });
  if (opened.kind === "refused") return opened;
  const refusal = refusalOfAmnesia(id, directory, opened) ?? refusalOfJournal(id, directory, opened);
  if (refusal !== undefined) opened.log.close(() => {});
  return refusal ?? opened;
}

function refusalOfJournal(id: ReplicaId, directory: string, { recovered }: OpenedLog): LogRefused | undefined {
  if (recovered.tail.every(({ kind }) => kind !== "record")) return undefined;
  const message = `Cannot start replica ${id}: the log in ${directory} was written under Byzantine faults`;
  return { kind: "refused", code: "foreign", message };
}

/** It could neither vote nor follow: better told at once than found out by its silence. */
function refusalOfAmnesia(id: ReplicaId, directory: string, { recovered }: OpenedLog): LogAmnesiac | undefined {
  if (recovered.amnesia === undefined) return undefined;
  const why = `the log in ${directory} is damaged so that it may have forgotten what it promised (${recovered.amnesia})`;
  const again = `To take part again: erase it, run quorate member replace ${id}, and start it with --join`;
  const message = `Cannot start replica ${id}: ${why}; nothing on its disk was changed. ${again}`;
  return { kind: "refused", code: "amnesiac", message };
}

export function startEngine(
  { log, recovered }: OpenedLog,
  start: EngineStart,
  ports: EnginePorts,
  listener: EngineListener,
): EngineSide<RaftDriver> {
  const { identity, founders, begun, seed, limits } = start;
  const { configuration, loaded } = begun;
  const lacksState = (loaded?.last.index ?? noIndex) < recovered.start.index;
  const state = createRaftState(
    {
      self: identity.id,
      incarnation: identity.incarnation,
      membership: founders,
      configuration: configuration.index > noIndex ? configuration : undefined,
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
    ports.clock.monotonic(),
  );
  const { disk, hash } = ports;
  const knownParts = { disk, hash, directory: start.directory };
  const knownStore = new KnownStore(knownParts);
  const known = readKnown(knownParts);
  const { damaged } = recovered;
  const executionStallMsMax = limits.execution.stallMsMax;
  const parts = { state, log, damaged, known, hash, seed, limits, executionStallMsMax };
  return new EngineSide(
    { ...start, ...ports, driver: (world) => new RaftDriver(parts, world), log, known, knownStore },
    listener,
  );
}
