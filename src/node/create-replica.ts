/**
 * A replica on this machine: `startReplica` opens its directory, its log and its ports, and joins the pure parts.
 *
 * Owns: the order of opening and closing. Leaves to others: everything that happens between. Called by programs
 * (`quorate/server`) and by the bundled process.
 */
import { randomBytes } from "node:crypto";

import { checkLimits, defaultLimits, fingerprintOf, type Limits } from "../api/config.js";
import type { Door } from "../api/door.js";
import type { LowLevelMachine } from "../api/low-level.js";
import type { Replica, ReplicaStatus } from "../api/replica.js";
import { createRaftState } from "../consensus/raft/state.js";
import type { RoleView } from "../consensus/vocabulary.js";
import { Executor } from "../execution/executor.js";
import { isReplicaId, type ReplicaId } from "../model/ids.js";
import type { Member, Membership } from "../model/membership.js";
import { Repair } from "../replica/repair.js";
import { ReplicaCore } from "../replica/replica.js";
import type { Clock } from "../ports/clock.js";
import { openDataDirectory, type DataDirectory } from "../storage/data-dir.js";
import { openLog, type OpenedLog } from "../storage/wal.js";
import type { Identity } from "../transport/gate.js";
import { createNodeClock } from "./clock.js";
import { createDoor } from "./create-door.js";
import { nodeDisk } from "./disk.js";
import { nodeHash } from "./hash.js";
import { accepted, isLoopback, listen, nodeNetwork, parseAddress, type Listener } from "./network.js";
import { quorateVersion } from "./version.js";

export interface ReplicaOptions {
  readonly id: ReplicaId;
  readonly clusterId: string;
  readonly dataDir: string;
  /** All replicas, this one included, with the addresses of this run. */
  readonly members: readonly Member[];
  /**
   * Creates the data directory of a new cluster. Give it once, when the cluster is founded: a replica that starts with an empty
   * directory otherwise may have voted before, and is refused.
   */
  readonly bootstrap: boolean;
  /** Allows addresses that other machines can reach, although nothing is encrypted or authenticated yet. */
  readonly insecure?: boolean;
  readonly limits?: Limits;
  readonly onRole?: (role: RoleView) => void;
  /** The replica has stepped aside for good, for example because its disk failed: stop it. */
  readonly onBroken?: (reason: string) => void;
  readonly onPeer?: (peer: ReplicaId, isConnected: boolean, cause: string) => void;
  /** Something was dropped or refused before it could be answered. */
  readonly onDropped?: (reason: string, detail: string) => void;
}

