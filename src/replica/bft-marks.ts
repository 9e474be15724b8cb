/**
 * Read barriers under Byzantine faults: a request of this replica that does nothing is ordered, and whoever reads waits until it is decided.
 *
 * Owns: one such mark at a time for all who ask meanwhile, and sending it again. Leaves to others: ordering. Called by `bft-driver.ts`. No
 * replica is believed: what was acknowledged before a mark was made is decided before it.
 */
import { randomStream, nextFraction, type Random } from "../base/random.js";
import type { Digest } from "../consensus/bft/messages.js";
import { counterMax, requestNumber, sessionId, type LogIndex } from "../model/ids.js";
import { invariant } from "../base/invariant.js";
import { encodeRequest } from "../wire/request-codec.js";

export interface BftMarksParts {
  readonly seed: number;
  readonly overdueMs: number;
  /** An encoded bundle of one request, and its name. */
  readonly seal: (request: Uint8Array) => { readonly bytes: Uint8Array; readonly id: Digest };
  /** To the primary, or to everybody if it has waited before. */
  readonly send: (bytes: Uint8Array, isOverdue: boolean) => void;
  readonly passed: (id: number, index: LogIndex) => void;
  readonly failed: (id: number) => void;
}

interface Mark {
  readonly bytes: Uint8Array;
  readonly id: Digest;
  readonly askers: readonly number[];
  sentAt: number;
}

/** Never given to anybody: a request of it is refused by execution, without effect. */
const noSession = sessionId(counterMax - 1);

export class BftMarks {
  readonly #parts: BftMarksParts;
  readonly #random: Random;
  #asking: number[] = [];
  #mark: Mark | undefined;

  constructor(parts: BftMarksParts) {
    this.#parts = parts;
    this.#random = randomStream(parts.seed, "marks");
  }

  ask(id: number, now: number): void {
    this.#asking.push(id);
    this.#next(now);
  }

  /** The request with this name is decided at this index. */
  decided(id: Digest, index: LogIndex, now: number): void {
    const mark = this.#mark;
    if (mark?.id !== id) return;
    this.#mark = undefined;
    for (const asker of mark.askers) this.#parts.passed(asker, index);
    this.#next(now);
  }

  /** Another primary: it knows nothing of it. */
  restart(now: number): void {
    if (this.#mark !== undefined) this.#send(this.#mark, false, now);
  }

  tick(now: number): void {
    if (this.#mark !== undefined && now - this.#mark.sentAt >= this.#parts.overdueMs) this.#send(this.#mark, true, now);
  }

  /** It may have been decided in what a checkpoint has replaced. */
  fail(): void {
    const askers = [...(this.#mark?.askers ?? []), ...this.#asking];
    this.#mark = undefined;
    this.#asking = [];
    for (const asker of askers) this.#parts.failed(asker);
  }

  #next(now: number): void {
    if (this.#mark !== undefined || this.#asking.length === 0) return;
    const acknowledgedBelow = requestNumber(1 + Math.floor(nextFraction(this.#random) * (counterMax - 1)));
    invariant(
      noSession !== undefined && acknowledgedBelow !== undefined,
      "a mark is a request of a form that is known",
    );
    const sealed = this.#parts.seal(encodeRequest({ kind: "keepAlive", session: noSession, acknowledgedBelow }));
    const mark = { ...sealed, askers: this.#asking, sentAt: now };
    this.#mark = mark;
    this.#asking = [];
    this.#send(mark, false, now);
  }

  #send(mark: Mark, isOverdue: boolean, now: number): void {
    mark.sentAt = now;
    this.#parts.send(mark.bytes, isOverdue);
  }
}
