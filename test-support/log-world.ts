/**
 * A log over a memory disk and a clock that stands still until a test moves it.
 *
 * Owns: opening, writing and waiting in one call each, so that a test reads as what happens to the log.
 */
import { crc32 } from "node:zlib";
import { createHash } from "node:crypto";
import type { Entry, EntryKind } from "../src/model/entry.js";
import { logIndex, term } from "../src/model/ids.js";
import type { LogIndex, Term } from "../src/model/ids.js";
import type { HardState, LogWrite } from "../src/model/log.js";
import type { Hash } from "../src/ports/hash.js";
import { openDataDirectory } from "../src/storage/data-dir.js";
import type { LogRefused, LogStore, RecoveredLog, StorageFailure } from "../src/storage/log-store.js";
import { openLog } from "../src/storage/wal.js";
import { ManualClock } from "./manual-clock.js";
import { MemoryDisk } from "./memory-disk.js";

export const testHash: Hash = {
  crc32: (bytes, previous) => crc32(bytes, previous),
  crc32Within: (bytes, from, to) => crc32(bytes.subarray(from, to)),
  sha256: (bytes) => new Uint8Array(createHash("sha256").update(bytes).digest()),
};

export const logIdentity = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]);
export const directory = "data";

/** 64 KiB segments roll often enough for tests. */
export const smallSegment = 64 * 1024;

export function indexOf(value: number): LogIndex {
  const index = logIndex(value);
  if (index === undefined) throw new Error(`${value} is no index`);
  return index;
}

export function termOf(value: number): Term {
  const found = term(value);
  if (found === undefined) throw new Error(`${value} is no term`);
  return found;
}

export function entryAt(index: number, inTerm: number, text: string): Entry {
  return entryOf("batch", { index, term: inTerm, payload: new Uint8Array(Buffer.from(text)) });
}

export function entryOf(
  kind: EntryKind,
  { index, term: inTerm, payload }: { readonly index: number; readonly term: number; readonly payload: Uint8Array },
): Entry {
  return { kind, index: indexOf(index), term: termOf(inTerm), time: 1_700_000_000_000 + index, payload };
}

/** A new data directory with an empty log. */
export function formattedDisk(segmentBytes: number): MemoryDisk {
  const disk = new MemoryDisk();
  bootstrap(disk, segmentBytes);
  return disk;
}

export function bootstrap(disk: MemoryDisk, segmentBytes: number): void {
  const opened = openDataDirectory({
    disk,
    hash: testHash,
    path: directory,
    clusterId: "test",
    replicaId: "a",
    machine: "kv",
    segmentBytes,
    bootstrap: { membership: { members: [] }, incarnation: 1, entropy: logIdentity },
  });
  if (opened.kind === "refused") throw new Error(opened.message);
  opened.release();
}

export interface LogWorld {
  readonly disk: MemoryDisk;
  readonly clock: ManualClock;
  readonly log: LogStore;
  readonly recovered: RecoveredLog;
  /** Ids of the writes that completed without a failure, in the order of completion. */
  readonly completed: number[];
  readonly failures: StorageFailure[];
  /** Starts a write; `settle` completes it. */
  begin(change: Partial<Omit<LogWrite, "id">>): number;
  /** Completes whatever is in flight, and what that begins. */
  settle(): void;
  /** A write from beginning to end. */
  write(change: Partial<Omit<LogWrite, "id">>): void;
  read(from: number, bytesMax: number): readonly Entry[] | StorageFailure;
  repair(entry: Entry): StorageFailure | undefined;
  close(): void;
}

export function openedLog(disk: MemoryDisk, segmentBytes: number, groupsInFlightMax = 1): LogWorld {
  const world = tryOpenLog(disk, segmentBytes, groupsInFlightMax);
  if ("kind" in world) throw new Error(world.message);
  return world;
}

export function tryOpenLog(disk: MemoryDisk, segmentBytes: number, groupsInFlightMax = 1): LogWorld | LogRefused {
  const clock = new ManualClock();
  const cacheBytes = 1024 * 1024;
  const opened = openLog({
    disk,
    hash: testHash,
    clock,
    directory,
    logIdentity,
    segmentBytes,
    groupsInFlightMax,
    reserveBytes: smallSegment / 8,
    cacheBytes,
  });
  if (opened.kind === "refused") return opened;
  const { log, recovered } = opened;
  const completed: number[] = [];
  const failures: StorageFailure[] = [];
  let ids = 0;
  const settle = (): void => {
    do {
      disk.settle();
      clock.endTurn();
    } while (disk.pendingCount > 0);
  };
  const begin: LogWorld["begin"] = (change) => {
    const id = (ids += 1);
    const write = { id, hardState: undefined, truncateFrom: undefined, entries: [], ...change };
    log.write(write, (failure) => {
      if (failure === undefined) completed.push(id);
      else failures.push(failure);
    });
    return id;
  };
  return {
    disk,
    clock,
    log,
    recovered,
    completed,
    failures,
    begin,
    settle,
    write: (change) => {
      const id = begin(change);
      settle();
      if (completed.at(-1) !== id) throw new Error(failures.at(-1)?.message ?? "the write did not complete");
    },
    read: (from, bytesMax) => {
      let answer: readonly Entry[] | StorageFailure | undefined;
      log.read(indexOf(from), bytesMax, (result) => (answer = result));
      settle();
      if (answer === undefined) throw new Error("the read did not complete");
      return answer;
    },
    repair: (entry) => {
      let answer: StorageFailure | undefined | "waiting" = "waiting";
      log.repair(entry, (failure) => (answer = failure));
      settle();
      if (answer === "waiting") throw new Error("the repair did not complete");
      return answer;
    },
    close: () => {
      let isClosed = false;
      log.close(() => (isClosed = true));
      settle();
      if (!isClosed) throw new Error("the log did not close");
    },
  };
}

export function hardStateOf(inTerm: number, votedFor: string | undefined): HardState {
  return { term: termOf(inTerm), votedFor };
}

/** What entries hold, as text, in order. */
export function textsOf(entries: readonly Entry[] | StorageFailure): readonly string[] {
  if ("kind" in entries) throw new Error(entries.message);
  return entries.map(({ payload }) => Buffer.from(payload).toString());
}
