/**
 * Requests that wait for too long are told to all replicas, so that each watches the leader: a primary that leaves one out is given up
 * (hazard B14), and only if enough replicas know of the request.
 *
 * Owns: when that is, and keeping what others have told until it is executed, for a leader that has not heard of it. Leaves to others:
 * watching, and giving up (`consensus/bft/suspicion.ts`). Where the form of requests names no time, nothing is ever overdue. Called by
 * `host.ts`.
 */
import type { QueuedRequest } from "../admission/batcher.js";
import type { AdmissionLimits } from "../api/config.js";
import type { Executor } from "../execution/executor.js";
import type { ReplicaId } from "../model/ids.js";
import type { RequestKey } from "../model/request.js";
import type { Clock } from "../ports/clock.js";
import { encodeForwarded } from "../wire/host-codec.js";
import type { ToEngine } from "./channel.js";
import type { RequestForm } from "./request-form.js";
import type { WaitingRequest } from "./waiting.js";

export interface OverdueParts {
  readonly self: ReplicaId;
  readonly executor: Executor;
  readonly admission: AdmissionLimits;
  readonly clock: Clock;
  readonly form: RequestForm;
  /** Of this replica's clients. */
  readonly waiting: () => Iterable<WaitingRequest>;
  readonly leader: () => ReplicaId | undefined;
  /** On its way to the leader. */
  readonly sendOn: (request: QueuedRequest) => void;
  readonly toEngine: (message: ToEngine) => void;
}

/** Kept of what one replica has told. */
const heardMax = 256;

export class Overdue {
  readonly #parts: OverdueParts;
  #lookedAt = 0;
  /** What waited when this was looked at last. */
  #waited = new Set<Uint8Array>();
  readonly #heard = new Map<ReplicaId, Map<string, QueuedRequest>>();

  constructor(parts: OverdueParts) {
    this.#parts = parts;
  }

  tick(): void {
    const { form, clock, waiting } = this.#parts;
    if (form.overdueMs === undefined || clock.monotonic() - this.#lookedAt < form.overdueMs) return;
    this.#lookedAt = clock.monotonic();
    const waited = this.#waited;
    this.#waited = new Set();
    const overdue: Uint8Array[] = [];
    for (const { key, bytes } of waiting()) {
      this.#waited.add(bytes);
      if (waited.has(bytes) && this.#isDue(key)) overdue.push(bytes);
    }
    if (overdue.length > 0) this.#tellAll(overdue);
    for (const heard of this.#heard.values()) for (const request of heard.values()) this.#passOn(request);
  }

  /** Another replica says that it waits. A leader has it with the rest of what it was sent. */
  heard(request: QueuedRequest): void {
    const { form, self, leader, toEngine } = this.#parts;
    if (form.overdueMs === undefined || leader() === self || !this.#isDue(request.key)) return;
    const heard = this.#heard.get(request.from) ?? new Map<string, QueuedRequest>();
    this.#heard.set(request.from, heard);
    const name = nameOf(request.key);
    if (heard.has(name) || heard.size >= heardMax) return;
    heard.set(name, request);
    toEngine({ kind: "overdue", requests: [request.bytes] });
    this.#passOn(request);
  }

  executed(key: RequestKey): void {
    if (this.#heard.size === 0) return;
    const name = nameOf(key);
    for (const heard of this.#heard.values()) heard.delete(name);
  }

  #tellAll(overdue: readonly Uint8Array[]): void {
    const { self, executor, admission, leader, toEngine } = this.#parts;
    if (leader() === self) return;
    toEngine({ kind: "overdue", requests: overdue });
    const payloads = encodeForwarded(overdue, admission.batchBytesMax);
    for (const { id } of executor.configuration.membership.members) {
      if (id === self) continue;
      for (const payload of payloads) toEngine({ kind: "forward", as: "host", to: id, payload });
    }
  }

  /** The leader may not have been told: whoever told this replica may have left it out. */
  #passOn(request: QueuedRequest): void {
    const { self, leader, sendOn, toEngine } = this.#parts;
    const to = leader();
    if (to === self) return sendOn(request);
    if (to === undefined || to === request.from) return;
    for (const payload of encodeForwarded([request.bytes], 0)) toEngine({ kind: "forward", as: "host", to, payload });
  }

  /** A leader that may propose at all takes it: it is not executed, and closes no gap. */
  #isDue(key: RequestKey): boolean {
    if (key.kind === "open") return true;
    const session = this.#parts.executor.sessions.state(key.session);
    if (typeof session === "string") return false;
    return key.kind === "command" ? key.number === session.next : true;
  }
}

function nameOf(key: RequestKey): string {
  if (key.kind === "open") return `open ${key.nonce}`;
  const number = key.kind === "command" || key.kind === "resolve" ? ` ${key.number}` : "";
  return `${key.kind} ${key.session}${number}`;
}
