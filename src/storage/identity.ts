/**
 * Who a data directory belongs to, and how its text lies on disk.
 *
 * Owns: the identity's shape and its file format. Leaves to others: when it is created, compared and counted up (`data-dir.ts`).
 */
import type { Membership } from "../model/membership.js";
import type { ReplicaId } from "../model/ids.js";

export interface Identity {
  readonly clusterId: string;
  readonly replicaId: ReplicaId;
  /** What an earlier incarnation promised was lost with its disk. */
  readonly incarnation: number;
  /** The members at bootstrap; equal on all replicas of a cluster. */
  readonly membership: Membership;
  /** Starts of this replica on this directory, the present one included: durable before the replica says a word. */
  readonly starts: number;
  /** Eight random bytes that every record of this directory's log carries. */
  readonly logIdentity: Uint8Array;
}
