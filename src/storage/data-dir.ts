/**
 * A replica's data directory: whose it is, that one process has it, that it is never taken for another's.
 *
 * Owns: the checks before anything else of the disk is touched, the lock, the start counter, the order of a bootstrap. Leaves to
 * others: the log (`wal.ts`), the identity's bytes (`identity.ts`). Called once by whoever starts a replica.
 *
 * An empty directory is refused unless a bootstrap is asked for: a replica that lost its disk has forgotten its votes and what
 * it acknowledged, and must not be counted as if it had not (hazard M8). A second process is refused while the first lives
 * (hazard M10). A file `bootstrapping` stands from the first step of a bootstrap to the last, so one that was cut short is told
 * from a directory that has lost its identity.
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import type { ReplicaId } from "../model/ids.js";
import type { Member, Membership } from "../model/membership.js";
import { DiskError, type DirectoryHeld, type DirectoryLock, type Disk } from "../ports/disk.js";
import type { Hash } from "../ports/hash.js";
import { encodeHardStateFile, hardStateName, initialHardState } from "./hard-state.js";
import type { Identity } from "./identity.js";
import { decodeIdentity, encodeIdentity, identityBytesMax, notCounted } from "./identity.js";
import { readRecoveryRecord } from "./recovery-record.js";
import { createLog, logDirectoryName } from "./segments.js";

export interface DataDirectoryOptions {
  readonly disk: Disk;
  readonly hash: Hash;
  readonly path: string;
  readonly clusterId: string;
  readonly replicaId: ReplicaId;
  /** The name of the machine that this start runs: the log of another one means nothing to it. */
  readonly machine: string;
  /** Of the log's first segment; later ones are as `LogOptions` says. */
  readonly segmentBytes: number;
  /** Creates the directory if it is empty; without it an empty one is refused. `entropy`: 8 random bytes. */
  readonly bootstrap: BootstrapOptions | undefined;
}

export interface BootstrapOptions {
  readonly membership: Membership;
  readonly incarnation: number;
  readonly entropy: Uint8Array;
}

export interface DataDirectory {
  readonly kind: "opened";
  readonly path: string;
  readonly identity: Identity;
  /** Members of an older cluster that this one goes on without: should they come back, somebody must hear of it. */
  readonly lost: readonly Member[];
  /** Durably: no start on this directory from now on. If the disk refuses, a peer will say it again after the next start. */
  disown(reason: string): void;
  /** Gives the lock back; the last thing to do. */
  release(): void;
}

export interface DataDirectoryRefused {
  readonly kind: "refused";
  readonly code:
    | "empty"
    | "notEmpty"
    | "held"
    | "notLockable"
    | "otherCluster"
    | "otherReplica"
    | "otherMachine"
    | "newerVersion"
    | "damaged"
    | "disowned"
    | "unsafePermissions";
  /** For people: the action, the fact, what to do. */
  readonly message: string;
}

export const identityName = "identity";
const bootstrappingName = "bootstrapping";
/** Says why this directory is never used again. */
const disownedName = "disowned";
const reasonBytesMax = 16 * 1024;

/** Throws `DiskError` if the disk fails. */
export function openDataDirectory(options: DataDirectoryOptions): DataDirectory | DataDirectoryRefused {
  const { disk, path, bootstrap } = options;
  if (!disk.exists(path)) {
    if (bootstrap === undefined) return refuseEmpty(options, "does not exist");
    disk.makeDirectory(path);
  }
  if (disk.isWritableByOthers(path)) {
    const fact = `its data directory ${path} may be written by others than its owner: run chmod go-w on it`;
    return refuse(options, "unsafePermissions", fact);
  }
  const lock = lockOrRefuse(options);
  if (lock.kind === "refused") return lock;
  if (lock.kind === "held") {
    const holder = lock.pid === undefined ? "another process" : `process ${lock.pid}`;
    return refuse(options, "held", `its data directory ${path} is in use by ${holder}`);
  }
  const opened = openLocked(options, lock);
  if (opened.kind === "refused") lock.release();
  return opened;
}

/** A few bytes must be written before anything is read: what keeps them out is the operator's matter, so it is said in full. */
function lockOrRefuse(options: DataDirectoryOptions): DirectoryLock | DirectoryHeld | DataDirectoryRefused {
  const { disk, path } = options;
  try {
    return disk.lock(path);
  } catch (cause) {
    if (!(cause instanceof DiskError)) throw cause;
    const fact = `no lock file can be written in its data directory ${path} (${cause.message})`;
    return refuse(options, "notLockable", `${fact}: ${remedyFor(cause)}`);
  }
}

function remedyFor({ code }: DiskError): string {
  switch (code) {
    case "full":
      return "free some space or inodes on its file system, and start it again";
    case "denied":
      return "mount it so that it can be written, make the user of this process its owner, and start it again";
    default:
      return "see to that, and start it again";
  }
}

function openLocked(options: DataDirectoryOptions, lock: DirectoryLock): DataDirectory | DataDirectoryRefused {
  const { disk, path, hash } = options;
  const identityPath = `${path}/${identityName}`;
  if (!disk.exists(identityPath)) {
    const refused = bootstrapOrRefuse(options);
    if (refused !== undefined) return refused;
  }
  const decoded = decodeIdentity(disk.readFile(identityPath, identityBytesMax), hash);
  switch (decoded.kind) {
    case "damaged":
      return refuse(options, "damaged", `the identity file in ${path} is damaged: treat this disk as lost`);
    case "newer": {
      const fact = `its data directory has format version ${decoded.version}, and this program knows ${decoded.known}`;
      return refuse(options, "newerVersion", `${fact}: use the newer program`);
    }
    case "identity":
      return takeOwn(options, decoded.identity, lock);
  }
}

