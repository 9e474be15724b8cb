/**
 * The write-ahead log (signatures first; the implementation follows).
 */
import type { Clock } from "../ports/clock.js";
import type { Disk } from "../ports/disk.js";
import type { Hash } from "../ports/hash.js";
import type { LogStore, RecoveredLog } from "./log-store.js";

export interface LogOptions {
  readonly disk: Disk;
  readonly hash: Hash;
  readonly clock: Clock;
  /** The data directory, opened before (`openDataDirectory`). */
  readonly directory: string;
  readonly logIdentity: Uint8Array;
  readonly segmentBytes: number;
  /** The newest entries that recovery hands over, in bytes. */
  readonly cacheBytes: number;
}

export interface OpenedLog {
  readonly kind: "opened";
  readonly log: LogStore;
  readonly recovered: RecoveredLog;
}

export interface LogRefused {
  readonly kind: "refused";
  readonly code: "missing" | "foreign" | "newerVersion" | "damaged";
  readonly message: string;
}

/** Recovers what is there, makes the directory ready to append, and hands both over. Synchronous: nothing runs before it. */
export function openLog(options: LogOptions): OpenedLog | LogRefused {
  return { kind: "refused", code: "missing", message: `Cannot open the log in ${options.directory}: not written yet` };
}
