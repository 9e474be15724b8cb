/**
 * The requests of a replica's clients, from when they come to their answer or refusal.
 *
 * Owns: what is taken, who waits for it, and what each is told. Leaves to others: the way to the leader (`outgoing.ts`), queries
 * (`queries.ts`), turns (`host.ts`, which calls this).
 *
 * Invariant P3: a client is answered only from execution, or with a refusal before its request left this replica's hands; of what has left
 * them the client is told first that it may be anywhere.
 */
import type { QueuedRequest } from "../admission/batcher.js";
import type { AdmissionLimits } from "../api/config.js";
import type { Executed, Executor } from "../execution/executor.js";
import type { LogIndex, ReplicaId } from "../model/ids.js";
import {
  isInNameOf,
  type AdmissionRefusal,
  type ClientMessage,
  type ReplicaMessage,
  type RequestKey,
} from "../model/request.js";
import type { Hash } from "../ports/hash.js";
import { encodeHostMessage } from "../wire/host-codec.js";
import { peekRequest } from "../wire/request-codec.js";
import type { ToEngine } from "./channel.js";
import type { HostCounters } from "./host-counters.js";
import { Confirmations } from "./confirmations.js";
import type { KeyedRequest, RequestForm } from "./request-form.js";
import { Waiting, type WaitingRequest } from "./waiting.js";

export interface RequestsParts {
  readonly self: ReplicaId;
  readonly executor: Executor;
  readonly admission: AdmissionLimits;
  readonly form: RequestForm;
  readonly counters: HostCounters;
  readonly hash: Hash;
  readonly toEngine: (message: ToEngine) => void;
  readonly answer: (connection: number, message: ReplicaMessage) => void;
  /** On its way to the leader. */
  readonly sendOn: (request: QueuedRequest) => void;
  /** A turn is wanted: something was taken outside of one. */
  readonly again: () => void;
  readonly dropped: (reason: string, detail: string) => void;
}

type Question = Extract<ClientMessage, { readonly kind: "confirm" | "follow" }>;

export class Requests {
  readonly #parts: RequestsParts;
  readonly #waiting = new Waiting();
  readonly #confirmations: Confirmations;
  /** Names of what was taken in this turn. */
  readonly #came: string[] = [];
  /** Of this turn: they wait, and have not left yet. */
  #unsent: (KeyedRequest & WaitingRequest)[] = [];

  constructor(parts: RequestsParts) {
    this.#parts = parts;
    const { self, executor, hash, answer } = parts;
    this.#confirmations = new Confirmations({ self, executor, hash, answer });
  }

  get count(): number {
    return this.#waiting.count;
  }

  get bytes(): number {
    return this.#waiting.bytes;
  }

