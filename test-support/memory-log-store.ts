/** A log store whose writes become durable one millisecond later, and are lost in a crash before. */
import { noEntry, type Entry } from "../src/model/entry.js";
import { noIndex, noTerm, type LogIndex } from "../src/model/ids.js";
import type { DamagedEntry, HardState, LogSpace, LogWrite, TermRun } from "../src/model/log.js";
import { nodeHash } from "../src/node/hash.js";
import type { LogStore, RecoveredLog } from "../src/storage/log-store.js";
import { entryChecksum } from "../src/storage/wal-format.js";
import type { ManualClock } from "./manual-clock.js";

/** What survives a crash. */
export class MemoryLogDisk {
  hardState: HardState = { term: noTerm, votedFor: undefined };
  entries: Entry[] = [];
  /** Their names survive, their contents do not. */
  readonly damaged = new Map<LogIndex, DamagedEntry>();

  /** Bits flip in the entry at `at`, which must be there. */
  damage(at: number): void {
    const entry = this.entries[at - 1];
    if (entry === undefined) throw new Error(`no entry ${at} to damage`);
    this.damaged.set(entry.index, { index: entry.index, term: entry.term, checksum: entryChecksum(nodeHash, entry) });
    this.entries[at - 1] = { ...entry, payload: new Uint8Array([0xde, 0xad]) };
  }

  recover(): RecoveredLog {
    const terms: TermRun[] = [];
    for (const { index, term } of this.entries)
      if (terms.at(-1)?.term !== term) terms.push({ firstIndex: index, term });
    return {
      hardState: this.hardState,
      start: noEntry,
      lastIndex: this.entries.at(-1)?.index ?? noIndex,
      terms,
      // A few of the newest: the rest is read from disk, as it is from a long log.
      tail: this.entries.slice(Math.max(0, this.entries.length - 5, ...this.damaged.keys())),
      configurations: this.entries.filter(({ kind, index }) => kind === "configuration" && !this.damaged.has(index)),
      damaged: [...this.damaged.values()],
      amnesia: undefined,
    };
  }

  open(clock: ManualClock): MemoryLogStore {
    return new MemoryLogStore(this, clock);
  }
}

export class MemoryLogStore implements LogStore {
  readonly #disk: MemoryLogDisk;
  readonly #clock: ManualClock;
  #crashed = false;
  /** The next write fails, and every one after it. */
  failing = false;
  space: LogSpace = "ample";
  full: string | undefined;
  readonly statistics = { writes: 0, syncs: 0, bytesWritten: 0, syncSeconds: { bounds: [], counts: [], sum: 0 } };

  constructor(disk: MemoryLogDisk, clock: ManualClock) {
    this.#disk = disk;
    this.#clock = clock;
  }

  crash(): void {
    this.#crashed = true;
  }

  write(write: LogWrite, done: Parameters<LogStore["write"]>[1]): void {
    this.#clock.after(1, () => {
      if (this.#crashed) return;
      if (this.failing) return done({ kind: "storageFailure", code: "broken", message: "EIO" });
      const { hardState, truncateFrom, entries } = write;
      if (hardState !== undefined) this.#disk.hardState = hardState;
      if (truncateFrom !== undefined)
        this.#disk.entries = this.#disk.entries.filter(({ index }) => index < truncateFrom);
      for (const index of this.#disk.damaged.keys())
        if (index >= (truncateFrom ?? Infinity)) this.#disk.damaged.delete(index);
      this.#disk.entries.push(...entries);
      this.statistics.writes += 1;
      done(undefined);
    });
  }

  read(from: LogIndex, _bytesMax: number, done: Parameters<LogStore["read"]>[2]): void {
    this.#clock.after(1, () => {
      const { entries, damaged } = this.#disk;
      if (damaged.has(from)) return done({ kind: "storageFailure", code: "damaged", message: `${from} is damaged` });
      const end = Math.min(from + 9, ...[...damaged.keys()].filter((index) => index > from).map((index) => index - 1));
      done(entries.slice(from - 1, end));
    });
  }

  repair(entry: Entry, done: Parameters<LogStore["repair"]>[1]): void {
    this.#clock.after(1, () => {
      if (this.#crashed) return;
      this.#disk.entries[entry.index - 1] = entry;
      this.#disk.damaged.delete(entry.index);
      done(undefined);
    });
  }

  compact(): void {
    // It keeps everything: what a log gives back is tried on the real one.
  }

  close(done: () => void): void {
    this.#clock.after(0, done);
  }
}