/** The directory has an identity: is it this replica's? Then this start is counted, durably. */
function takeOwn(
  options: DataDirectoryOptions,
  found: Identity,
  lock: DirectoryLock,
): DataDirectory | DataDirectoryRefused {
  const { disk, path, hash, clusterId, replicaId } = options;
  if (found.clusterId !== clusterId) {
    return refuse(options, "otherCluster", `${path} belongs to cluster ${found.clusterId}, not to ${clusterId}`);
  }
  if (found.replicaId !== replicaId) {
    return refuse(options, "otherReplica", `${path} belongs to replica ${found.replicaId}`);
  }
  if (found.machine !== options.machine) {
    return refuse(
      options,
      "otherMachine",
      `${path} holds the log of machine ${found.machine}, not of ${options.machine}`,
    );
  }
  if (disk.exists(`${path}/${disownedName}`)) return refuseDisowned(options);
  const identity = countStart(options, found);
  const bootstrapping = `${path}/${bootstrappingName}`;
  if (disk.exists(bootstrapping)) disk.remove(bootstrapping);
  const record = readRecoveryRecord(disk, hash, path);
  // It only warns: a damaged one is no reason not to serve.
  const lost = record === undefined || record === "damaged" ? [] : record.lost;
  return { kind: "opened", path, identity, lost, disown: disowning(options), release: () => lock.release() };
}

/** A full disk must not keep a replica down that needs no space (hazard D12): that start has no number, so that no other has the same. */
function countStart({ disk, hash, path }: DataDirectoryOptions, found: Identity): Identity {
  try {
    const identity: Identity = { ...found, starts: found.starts + 1 };
    disk.writeFileAtomically(`${path}/${identityName}`, encodeIdentity(identity, hash));
    return identity;
  } catch (cause) {
    if (!(cause instanceof DiskError) || cause.code !== "full") throw cause;
    return { ...found, starts: notCounted };
  }
}

function bootstrapOrRefuse(options: DataDirectoryOptions): DataDirectoryRefused | undefined {
  const { disk, path, bootstrap } = options;
  const wasCutShort = disk.exists(`${path}/${bootstrappingName}`);
  const names = disk.list(path).filter((name) => !isScaffolding(name));
  if (names.length > 0 && !wasCutShort) {
    const fact = `its data directory ${path} is not empty (${names.slice(0, 3).join(", ")}) and has no identity file`;
    return refuse(options, "notEmpty", `${fact}: it is not a data directory, or it is damaged`);
  }
  if (bootstrap === undefined) return refuseEmpty(options, wasCutShort ? "was never completed" : "is empty");
  create(options, bootstrap);
  return undefined;
}

/** The identity comes last: a directory that has one is complete. */
function create(options: DataDirectoryOptions, bootstrap: BootstrapOptions): void {
  const { disk, path, hash, clusterId, replicaId, machine, segmentBytes } = options;
  const context = { hash, logIdentity: bootstrap.entropy };
  disk.writeFileAtomically(`${path}/${bootstrappingName}`, new Uint8Array(0));
  createLog({ disk, context, directory: `${path}/${logDirectoryName}`, segmentBytes });
  disk.writeFileAtomically(`${path}/${hardStateName}`, encodeHardStateFile(initialHardState, context));
  const identity: Identity = {
    clusterId,
    replicaId,
    machine,
    incarnation: bootstrap.incarnation,
    membership: bootstrap.membership,
    starts: 0,
    logIdentity: bootstrap.entropy,
  };
  disk.writeFileAtomically(`${path}/${identityName}`, encodeIdentity(identity, hash));
}

/** Files that say nothing about a replica: the lock, and what a write aside left behind. */
function isScaffolding(name: string): boolean {
  return name.startsWith("lock") || name.endsWith(".new") || name === "lost+found";
}

function refuseEmpty(options: DataDirectoryOptions, fact: string): DataDirectoryRefused {
  const why = "a replica that lost its disk must not vote: it has forgotten what it promised";
  const again = `To take part again: quorate member replace ${options.replicaId}, and start it with --join`;
  const first = "--bootstrap is for founding a cluster, once";
  return refuse(options, "empty", `its data directory ${options.path} ${fact}, and ${why}. ${again}; ${first}`);
}

function refuseDisowned(options: DataDirectoryOptions): DataDirectoryRefused {
  const { disk, path, replicaId } = options;
  const reader = new ByteReader(disk.readFile(`${path}/${disownedName}`, reasonBytesMax));
  const fact = `its data directory ${path} was disowned by the others: ${reader.text()}`;
  const again = `Erase it, run quorate member replace ${replicaId}, and start it with --join`;
  return refuse(options, "disowned", `${fact} ${again}`);
}

function disowning({ disk, path }: DataDirectoryOptions): (reason: string) => void {
  return (reason) => {
    const writer = new ByteWriter();
    writer.text(reason);
    try {
      disk.writeFileAtomically(`${path}/${disownedName}`, writer.finish());
    } catch (cause) {
      if (!(cause instanceof DiskError)) throw cause;
    }
  };
}

function refuse(options: DataDirectoryOptions, code: DataDirectoryRefused["code"], fact: string): DataDirectoryRefused {
  return { kind: "refused", code, message: `Cannot start replica ${options.replicaId}: ${fact}` };
}
