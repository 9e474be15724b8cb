/**
 * Collects admitted requests into entries: an entry is a batch.
 *
 * Owns: the queue of what was admitted and not proposed, with its limits in requests and bytes. It never waits by a clock: the
 * host takes a batch whenever the pipeline has room, so what came meanwhile goes together. Called by `replica/host.ts`.
 */
import type { AdmissionLimits } from "../api/config.js";
import type { ReplicaId } from "../model/ids.js";
import type { RequestKey } from "../model/request.js";

/** What travels and is ordered as one: a request, or several under one signature (`replica/request-form.ts`). */
export interface QueuedRequest {
  readonly keys: readonly RequestKey[];
  readonly bytes: Uint8Array;
  /** The replica whose client asks. */
  readonly from: ReplicaId;
}

export class Batcher {
  readonly #limits: AdmissionLimits;
  #queue: QueuedRequest[] = [];
  /** Taken from the front of `#queue` so far; the array is cut when it is used up. */
  #taken = 0;
  #count = 0;
  #bytes = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  /** Of single requests. */
  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.count >= this.#limits.queueCountMax || this.#bytes >= this.#limits.queueBytesMax;
  }

  /** More would not go into one entry. */
  get holdsWholeBatch(): boolean {
    const { batchCountMax, batchBytesMax } = this.#limits;
    return this.count >= batchCountMax || this.#bytes >= batchBytesMax;
  }

  add(request: QueuedRequest): void {
    this.#queue.push(request);
    this.#count += request.keys.length;
    this.#bytes += request.bytes.length;
  }

  /** The oldest requests that fit into one entry: at least one if any waits. */
  take(): readonly QueuedRequest[] {
    const { batchCountMax, batchBytesMax } = this.#limits;
    const start = this.#taken;
    let end = start;
    let count = 0;
    let bytes = 0;
    for (let next = this.#queue[end]; next !== undefined; next = this.#queue[end]) {
      const isOver = count + next.keys.length > batchCountMax || bytes + next.bytes.length > batchBytesMax;
      if (end > start && isOver) break;
      count += next.keys.length;
      bytes += next.bytes.length;
      end += 1;
    }
    const batch = start === 0 && end === this.#queue.length ? this.#queue : this.#queue.slice(start, end);
    this.#count -= count;
    this.#bytes -= bytes;
    this.#taken = end;
    if (end === this.#queue.length) {
      this.#queue = [];
      this.#taken = 0;
    }
    return batch;
  }

  /** Empties it; answers what waited, in its order. */
  clear(): readonly QueuedRequest[] {
    const waited = this.#queue.slice(this.#taken);
    this.#queue = [];
    this.#taken = 0;
    this.#count = 0;
    this.#bytes = 0;
    return waited;
  }
}