  /** An encoded request (`wire/request-codec.ts`). `closed`: why none is taken, if so. */
  add(connection: number, bytes: Uint8Array, closed: AdmissionRefusal | undefined): void {
    const { dropped, sendOn } = this.#parts;
    const key = peekRequest(bytes);
    if (key === undefined) return dropped("malformed request", `connection ${connection}`);
    const refusal = closed ?? this.#waiting.pressure(connection, this.#parts.admission);
    if (refusal !== undefined) return this.#refuse(connection, key, refusal);
    if (this.#answerStored(connection, key)) return;
    const fresh = { key, bytes, size: bytes.length, queued: undefined, connection };
    const present = this.#waiting.add(fresh);
    if (present === undefined) this.#unsent.push(fresh);
    // A request that waits already is on its way: only a lost message makes a client ask twice, so it goes out again.
    else if (present.queued !== undefined) sendOn(present.queued);
  }

  /** Under the client's own signature. What is not genuine is not answered. `closed` is asked once it is verified. */
  addSigned(connection: number, bundle: Uint8Array, closed: () => AdmissionRefusal | undefined): void {
    const { self, form, dropped, again } = this.#parts;
    form.admit(bundle, senderOf(connection), (admitted) => {
      if (admitted === undefined) return dropped("malformed signed request", `connection ${connection}`);
      const { keys, signer, id } = admitted;
      // It would wait in the place of the session's own client, and hear what that is answered.
      if (!keys.every((key) => this.#isOwner(key, signer)))
        return dropped("session of another key", `connection ${connection}`);
      if (this.#takeSigned(connection, { keys, bytes: bundle, from: self }, closed()) && id !== undefined) {
        this.#came.push(id);
      }
      again();
    });
  }

  /** False: nothing of it is taken, or all of it is answered. */
  #takeSigned(connection: number, queued: QueuedRequest, closed: AdmissionRefusal | undefined): boolean {
    const { admission, sendOn, counters } = this.#parts;
    const { keys, bytes } = queued;
    const refusal = closed ?? this.#waiting.pressure(connection, admission);
    let isNews = false;
    for (const key of keys) {
      if (refusal !== undefined) this.#refuse(connection, key, refusal);
      else if (!this.#answerStored(connection, key)) {
        isNews = true;
        const size = Math.ceil(bytes.length / keys.length);
        if (this.#waiting.add({ key, size, queued, connection }) === undefined) counters.requestsAdmitted += 1;
      }
    }
    if (isNews) sendOn(queued);
    return isNews;
  }

  /** What came in this turn goes out together, and followers hear what was executed in it. */
  send(isServing: boolean): void {
    this.#confirmations.tell(isServing);
    if (this.#unsent.length > 0) this.#sendUnsent();
    if (this.#came.length > 0) this.#parts.toEngine({ kind: "waiting", ids: this.#came.splice(0) });
  }

  #sendUnsent(): void {
    const { self, form, sendOn, counters } = this.#parts;
    // What was refused meanwhile must not leave.
    const unsent = this.#unsent.filter((fresh) => this.#waiting.find(fresh.key) === fresh);
    this.#unsent = [];
    counters.requestsAdmitted += unsent.length;
    let at = 0;
    for (const wrapped of form.wrap(unsent, self)) {
      if (wrapped.id !== undefined) this.#came.push(wrapped.id);
      for (const end = at + wrapped.keys.length; at < end; at += 1) {
        const fresh = unsent[at];
        if (fresh !== undefined) fresh.queued = wrapped;
      }
      sendOn(wrapped);
    }
  }

  /** A client asks what is answered here, to a request or in a session. If nothing is taken it hears nothing of a request: others will do. */
  ask(connection: number, question: Question, closed: AdmissionRefusal | undefined): void {
    if (question.kind === "follow") this.#confirmations.follow(connection, question.session);
    else if (closed === undefined) this.#confirmations.add(connection, question.key);
  }

  disconnected(connection: number): void {
    this.#parts.form.left(senderOf(connection));
    this.#confirmations.disconnected(connection);
    this.#waiting.dropConnection(connection);
  }

  waiting(): Iterable<WaitingRequest> {
    return this.#waiting.all();
  }

  /** Everything that waits and has left before, as it goes out again to another leader. */
  all(): QueuedRequest[] {
    const all = new Set<QueuedRequest>();
    for (const { queued } of this.#waiting.all()) if (queued !== undefined) all.add(queued);
    return [...all];
  }

  executed(index: LogIndex, { key, reply, repeated }: Executed): void {
    const { counters, answer } = this.#parts;
    if (repeated) counters.commandsRepeated += 1;
    else counters.commandsExecuted += 1;
    this.#confirmations.executed(index, key, reply);
    const request = this.#waiting.take(key);
    if (request !== undefined) answer(request.connection, { kind: "reply", key, index, reply });
  }

  /** Of this replica's client, or of the client of another, which is told. */
  refuse(from: ReplicaId, keys: readonly RequestKey[], refusal: AdmissionRefusal): void {
    const { self, toEngine } = this.#parts;
    for (const key of keys) {
      if (from !== self) {
        const payload = encodeHostMessage({ kind: "refused", message: { kind: "requestRefused", key, refusal } });
        toEngine({ kind: "forward", as: "host", to: from, payload });
        continue;
      }
      const request = this.#waiting.take(key);
      if (request !== undefined) this.#refuse(request.connection, key, refusal);
    }
  }

  /** Their clients know already that this may be no answer to what has left this replica's hands. */
  refuseAll(refusal: AdmissionRefusal): void {
    this.#confirmations.clear();
    this.refuse(
      this.#parts.self,
      [...this.#waiting.all()].map(({ key }) => key),
      refusal,
    );
  }

  counted(refusal: AdmissionRefusal): AdmissionRefusal {
    const { requestsRefused } = this.#parts.counters;
    requestsRefused[refusal.code] = (requestsRefused[refusal.code] ?? 0) + 1;
    return refusal;
  }

  #isOwner(key: RequestKey, signer: string | undefined): boolean {
    if (signer === undefined || key.kind === "open") return true;
    const session = this.#parts.executor.sessions.state(key.session);
    return typeof session === "string" || isInNameOf(signer, session.principal);
  }

  #refuse(connection: number, key: RequestKey, refusal: AdmissionRefusal): void {
    this.#parts.answer(connection, { kind: "requestRefused", key, refusal: this.counted(refusal) });
  }

  #answerStored(connection: number, key: RequestKey): boolean {
    const { sessions, executedIndex: index } = this.#parts.executor;
    const reply = key.kind === "command" ? sessions.storedReply(key.session, key.number) : undefined;
    if (reply !== undefined) this.#parts.answer(connection, { kind: "reply", key, index, reply });
    return reply !== undefined;
  }
}

/** As whoever verifies tells apart who sends: no replica is called so. */
function senderOf(connection: number): string {
  return `client/${connection}`;
}
