/**
 * Hands decided entries to the host, from memory or from disk, no faster than it executes them.
 *
 * Owns: what was handed over, and doing it again from an earlier place. Leaves to others: what is decided (the core), reading
 * (`storage/`), executing (`replica/execution.ts`). Called by `engine.ts`.
 *
 * Invariant P2: committed entries are delivered once each, in order; again only behind a `rewound`, from the place that the host named.
 */
import { invariant } from "../base/invariant.js";
import { entryBytes, type Entry } from "../model/entry.js";
import { after, maxIndex, noIndex, type LogIndex } from "../model/ids.js";
import type { Clock } from "../ports/clock.js";
import type { StorageFailure } from "../storage/log-store.js";
import type { Backlog } from "./backlog.js";
import type { ToHost } from "./channel.js";

/** Where decided entries are. */
export interface Decided {
  /** Known to be decided at start. */
  readonly commitIndex: LogIndex;
  /** The last entry that is not there any more: a checkpoint covers it. */
  readonly start: LogIndex;
  /** How far entries may be handed over now, of those that are decided. */
  reach(commitIndex: LogIndex): LogIndex;
  /** From memory: at least one, then as many as fit into `bytesMax`. Undefined: they must be read. */
  entriesFrom(from: LogIndex, bytesMax: number): readonly Entry[] | undefined;
  read(from: LogIndex, bytesMax: number, done: (result: readonly Entry[] | StorageFailure) => void): void;
}

export interface DeliveryParts {
  readonly decided: Decided;
  readonly clock: Clock;
  readonly backlog: Backlog;
  readonly deliveredBytesMax: number;
  readonly isStopped: () => boolean;
  readonly toHost: (message: ToHost) => void;
  readonly failed: (failure: StorageFailure) => void;
}

export class Delivery {
  readonly #parts: DeliveryParts;
  #commitIndex: LogIndex;
  #index: LogIndex = noIndex;
  #reading = false;

  constructor(parts: DeliveryParts) {
    this.#parts = parts;
    this.#commitIndex = parts.decided.commitIndex;
  }

  get commitIndex(): LogIndex {
    return this.#commitIndex;
  }

  /** Everything up to here was handed over, or is in a checkpoint that the host has. */
  get index(): LogIndex {
    return this.#index;
  }

  /** Entries up to here are decided. */
  commit(upTo: LogIndex): void {
    this.#commitIndex = upTo;
    this.deliver();
  }

  /** As far as the host's backlog allows. */
  deliver(): void {
    const { decided, deliveredBytesMax, backlog } = this.#parts;
    const isHeld = (): boolean => this.#reading || this.#parts.isStopped();
    while (!isHeld() && backlog.bytes < deliveredBytesMax) {
      const from = after(this.#index);
      // Its state comes as a checkpoint.
      if (from <= decided.start) return;
      const limit = decided.reach(this.#commitIndex);
      if (from > limit) return;
      const entries = decided.entriesFrom(from, deliveredBytesMax / 4);
      if (entries !== undefined) {
        this.#hand(entries, limit);
        continue;
      }
      this.#reading = true;
      decided.read(from, deliveredBytesMax / 4, (result) => {
        this.#reading = false;
        // A checkpoint takes the place of what was being read, or an earlier one is where it goes on.
        if (from !== after(this.#index)) return this.deliver();
        if (!Array.isArray(result)) return this.#parts.failed(result as StorageFailure);
        this.#hand(result as readonly Entry[], limit);
        this.deliver();
      });
    }
  }

  executedUpTo(index: LogIndex): void {
    this.#parts.backlog.executedUpTo(index);
    this.deliver();
  }

  /** The host only looks at what comes: it is handed over once more behind a `rewind`. */
  letGo(index: LogIndex): void {
    this.#parts.backlog.letGo(index);
    this.deliver();
  }

  /** A checkpoint takes the place of everything up to here. */
  skipTo(index: LogIndex): void {
    this.#index = maxIndex(this.#index, index);
  }

  rewind(id: number, to: LogIndex): void {
    const { decided, backlog, toHost } = this.#parts;
    this.#index = to;
    backlog.clear();
    toHost({ kind: "rewound", id });
    if (to < decided.start) toHost({ kind: "fetchCheckpoint", index: decided.start });
    this.deliver();
  }

  #hand(entries: readonly Entry[], limit: LogIndex): void {
    const { backlog, clock, toHost } = this.#parts;
    const decided = (entries.at(-1)?.index ?? limit) <= limit ? entries : entries.filter(({ index }) => index <= limit);
    let bytes = 0;
    for (const entry of decided) {
      invariant(entry.index === after(this.#index), "P2 committed entries are delivered once each, in order");
      this.#index = entry.index;
      bytes += entryBytes(entry);
    }
    backlog.add({ index: this.#index, bytes, at: clock.monotonic() });
    toHost({ kind: "committed", entries: decided });
  }
}
