/**
 * What the ordering engine sees of the disk: one log with its hard state.
 *
 * Owns: the contract. `storage/wal.ts` keeps it. Writes complete in order; several may be in flight; no completion comes from
 * within a call. After a failure nothing is retried and every later write fails: the replica must step aside. Without space a write is
 * no failure: it waits, with all that come after it.
 */
import type { Entry, EntryId } from "../model/entry.js";
import type { LogIndex } from "../model/ids.js";
import type { DamagedEntry, HardState, LogSpace, LogWrite, TermRun } from "../model/log.js";

export interface LogStore {
  /** Durable (written and flushed) when `done` is called without a failure. */
  write(write: LogWrite, done: (failure: StorageFailure | undefined) => void): void;
  /** Entries from `from` on: at least one if `from` is in the log, then as many as fit into `bytesMax`. */
  read(from: LogIndex, bytesMax: number, done: (result: readonly Entry[] | StorageFailure) => void): void;
  /** Writes in place a damaged entry that a peer has sent back; the caller has compared it with `DamagedEntry`. */
  repair(entry: Entry, done: (failure: StorageFailure | undefined) => void): void;
  /** Gives back what only entries up to `upTo` need: a durable checkpoint covers them. Entries behind it stay. */
  compact(upTo: LogIndex): void;
  close(done: () => void): void;
  /** By `storage.reserveBytes`; changes by itself. */
  readonly space: LogSpace;
  /** Why the disk had no space for another segment when it was last asked; undefined if it had. */
  readonly full: string | undefined;
  readonly statistics: LogStatistics;
}

export interface StorageFailure {
  readonly kind: "storageFailure";
  /** `full`: the log was closed before there was space; `broken` is final for this process; `compacted`: given back, a checkpoint covers it. */
  readonly code: "full" | "broken" | "damaged" | "compacted";
  readonly message: string;
}

export interface LogStatistics {
  readonly writes: number;
  readonly syncs: number;
  readonly bytesWritten: number;
  /** Seconds until a group of writes was durable: upper bounds, and how many took at most that; one more count at the end, of all. */
  readonly syncSeconds: {
    readonly bounds: readonly number[];
    readonly counts: readonly number[];
    readonly sum: number;
  };
}

/** What was found on disk at start. */
export interface RecoveredLog {
  readonly hardState: HardState;
  /** The last entry that the log does not hold any more, index and term 0 if it holds all: a checkpoint covers it. */
  readonly start: EntryId;
  readonly lastIndex: LogIndex;
  /** The terms of all entries as runs: `firstIndex` of each run and its term, growing. */
  readonly terms: readonly TermRun[];
  /** The newest entries up to the last, without damaged ones among them, bounded by the memory given to the log cache. */
  readonly tail: readonly Entry[];
  /** Every entry of kind `configuration` that is whole. */
  readonly configurations: readonly Entry[];
  /** Entries whose content is damaged below what is known to be synced, but whose identity survives. */
  readonly damaged: readonly DamagedEntry[];
  /**
   * Both an identity and a content are lost: this replica may not vote or acknowledge as if its log were whole. Why, for people;
   * every write is then refused with it.
   */
  readonly amnesia: string | undefined;
}

/** Why a log is not opened at all; nothing on disk was changed. */
export interface LogRefused {
  readonly kind: "refused";
  readonly code: "missing" | "foreign" | "newerVersion" | "damaged";
  /** For people: the action, the fact, the limit. */
  readonly message: string;
}
