/**
 * Gets into the order what clients ask for, and what is due by time: at the leader as entries, elsewhere on the way there.
 *
 * Owns: admission at the leader, batches, the entries that only move the time, and what becomes of requests when the leader changes. Leaves
 * to others: who leads (`host.ts`, which calls this), where requests wait (`requests.ts`).
 *
 * Invariant P4: whatever waits here when the leader changes is sent to the new one, in its old order (sessions make that harmless).
 */
import type { QueuedRequest } from "../admission/batcher.js";
import { Intake } from "../admission/intake.js";
import type { AdmissionLimits } from "../api/config.js";
import type { RoleView } from "../consensus/vocabulary.js";
import type { Executed, Executor } from "../execution/executor.js";
import type { Entry } from "../model/entry.js";
import type { ReplicaId } from "../model/ids.js";
import type { AdmissionRefusal } from "../model/request.js";
import type { CancelTimer, Clock } from "../ports/clock.js";
import type { ToEngine } from "./channel.js";
import { DueTime } from "./due-time.js";
import { Outgoing, type OutgoingParts } from "./outgoing.js";
import type { RequestForm } from "./request-form.js";

export interface ProposalsParts {
  readonly self: ReplicaId;
  readonly executor: Executor;
  readonly admission: AdmissionLimits;
  readonly clock: Clock;
  readonly form: RequestForm;
  readonly toEngine: (message: ToEngine) => void;
  readonly refuse: OutgoingParts["refuse"];
  readonly isLeading: () => boolean;
  /** A turn is wanted. */
  readonly again: () => void;
}

const noPayload = new Uint8Array(0);

export class Proposals {
  readonly #parts: ProposalsParts;
  readonly #intake: Intake;
  readonly #outgoing: Outgoing;
  readonly #due = new DueTime();
  #cancelWake: CancelTimer | undefined;

  constructor(parts: ProposalsParts) {
    this.#parts = parts;
    const { self, executor, admission, form, toEngine, refuse } = parts;
    this.#intake = new Intake(admission, executor.sessions, form.eagerMax);
    this.#outgoing = new Outgoing({ self, admission, intake: this.#intake, toEngine, refuse });
  }

  add(request: QueuedRequest): void {
    this.#outgoing.add(request);
  }

  /** Another leader, or nothing of what was taken counts any more: these go out again, and nothing else. */
  restart(waiting: QueuedRequest[]): void {
    this.#intake.reset();
    this.#outgoing.replace(waiting);
  }

  /** Why nothing is taken or proposed for clients from now on, what was taken and waits for an entry included; undefined: it is. */
  close(reason: AdmissionRefusal | undefined): void {
    const waited = this.#intake.close(reason);
    if (reason !== undefined) for (const { from, keys } of waited) this.#parts.refuse(from, keys, reason);
  }

  executed({ key, reply }: Executed): void {
    if (reply.status !== "refused" || (key.kind !== "command" && key.kind !== "resolve")) return;
    this.#intake.forget(key.session);
  }

  /** All of an entry that this replica has proposed in the present term is executed. */
  passed({ kind }: Entry): void {
    if (kind === "batch" || kind === "time") this.#intake.onCommitted(this.#parts.clock.monotonic());
  }

  /** The end of a turn. */
  send(role: RoleView | undefined): void {
    const { toEngine, form, clock } = this.#parts;
    if (!this.#mayPropose) {
      if (role?.role === "leader") this.#outgoing.hold();
      else this.#outgoing.forward(role?.leader);
      return;
    }
    this.#outgoing.take();
    const now = clock.monotonic();
    for (let batch = this.#intake.nextBatch(now); batch !== undefined; batch = this.#intake.nextBatch(now)) {
      toEngine({ kind: "propose", entries: [{ kind: "batch", payload: form.batch(batch) }] });
    }
    this.#wakeAt(this.#intake.wakeAt(now), now);
  }

  /** Nothing is proposed any more. */
  stop(): void {
    this.#cancelWake?.();
  }

  /** What waits for company goes out then without it. */
  #wakeAt(at: number | undefined, now: number): void {
    if (at === undefined || this.#cancelWake !== undefined) return;
    const { clock, again } = this.#parts;
    this.#cancelWake = clock.after(Math.ceil(at - now), () => {
      this.#cancelWake = undefined;
      again();
    });
  }

  /** Whoever leads says first with which version of the machine a log begins, if that must be said. */
  get #mayPropose(): boolean {
    const { executor, isLeading } = this.#parts;
    return isLeading() && executor.versions.toBegin === undefined;
  }

  tick(): void {
    const { executor, clock, toEngine } = this.#parts;
    if (!this.#mayPropose || this.#intake.isClosed) return;
    if (!this.#due.isDue(executor.dueAt(), clock.wall(), clock.monotonic())) return;
    this.#intake.onProposed(clock.monotonic());
    toEngine({ kind: "propose", entries: [{ kind: "time", payload: noPayload }] });
  }
}
