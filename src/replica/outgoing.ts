/**
 * Requests on their way to the leader: of this replica's clients, and at a leader also of other replicas.
 *
 * Owns: the queue, and what becomes of it at a leader, at one that is not settled yet, and at a follower. Leaves to others: admission (`admission/`), what is told to whom
 * when a request is refused. Called by `replica/host.ts` at the end of each turn.
 */
import type { QueuedRequest } from "../admission/batcher.js";
import type { Intake } from "../admission/intake.js";
import type { AdmissionLimits } from "../api/config.js";
import type { ReplicaId } from "../model/ids.js";
import type { AdmissionRefusal, RequestKey } from "../model/request.js";
import { encodeForwarded } from "../wire/host-codec.js";
import type { ToEngine } from "./channel.js";

export interface OutgoingParts {
  readonly self: ReplicaId;
  readonly admission: AdmissionLimits;
  readonly intake: Intake;
  readonly toEngine: (message: ToEngine) => void;
  readonly refuse: (from: ReplicaId, keys: readonly RequestKey[], refusal: AdmissionRefusal) => void;
}

export class Outgoing {
  readonly #parts: OutgoingParts;
  #requests: QueuedRequest[] = [];

  constructor(parts: OutgoingParts) {
    this.#parts = parts;
  }

  add(request: QueuedRequest): void {
    this.#requests.push(request);
  }

  /** Another leader: everything that waits here goes out again, and nothing else. */
  replace(requests: QueuedRequest[]): void {
    this.#requests = requests;
  }

  /** At the leader they have arrived. */
  take(): void {
    for (const request of this.#requests) {
      const refusal = this.#parts.intake.take(request);
      if (refusal !== undefined) this.#parts.refuse(request.from, request.keys, refusal);
    }
    this.#requests = [];
  }

  /** A leader that is not settled yet holds what it was sent; others are told to come again. */
  hold(): void {
    const { admission, refuse } = this.#parts;
    const { queueCountMax } = admission;
    while (this.#requests.length > queueCountMax) {
      const last = this.#requests.pop();
      if (last !== undefined)
        refuse(last.from, last.keys, { code: "OVERLOADED", queued: queueCountMax, limit: queueCountMax });
    }
  }

  /** Without a leader they are dropped here: they wait in `Waiting` and go out with the next one. */
  forward(to: ReplicaId | undefined): void {
    if (this.#requests.length === 0) return;
    const { self, admission, toEngine } = this.#parts;
    const own = this.#requests.filter(({ from }) => from === self).map(({ bytes }) => bytes);
    this.#requests = [];
    if (to === undefined) return;
    for (const payload of encodeForwarded(own, admission.batchBytesMax))
      toEngine({ kind: "forward", as: "host", to, payload });
  }
}
