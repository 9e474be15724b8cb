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
import { isInNameOf, type AdmissionRefusal, type ReplicaMessage, type RequestKey } from "../model/request.js";
import type { Hash } from "../ports/hash.js";
import { encodeHostMessage } from "../wire/host-codec.js";
import { peekRequest } from "../wire/request-codec.js";
import type { ToEngine } from "./channel.js";
import type { HostCounters } from "./host-counters.js";
import { Confirmations } from "./confirmations.js";
import type { RequestForm } from "./request-form.js";
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

export class Requests {
  readonly #parts: RequestsParts;
  readonly #waiting = new Waiting();
  readonly #confirmations: Confirmations;

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
    const { dropped, form } = this.#parts;
    const key = peekRequest(bytes);
    if (key === undefined) return dropped("malformed request", `connection ${connection}`);
    this.#take({ connection, key, closed }, () => form.wrap(bytes));
  }

  /** Under the client's own signature. What is not genuine is not answered. `closed` is asked once it is verified. */
  addSigned(connection: number, bundle: Uint8Array, closed: () => AdmissionRefusal | undefined): void {
    const { form, dropped } = this.#parts;
    form.admit(bundle, senderOf(connection), (key, signer) => {
      if (key === undefined) return dropped("malformed signed request", `connection ${connection}`);
      // It would wait in the place of the session's own client, and hear what that is answered.
      if (!this.#isOwner(key, signer)) return dropped("session of another key", `connection ${connection}`);
      this.#take({ connection, key, closed: closed() }, () => bundle);
      this.#parts.again();
    });
  }

  #take(
    { connection, key, closed }: { connection: number; key: RequestKey; closed: AdmissionRefusal | undefined },
    wrap: () => Uint8Array,
  ): void {
    const { self, admission, answer, sendOn, counters } = this.#parts;
    const refusal = closed ?? this.#waiting.pressure(connection, admission);
    if (refusal !== undefined) return this.#refuse(connection, key, refusal);
    const stored = this.#storedReply(key);
    if (stored !== undefined) return answer(connection, stored);
    const wrapped = wrap();
    const added = this.#waiting.add({ key, bytes: wrapped, connection });
    // A request that waits already is on its way: only a lost message makes a client ask twice, so it goes out again.
    sendOn({ key, bytes: wrapped, from: self });
    if (added) counters.requestsAdmitted += 1;
  }

  /** A client asks what is answered here. If nothing is taken it hears nothing: others will do. */
  confirm(connection: number, key: RequestKey, closed: AdmissionRefusal | undefined): void {
    if (closed === undefined) this.#confirmations.add(connection, key);
  }

  disconnected(connection: number): void {
    this.#parts.form.left(senderOf(connection));
    this.#confirmations.disconnected(connection);
    this.#waiting.dropConnection(connection);
  }

  waiting(): Iterable<WaitingRequest> {
    return this.#waiting.all();
  }

  /** Everything that waits, as it goes out again to another leader. */
  all(): QueuedRequest[] {
    return [...this.#waiting.all()].map(({ key, bytes }) => ({ key, bytes, from: this.#parts.self }));
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
  refuse(from: ReplicaId, key: RequestKey, refusal: AdmissionRefusal): void {
    const { self, toEngine } = this.#parts;
    if (from !== self) {
      const payload = encodeHostMessage({ kind: "refused", message: { kind: "requestRefused", key, refusal } });
      return toEngine({ kind: "forward", as: "host", to: from, payload });
    }
    const request = this.#waiting.take(key);
    if (request !== undefined) this.#refuse(request.connection, key, refusal);
  }

  /** Their clients know already that this may be no answer to what has left this replica's hands. */
  refuseAll(refusal: AdmissionRefusal): void {
    this.#confirmations.clear();
    for (const { key } of [...this.#waiting.all()]) this.refuse(this.#parts.self, key, refusal);
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

  #storedReply(key: RequestKey): ReplicaMessage | undefined {
    const { sessions, executedIndex: index } = this.#parts.executor;
    const reply = key.kind === "command" ? sessions.storedReply(key.session, key.number) : undefined;
    return reply === undefined ? undefined : { kind: "reply", key, index, reply };
  }
}

/** As whoever verifies tells apart who sends: no replica is called so. */
function senderOf(connection: number): string {
  return `client/${connection}`;
}
