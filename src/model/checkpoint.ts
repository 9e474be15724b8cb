/**
 * The whole replicated state at one index, as named chunks of bytes: what replaces the log up to there.
 *
 * Owns: the nouns. Leaves to others: the state's bytes (`execution/`), files (`storage/`), when, and who may have it (`replica/`).
 * Replicas that executed the same entries have the same chunks under the same root.
 */
import type { EntryId } from "./entry.js";
import type { AgreedTime, LogIndex, ReplicaId } from "./ids.js";

export interface ChunkName {
  /** SHA-256 of the chunk's bytes. */
  readonly hash: Uint8Array;
  readonly bytes: number;
}

export interface Checkpoint {
  /** The last entry that it covers. */
  readonly last: EntryId;
  /** Agreed time of that entry. */
  readonly time: AgreedTime;
  /** In the order in which they are installed. */
  readonly chunks: readonly ChunkName[];
  /** SHA-256 of the manifest, and so of everything: index, term, time and every chunk. */
  readonly root: Uint8Array;
}

/** One replica says what its checkpoint of an index is. An ordered entry of kind `report` holds it. */
export interface Report {
  readonly replica: ReplicaId;
  readonly incarnation: number;
  readonly index: LogIndex;
  readonly root: Uint8Array;
  /** Of all chunks together. */
  readonly bytes: number;
  /** Who counts, as the replica that reports has executed it: part of the report, so that all count alike. */
  readonly voters: readonly ReplicaId[];
}

/** f + 1 replicas have said the same: at least one of them is right, whichever f are not. */
export interface Certificate {
  readonly index: LogIndex;
  readonly root: Uint8Array;
  readonly bytes: number;
  readonly by: readonly ReplicaId[];
}

/** How many equal reports certify a checkpoint: one more than may be faulty. */
export function reportsNeeded(voters: number): number {
  return Math.floor((voters - 1) / 2) + 1;
}

export function bytesOf(checkpoint: Checkpoint): number {
  return checkpoint.chunks.reduce((sum, { bytes }) => sum + bytes, 0);
}
