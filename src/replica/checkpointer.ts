/**
 * Takes checkpoints while execution goes on, reports them, and learns which are certified.
 *
 * Owns: the pace of writing (a slice, a rest, a slice, a write), and what becomes of a checkpoint: written, published, reported through the log,
 * certified by f + 1 equal reports, and only then worth giving log back for. Leaves to others: after which entries (`execution/`), files
 * (`storage/checkpoint-store.ts`), telling the others (`attestation.ts`). Called by `replica/host.ts`. One is written at a time; what comes
 * meanwhile waits as far as it may, and is passed over beyond that, by this replica alone. One that finds no space on the disk waits for it, until there is a newer position to begin at (hazard D12).
 *
 * Invariant P6: a checkpoint of ours that differs from a certified one takes this replica out of service: its state is not that of f + 1 others.
 */
import { ByteWriter, equalBytes } from "../base/bytes.js";
import { framesOf } from "../execution/checkpoint-frames.js";
import type { Executor, ExecutorFork } from "../execution/executor.js";
import type { Certificate, Checkpoint, ChunkName } from "../model/checkpoint.js";
import type { Entry, EntryId } from "../model/entry.js";
import type { AgreedTime } from "../model/ids.js";
import type { Clock } from "../ports/clock.js";
import type { DiskError } from "../ports/disk.js";
import type { Hash } from "../ports/hash.js";
import type { CheckpointStore } from "../storage/checkpoint-store.js";
import { encodeManifest } from "../wire/checkpoint-codec.js";
import type { Attestation } from "./attestation.js";
import type { Certified } from "./channel.js";

export interface CheckpointerParts {
  readonly executor: Executor;
  readonly store: CheckpointStore;
  readonly hash: Hash;
  readonly clock: Clock;
  readonly chunkBytes: number;
  readonly attestation: Attestation;
  /** Positions that wait while a checkpoint is taken; one more is passed over. Where the order waits for checkpoints none may be. */
  readonly waitingMax: number;
  /** One is durable here, with its certificate. */
  readonly certified: (certified: Certified) => void;
  /** This replica's state is not that of the others. */
  readonly diverged: (reason: string) => void;
}

/** Encoding goes on for this long, or for one frame, and then rests: a request passes many turns, and each would be longer by a slice. */
const sliceMs = 1;
const restMs = 2;
/** A report that is not executed by then was lost on its way. */
const reportAgainMs = 1_000;
/** A write that found no space, or a certificate that could not be written, is tried again after this. */
const writeAgainMs = 1_000;

interface Making {
  readonly last: EntryId;
  readonly time: AgreedTime;
  readonly fork: ExecutorFork;
  readonly frames: Iterator<Uint8Array, void>;
  readonly chunk: ByteWriter;
  readonly chunks: ChunkName[];
  /** The disk is full. */
  isWaiting: boolean;
  /** What was executed is thrown away. */
  isWorthless: boolean;
}

export class Checkpointer {
  readonly #parts: CheckpointerParts;
  #making: Making | undefined;
  readonly #waiting: Making[] = [];
  #reportedAt = -Infinity;
  #certifying = false;
  #certifyAt = -Infinity;
  #stopped = false;
  #taken = 0;
  #failure: string | undefined;

  constructor(parts: CheckpointerParts) {
    this.#parts = parts;
  }

