/**
 * A replica's data directory: whose it is, that one process has it, that it is never taken for another's.
 *
 * Owns: the checks before anything else of the disk is touched, the lock, the start counter. Leaves to others: the log
 * (`wal.ts`), the identity's bytes (`identity.ts`). Called once by whoever starts a replica.
 */
import type { ReplicaId } from "../model/ids.js";
import type { Membership } from "../model/membership.js";
import type { Disk } from "../ports/disk.js";
import type { Hash } from "../ports/hash.js";
import type { Identity } from "./identity.js";

export interface DataDirectoryOptions {
  readonly disk: Disk;
  readonly hash: Hash;
  readonly path: string;
  readonly clusterId: string;
  readonly replicaId: ReplicaId;
  /** Creates the directory if it is empty; without it an empty one is refused. */
  readonly bootstrap:
    { readonly membership: Membership; readonly incarnation: number; readonly entropy: Uint8Array } | undefined;
}

export interface DataDirectory {
  readonly kind: "opened";
  readonly path: string;
  readonly identity: Identity;
  /** Gives the lock back; the last thing to do. */
  release(): void;
}

export interface DataDirectoryRefused {
  readonly kind: "refused";
  readonly code:
    "empty" | "notEmpty" | "held" | "otherCluster" | "otherReplica" | "newerVersion" | "damaged" | "unsafePermissions";
  /** For people: the action, the fact, what to do. */
  readonly message: string;
}

export function openDataDirectory(options: DataDirectoryOptions): DataDirectory | DataDirectoryRefused {
  return { kind: "refused", code: "empty", message: `Cannot start replica ${options.replicaId}: not written yet` };
}