export class CannotStart extends Error {
  override readonly name = "CannotStart";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Rejects with `CannotStart` when an option, the data directory or a port does not allow it; nothing stays open then. */
export async function startReplica(machine: LowLevelMachine, options: ReplicaOptions): Promise<Replica> {
  const limits = options.limits ?? defaultLimits;
  const self = checkOptions(options, limits);
  const directory = openDirectory(machine, options, limits);
  const listeners: Listener[] = [];
  let opened: OpenedLog | undefined;
  let core: ReplicaCore | undefined;
  try {
    opened = openLogIn(directory, limits);
    refuseAmnesia(options, opened);
    const clock = createNodeClock();
    const created = createCore(machine, { options, limits, directory, opened, clock });
    core = created;
    listeners.push(await listen(self.peer, (socket) => created.acceptPeer(accepted(socket))));
    listeners.push(await listen(self.client, (socket) => created.acceptClient(accepted(socket))));
    return new RunningReplica({ core, clock, directory, opened, listeners });
  } catch (cause) {
    // It may have voted already: the lock is given back only once nothing of it runs any more.
    await shutDown({ core, directory, opened, listeners });
    throw cause;
  }
}

interface ShutDown {
  readonly core: ReplicaCore | undefined;
  readonly directory: DataDirectory;
  readonly opened: OpenedLog | undefined;
  readonly listeners: readonly Listener[];
}

async function shutDown({ core, directory, opened, listeners }: ShutDown): Promise<void> {
  for (const listener of listeners) listener.close();
  core?.stop();
  if (opened !== undefined) await new Promise<void>((resolve) => opened.log.close(resolve));
  directory.release();
}

interface Opened {
  readonly options: ReplicaOptions;
  readonly limits: Limits;
  readonly directory: DataDirectory;
  readonly opened: OpenedLog;
  readonly clock: Clock;
}

function checkOptions(options: ReplicaOptions, limits: Limits): Member {
  const { id, members, insecure } = options;
  if (!isReplicaId(id))
    throw new CannotStart("INVALID_ID", `Cannot start replica "${id}": an id is 1 to 32 of a-z A-Z 0-9 _ -`);
  const objection = checkLimits(limits);
  if (objection !== undefined) throw new CannotStart("INVALID_LIMITS", objection);
  const self = members.find((member) => member.id === id);
  if (self === undefined)
    throw new CannotStart("NOT_A_MEMBER", `Cannot start replica ${id}: it is not among the members`);
  if (new Set(members.map((member) => member.id)).size !== members.length) {
    throw new CannotStart("DUPLICATE_MEMBER", `Cannot start replica ${id}: two members have the same id`);
  }
  for (const address of [self.peer, self.client]) {
    const { host } = parseAddress(address);
    if (isLoopback(host) || insecure === true) continue;
    throw new CannotStart(
      "NOT_LOOPBACK",
      `Cannot listen on ${address}: nothing is encrypted or authenticated yet, so only loopback is allowed unless --insecure is given`,
    );
  }
  return self;
}

function openDirectory(machine: LowLevelMachine, options: ReplicaOptions, limits: Limits): DataDirectory {
  const { id, clusterId, dataDir, members, bootstrap } = options;
  const incarnation = members.find((member) => member.id === id)?.incarnation ?? 1;
  const directory = openDataDirectory({
    disk: nodeDisk,
    hash: nodeHash,
    path: dataDir,
    clusterId,
    replicaId: id,
    machine: machine.name,
    segmentBytes: limits.storage.segmentBytes,
    bootstrap: bootstrap ? { membership: { members }, incarnation, entropy: randomBytes(8) } : undefined,
  });
  if (directory.kind === "refused") throw new CannotStart(directory.code, directory.message);
  const known = idsOf(directory.identity.membership.members);
  if (known === idsOf(members)) return directory;
  directory.release();
  throw new CannotStart(
    "OTHER_MEMBERS",
    `Cannot start replica ${id}: the members of its cluster are ${known}, as ${dataDir} remembers, and not ${idsOf(members)}; they cannot be changed, only their addresses`,
  );
}

function idsOf(members: readonly Member[]): string {
  return members
    .map(({ id }) => id)
    .sort()
    .join(", ");
}

function openLogIn(directory: DataDirectory, limits: Limits): OpenedLog {
  const log = openLog({
    disk: nodeDisk,
    hash: nodeHash,
    clock: createNodeClock(),
    directory: directory.path,
    logIdentity: directory.identity.logIdentity,
    ...limits.storage,
    cacheBytes: limits.raft.logCacheBytes,
  });
  if (log.kind === "refused") throw new CannotStart(log.code, log.message);
  return log;
}

/** It could neither vote nor follow: better told at once than found out by its silence. Rejoining is a later release's. */
function refuseAmnesia({ id, dataDir }: ReplicaOptions, { recovered }: OpenedLog): void {
  if (recovered.amnesia === undefined) return;
  const why = `the log in ${dataDir} is damaged so that it may have forgotten what it promised (${recovered.amnesia})`;
  throw new CannotStart("amnesiac", `Cannot start replica ${id}: ${why}; nothing on its disk was changed`);
}

function createCore(machine: LowLevelMachine, { options, limits, directory, opened, clock }: Opened): ReplicaCore {
  const { log, recovered } = opened;
  const seed = randomBytes(6).readUIntBE(0, 6);
  const membership = membershipOf(directory, options.members);
  const identity: Identity = {
    clusterId: options.clusterId,
    id: options.id,
    incarnation: directory.identity.incarnation,
    process: randomBytes(8).toString("hex"),
    machine: machine.name,
    machineVersion: machine.version,
    foundation: `${foundersOf(directory)};${fingerprintOf(limits)}`,
  };
  const others = membership.members.map(({ id }) => id).filter((id) => id !== options.id);
  return new ReplicaCore({
    identity,
    membership,
    state: createRaftState(
      {
        self: options.id,
        membership,
        hardState: recovered.hardState,
        log: recovered,
        settings: limits.raft,
        seed,
        trust: recovered.damaged.length > 0 ? "damaged" : "whole",
      },
      clock.monotonic(),
    ),
    log,
    executor: new Executor({ machine, hash: nodeHash, limits }),
    repair: new Repair({ damaged: recovered.damaged, peers: others, log, hash: nodeHash, seed, limits: limits.repair }),
    clock,
    hash: nodeHash,
    network: nodeNetwork,
    seed,
    limits,
    roleChanged: options.onRole ?? (() => {}),
    broken: options.onBroken ?? (() => {}),
    dropped: options.onDropped ?? (() => {}),
    peerChanged: options.onPeer ?? (() => {}),
  });
}

/** The members at bootstrap, sorted: each replica was told them by hand, so they are compared. */
function foundersOf(directory: DataDirectory): string {
  const { members } = directory.identity.membership;
  return `members=${members
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

interface Running {
  readonly core: ReplicaCore;
  readonly clock: Clock;
  readonly directory: DataDirectory;
  readonly opened: OpenedLog;
  readonly listeners: readonly Listener[];
}

class RunningReplica implements Replica {
  readonly #running: Running;
  #stopped: Promise<void> | undefined;

  constructor(running: Running) {
    this.#running = running;
  }

  status(): ReplicaStatus {
    const { core, directory } = this.#running;
    return { ...core.status(), quorateVersion, incarnation: directory.identity.incarnation };
  }

  openDoor(name: string): Door {
    const { core, clock } = this.#running;
    return createDoor({ name, clock, connect: (receive) => core.openLocal(receive) });
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const { core } = this.#running;
    core.stopTaking();
    await drained(core);
    await shutDown(this.#running);
  }
}

const drainMs = 2_000;

/** Until every admitted request is answered, but no longer than `drainMs`: without a leader none may ever be. */
function drained(core: ReplicaCore): Promise<void> {
  const end = performance.now() + drainMs;
  return new Promise((resolve) => {
    const look = (): void => {
      if (core.pending === 0 || performance.now() > end) resolve();
      else setTimeout(look, 10);
    };
    look();
  });
}
