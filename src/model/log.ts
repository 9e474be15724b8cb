/**
 * The nouns of a durable log: hard state, one write, runs of terms, damage.
 *
 * Owns: the shapes that ordering and storage share. Leaves to others: when to write (`consensus/`), how (`storage/`).
 */
import type { Entry, EntryId } from "./entry.js";
import type { LogIndex, ReplicaId, Term } from "./ids.js";

/** What a replica must remember through a crash besides its log. */
export interface HardState {
  readonly term: Term;
  readonly votedFor: ReplicaId | undefined;
}

/** One write: hard state and log change together, durable together before `persisted` is reported. */
export interface LogWrite {
  /** Grows by one with each write; completions come in this order. */
  readonly id: number;
  readonly hardState: HardState | undefined;
  /** The whole log is dropped before anything else: it goes on behind this entry, which a checkpoint covers. */
  readonly resetTo?: EntryId | undefined;
  /** Everything from this index on is dropped before `entries` are appended. */
  readonly truncateFrom: LogIndex | undefined;
  readonly entries: readonly Entry[];
}

/** What a replica surely has on disk, since another was told so. */
export interface Promised {
  readonly term: Term;
  /** Acknowledged to the leader of that term; 0 if nothing was. */
  readonly index: LogIndex;
}

export interface TermRun {
  readonly firstIndex: LogIndex;
  readonly term: Term;
}

export interface DamagedEntry {
  readonly index: LogIndex;
  readonly term: Term;
  /** CRC-32 of the entry's record body, from the identity that survived. */
  readonly checksum: number;
}

/**
 * For more log. `short`: the disk has none for another segment, and only the reserve is left, so nothing more should be begun for
 * clients. `none`: half of the reserve is used by what was under way then; the rest is kept for elections and members.
 */
export const logSpaces = ["ample", "short", "none"] as const;
export type LogSpace = (typeof logSpaces)[number];
