/**
 * What a leader does with requests: admit, batch, and keep the pipeline of entries short.
 *
 * Owns: the order of these three and the count of entries on their way to commitment. All of it is of one term: another leader
 * begins anew. Leaves to others: whom a refusal goes to (`replica/host.ts`).
 */
import type { AdmissionLimits } from "../api/config.js";
import type { SessionView } from "../execution/session-view.js";
import type { SessionId } from "../model/ids.js";
import type { AdmissionRefusal } from "../model/request.js";
import { AdmissionTable } from "./admit.js";
import { Batcher, type QueuedRequest } from "./batcher.js";
import { Company } from "./company.js";

export class Intake {
  readonly #limits: AdmissionLimits;
  readonly #eagerMax: number;
  readonly #table: AdmissionTable;
  readonly #batcher: Batcher;
  /** Where entries are dear. */
  readonly #company: Company | undefined;
  /** Proposed and not executed, oldest first. */
  #pipeline: { readonly requests: number; readonly proposedAt: number }[] = [];
  #requestsInPipeline = 0;
  #closed: AdmissionRefusal | undefined;

  /** With `eagerMax` entries on their way only whole batches are proposed; if that is a limit at all, entries are dear. */
  constructor(limits: AdmissionLimits, sessions: SessionView, eagerMax = Infinity) {
    this.#limits = limits;
    this.#eagerMax = eagerMax;
    this.#company = eagerMax === Infinity ? undefined : new Company();
    this.#table = new AdmissionTable(sessions);
    this.#batcher = new Batcher(limits);
  }

  /** Another leader, or another term: nothing of what was taken in is known to be in the order. */
  reset(): void {
    this.#table.reset();
    this.#batcher.clear();
    this.#company?.reset();
    this.#pipeline = [];
    this.#requestsInPipeline = 0;
  }

  /**
   * Why nothing new is taken or proposed from now on; undefined: it is. Answers what was taken and is not proposed: as if it had never
   * come, so the caller refuses it.
   */
  close(reason: AdmissionRefusal | undefined): readonly QueuedRequest[] {
    this.#closed = reason;
    if (reason === undefined || this.#batcher.count === 0) return [];
    const waited = this.#batcher.clear();
    for (const { keys } of waited) for (const key of keys) this.#table.giveBack(key);
    return waited;
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  /**
   * Why it is not taken, if so. A repeated request is taken silently: its reply comes from execution. Of several that travel together
   * one is enough: the others are repeated or refused in execution.
   */
  take(request: QueuedRequest): AdmissionRefusal | undefined {
    let refusal: AdmissionRefusal | undefined;
    let isTaken = false;
    for (const key of request.keys) {
      const admission = this.#table.look(key);
      if (admission.kind === "repeated") continue;
      if (!isTaken && this.#closed !== undefined) return this.#closed;
      if (admission.kind === "gap") {
        refusal ??= { code: "GAP", next: admission.next };
        continue;
      }
      if (!isTaken && this.#batcher.isFull) {
        return { code: "OVERLOADED", queued: this.#batcher.count, limit: this.#limits.queueCountMax };
      }
      this.#table.take(key);
      isTaken = true;
    }
    if (!isTaken) return refusal;
    this.#batcher.add(request);
    return undefined;
  }

  /** Execution refused a command or a resolve of this session: what was taken behind it will be refused as well. */
  forget(session: SessionId): void {
    this.#table.forget(session);
  }

  /** The requests of the next entry, if enough wait and the pipeline has room. `now`: monotonic, in milliseconds. */
  nextBatch(now: number): readonly Uint8Array[] | undefined {
    const waiting = this.#batcher.count;
    if (!this.#mayPropose || this.#awaited(now) !== undefined) return undefined;
    const batch = this.#batcher.take().map(({ bytes }) => bytes);
    this.#propose(waiting - this.#batcher.count, now);
    return batch;
  }

  /** When what waits goes out at the latest, if it only waits for others. */
  wakeAt(now: number): number | undefined {
    return this.#mayPropose ? this.#awaited(now) : undefined;
  }

  /** An entry beside the batches was proposed. */
  onProposed(now: number): void {
    this.#propose(0, now);
  }

  /** An entry that this leader proposed is executed. */
  onCommitted(now: number): void {
    const entry = this.#pipeline.shift();
    if (entry === undefined) return;
    this.#requestsInPipeline -= entry.requests;
    if (this.#pipeline.length === 0) this.#company?.executed(entry, this.#batcher.count, now);
  }

  get #mayPropose(): boolean {
    return this.#closed === undefined && this.#batcher.count > 0 && this.#hasRoom;
  }

  #awaited(now: number): number | undefined {
    return this.#batcher.holdsWholeBatch ? undefined : this.#company?.awaited(this.#batcher.count, now);
  }

  /**
   * An entry costs each replica messages, and a flush or a part of one, whatever it holds. So behind others one goes out when it holds as many
   * requests as they do on average, or as many as fit; fewer wait for more, until those before them are executed.
   */
  get #hasRoom(): boolean {
    const { length } = this.#pipeline;
    if (length >= this.#limits.pipelineMax) return false;
    if (this.#batcher.holdsWholeBatch) return true;
    return length < this.#eagerMax && this.#batcher.count * length >= this.#requestsInPipeline;
  }

  #propose(requests: number, proposedAt: number): void {
    this.#pipeline.push({ requests, proposedAt });
    this.#requestsInPipeline += requests;
  }
}
