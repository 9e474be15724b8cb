/** A log store whose writes become durable one millisecond later, and are lost in a crash before. */
import type { Entry } from "../src/model/entry.js";
import { logIndex, noIndex, noTerm, type LogIndex } from "../src/model/ids.js";
import type { HardState, LogWrite, TermRun } from "../src/model/log.js";
import type { LogStore, RecoveredLog } from "../src/storage/log-store.js";
import type { ManualClock } from "./manual-clock.js";

/** What survives a crash. */
export class MemoryLogDisk {
  hardState: HardState = { term: noTerm, votedFor: undefined };
  entries: Entry[] = [];

  recover(): RecoveredLog {
    const terms: TermRun[] = [];
    for (const { index, term } of this.entries)
      if (terms.at(-1)?.term !== term) terms.push({ firstIndex: index, term });
    return {
      hardState: this.hardState,
      firstIndex: logIndex(1) as LogIndex,
      lastIndex: this.entries.at(-1)?.index ?? noIndex,
      terms,
      tail: [...this.entries],
      damaged: [],
      amnesiac: false,
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
      this.#disk.entries.push(...entries);
      this.statistics.writes += 1;
      done(undefined);
    });
  }

  read(from: LogIndex, _bytesMax: number, done: Parameters<LogStore["read"]>[2]): void {
    this.#clock.after(1, () => done(this.#disk.entries.slice(from - 1, from + 9)));
  }

  repair(_entry: Entry, done: Parameters<LogStore["repair"]>[1]): void {
    this.#clock.after(1, () => done(undefined));
  }

  close(done: () => void): void {
    this.#clock.after(0, done);
  }
}
