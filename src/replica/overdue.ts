/**
 * Requests that wait for too long are told to all replicas, so that each watches the leader: a primary that leaves one out is given up
 * (hazard B14), and only if enough replicas know of the request.
 *
 * Owns: when that is, and keeping what others have told until it is executed, for a leader that has not heard of it. Leaves to others:
 * watching, and giving up (`consensus/bft/suspicion.ts`). Where the form of requests names no time, nothing is ever overdue. Called by
 * `host.ts`.
 *
 * Invariant P8: what is watched is watched until it is decided, or until nothing in it waits for its place in the order any more: a client
 * asks again in another bundle, and then the first may never be decided, and no primary is to blame.
 */
import type { QueuedRequest } from "../admission/batcher.js";
import type { AdmissionLimits } from "../api/config.js";
import type { Executor } from "../execution/executor.js";
import type { ReplicaId } from "../model/ids.js";
import { keyText, type RequestKey } from "../model/request.js";
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

function bytesOf(requests: Iterable<QueuedRequest>): readonly Uint8Array[] {
  return [...requests].map(({ bytes }) => bytes);
}

/** By the requests in it that are not executed. */
type Heard = Map<string, QueuedRequest>;

export class Overdue {
  readonly #parts: OverdueParts;
  #lookedAt = 0;
  /** What waited when this was looked at last. */
  #waited = new Set<QueuedRequest>();
  readonly #heard = new Map<ReplicaId, Heard>();
  /** What the engine watches. */
  #watched = new Set<QueuedRequest>();

  constructor(parts: OverdueParts) {
    this.#parts = parts;
  }

  tick(): void {
    const { self, form, clock, waiting, leader, toEngine } = this.#parts;
    if (form.overdueMs === undefined || clock.monotonic() - this.#lookedAt < form.overdueMs) return;
    this.#lookedAt = clock.monotonic();
    const waited = this.#waited;
    this.#waited = new Set();
    const overdue = new Set<QueuedRequest>();
    for (const { key, queued } of waiting()) {
      if (queued === undefined) continue;
      this.#waited.add(queued);
      if (waited.has(queued) && this.#isDue(key)) overdue.add(queued);
    }
    const heard = this.#heardStill();
    // A leader watches nobody.
    const watched = leader() === self ? new Set<QueuedRequest>() : new Set([...overdue, ...heard]);
    const ended = [...this.#watched].filter((request) => !watched.has(request));
    this.#watched = watched;
    if (watched.size + ended.length > 0) {
      toEngine({ kind: "overdue", requests: bytesOf(watched), ended: bytesOf(ended) });
    }
    if (leader() !== self && overdue.size > 0) this.#tellAll(bytesOf(overdue));
    for (const request of heard) this.#passOn(request);
  }

  /** Another replica says that it waits. A leader has it with the rest of what it was sent. */
  heard(request: QueuedRequest): void {
    const { form, self, leader, toEngine } = this.#parts;
    if (form.overdueMs === undefined || leader() === self || !this.#isAnyDue(request)) return;
    const heard = this.#heard.get(request.from) ?? new Map<string, QueuedRequest>();
    this.#heard.set(request.from, heard);
    const names = request.keys.map(keyText);
    // What it shares requests with goes first; if it was not executed by then, it is told again.
    if (names.some((name) => heard.has(name)) || new Set(heard.values()).size >= heardMax) return;
    for (const name of names) heard.set(name, request);
    this.#watched.add(request);
    toEngine({ kind: "overdue", requests: [request.bytes], ended: [] });
    this.#passOn(request);
  }

  executed(key: RequestKey): void {
    if (this.#heard.size === 0) return;
    const name = keyText(key);
    for (const heard of this.#heard.values()) heard.delete(name);
  }

  /** Of what others have told; what will never have a place in the order is forgotten. */
  #heardStill(): ReadonlySet<QueuedRequest> {
    const still = new Set<QueuedRequest>();
    for (const [from, heard] of this.#heard) {
      for (const request of new Set(heard.values())) {
        if (this.#isAnyDue(request)) still.add(request);
        else for (const key of request.keys) heard.delete(keyText(key));
      }
      if (heard.size === 0) this.#heard.delete(from);
    }
    return still;
  }

  #tellAll(overdue: readonly Uint8Array[]): void {
    const { self, executor, admission, toEngine } = this.#parts;
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

  #isAnyDue({ keys }: QueuedRequest): boolean {
    return keys.some((key) => this.#isDue(key));
  }

  /** A leader that may propose at all takes it: it is not executed, and closes no gap. */
  #isDue(key: RequestKey): boolean {
    if (key.kind === "open") return true;
    const session = this.#parts.executor.sessions.state(key.session);
    if (typeof session === "string") return false;
    return key.kind === "command" ? key.number === session.next : true;
  }
}
