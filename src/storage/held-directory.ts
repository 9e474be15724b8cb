/**
 * A data directory whose replica does not run, held for work on it: whose it is, and giving it to a cluster that goes on without the old one.
 *
 * Owns: the check and the lock without counting a start, the order of the record and the new cluster id. Leaves to others: starting
 * (`data-dir.ts`). The record is durable before the id changes: a directory of the new cluster always says how it came to it.
 */
import type { Disk } from "../ports/disk.js";
import type { Hash } from "../ports/hash.js";
import { identityName } from "./data-dir.js";
import { decodeIdentity, encodeIdentity, identityBytesMax, type Identity } from "./identity.js";
import { knownName } from "./known-store.js";
import { readRecoveryRecord, writeRecoveryRecord, type RecoveryRecord } from "./recovery-record.js";

export interface HeldDirectory {
  readonly kind: "held";
  /** As it was found. */
  readonly identity: Identity;
  /** What `giveTo` wrote last; undefined if it never did. */
  readonly record: RecoveryRecord | undefined;
  /** Durable when it returns: from now on no replica of the old cluster speaks with this one. Throws `DiskError`. */
  giveTo(clusterId: string, record: RecoveryRecord): void;
  release(): void;
}

export interface HoldRefused {
  readonly kind: "refused";
  /** For people: the action, the fact. */
  readonly message: string;
}

/** Throws `DiskError` if the disk fails. */
export function holdDirectory(disk: Disk, hash: Hash, path: string): HeldDirectory | HoldRefused {
  if (!disk.exists(`${path}/${identityName}`)) return refuse(path, "it holds no replica");
  const lock = disk.lock(path);
  if (lock.kind === "held") {
    const holder = lock.pid === undefined ? "another process" : `process ${lock.pid}`;
    return refuse(path, `it is in use by ${holder}: stop the replica first`);
  }
  const held = holdLocked(disk, hash, path);
  if (typeof held !== "string") return { ...held, release: () => lock.release() };
  lock.release();
  return refuse(path, held);
}

function holdLocked(disk: Disk, hash: Hash, path: string): Omit<HeldDirectory, "release"> | string {
  const identityPath = `${path}/${identityName}`;
  const decoded = decodeIdentity(disk.readFile(identityPath, identityBytesMax), hash);
  if (decoded.kind === "damaged") return "its identity file is damaged";
  if (decoded.kind === "newer") {
    return `its format is version ${decoded.version}, and this program knows ${decoded.known}`;
  }
  const record = readRecoveryRecord(disk, hash, path);
  if (record === "damaged") return "its recovery record is damaged";
  const { identity } = decoded;
  return {
    kind: "held",
    identity,
    record,
    giveTo(clusterId, written) {
      writeRecoveryRecord(disk, hash, path, written);
      // What it knew was of the old cluster. The directory is synced with the next file.
      if (disk.exists(`${path}/${knownName}`)) disk.remove(`${path}/${knownName}`);
      disk.writeFileAtomically(identityPath, encodeIdentity({ ...identity, clusterId }, hash));
    },
  };
}

function refuse(path: string, fact: string): HoldRefused {
  return { kind: "refused", message: `Cannot use the data directory ${path}: ${fact}` };
}