  /** Since start, and why the last one was given up, if so. */
  get statistics(): { readonly taken: number; readonly failure: string | undefined } {
    return { taken: this.#taken, failure: this.#failure };
  }

  /** `entry` was just executed and is one of those after which a checkpoint is taken. */
  take({ index, term, time }: Entry): void {
    const { executor, chunkBytes } = this.#parts;
    if (this.#making?.isWaiting === true) this.#giveUp(this.#making);
    const isBusy = this.#making !== undefined;
    if (this.#stopped || (isBusy && this.#waiting.length >= this.#parts.waitingMax)) return;
    const fork = executor.fork();
    const chunk = new ByteWriter(2 * chunkBytes);
    const making: Making = {
      last: { index, term },
      time,
      fork,
      frames: framesOf(fork),
      chunk,
      chunks: [],
      isWaiting: false,
      isWorthless: false,
    };
    if (isBusy) this.#waiting.push(making);
    else this.#begin(making);
  }

  #begin(making: Making): void {
    this.#making = making;
    this.#parts.clock.nextTurn(() => this.#slice(making));
  }

  #beginNext(): void {
    const next = this.#waiting.shift();
    if (next !== undefined && !this.#stopped) this.#begin(next);
  }

  /** Something was executed, or time has passed: is there something to report or to certify? */
  look(): void {
    const { store, attestation, clock } = this.#parts;
    const { certificate } = attestation;
    if (certificate !== undefined && certificate.index > (store.certificate?.index ?? 0)) this.#certify(certificate);
    const { newest } = store;
    if (newest === undefined || newest.last.index <= (certificate?.index ?? 0)) return;
    if (attestation.isTold(newest)) return;
    if (clock.monotonic() - this.#reportedAt < reportAgainMs) return;
    this.#reportedAt = clock.monotonic();
    attestation.tell(newest);
  }

  /** What was executed is thrown away, and whatever is under way of it. */
  restart(): void {
    for (const { fork } of this.#waiting.splice(0)) fork.release();
    if (this.#making !== undefined) {
      this.#making.isWorthless = true;
      this.#giveUp(this.#making);
    }
    this.#reportedAt = -Infinity;
  }

  /** Nothing is written from now on. */
  stop(): void {
    this.#stopped = true;
    for (const { fork } of this.#waiting.splice(0)) fork.release();
    this.#making?.fork.release();
    this.#making = undefined;
  }

  #slice(making: Making): void {
    if (this.#making !== making) return;
    const { clock, chunkBytes } = this.#parts;
    const end = clock.monotonic() + sliceMs;
    while (clock.monotonic() < end) {
      const { done, value } = making.frames.next();
      if (done === true) return this.#emit(making, () => this.#publish(making));
      making.chunk.raw(value);
      if (making.chunk.length >= chunkBytes) return this.#emit(making, () => this.#slice(making));
    }
    clock.after(restMs, () => this.#slice(making));
  }

  /** Writes what is encoded as a chunk, unless one with these bytes is there. Until then nothing more is encoded. */
  #emit(making: Making, go: () => void): void {
    const { store, hash } = this.#parts;
    if (making.chunk.length === 0) return go();
    const bytes = making.chunk.peek();
    const then = (): void => {
      making.chunk.reset();
      go();
    };
    const name = { hash: hash.sha256(bytes), bytes: bytes.length };
    making.chunks.push(name);
    store.adopt(name, (isThere) => {
      if (isThere) return this.#parts.clock.nextTurn(then);
      this.#writeChunk(making, { name, bytes }, then);
    });
  }

  #writeChunk(making: Making, chunk: { readonly name: ChunkName; readonly bytes: Uint8Array }, then: () => void): void {
    this.#parts.store.writeChunk(chunk.name, chunk.bytes, (failure) => {
      if (failure === undefined) return then();
      this.#onFailure(making, failure, () => this.#writeChunk(making, chunk, then));
    });
  }

  #publish(making: Making): void {
    if (this.#making !== making) return;
    const { last, time, chunks } = making;
    const root = this.#parts.hash.sha256(encodeManifest({ last, time, chunks }));
    const { store } = this.#parts;
    store.publish({ last, time, chunks, root }, (failure) => {
      if (making.isWorthless) return store.keepCertified();
      if (failure !== undefined) return this.#onFailure(making, failure, () => this.#publish(making));
      making.fork.release();
      this.#making = undefined;
      this.#taken += 1;
      this.#failure = undefined;
      this.#reportedAt = -Infinity;
      if (!this.#stopped) this.look();
      this.#beginNext();
    });
  }

  /** Space may come back; after any other failure the log is kept instead, and the next position is another chance. */
  #onFailure(making: Making, failure: DiskError, again: () => void): void {
    if (this.#making !== making) return;
    this.#failure = failure.message;
    if (failure.code !== "full") return this.#giveUp(making);
    this.#parts.store.dropFallback();
    making.isWaiting = true;
    this.#parts.clock.after(writeAgainMs, () => {
      if (this.#making !== making) return;
      making.isWaiting = false;
      again();
    });
  }

  #giveUp(making: Making): void {
    this.#making = undefined;
    making.fork.release();
    this.#parts.store.letGo(making.chunks);
    this.#beginNext();
  }

  #certify(certificate: Certificate): void {
    const { store, certified, diverged } = this.#parts;
    const own = store.at(certificate.index);
    if (own === undefined || this.#certifying || this.#parts.clock.monotonic() < this.#certifyAt) return;
    if (!equalBytes(own.root, certificate.root)) return diverged(describeDivergence(own, certificate));
    this.#certifying = true;
    store.certify(certificate, "goesOn", (failure) => {
      this.#certifying = false;
      this.#certifyAt = this.#parts.clock.monotonic() + (failure === undefined ? 0 : writeAgainMs);
      if (failure === undefined && !this.#stopped)
        certified({ last: own.last, unneeded: (store.fallback ?? own).last.index });
    });
  }
}

function describeDivergence({ last }: Checkpoint, { by }: Certificate): string {
  return `Cannot go on: after entry ${last.index} the state of this replica is not that of ${by.join(", ")}`;
}
