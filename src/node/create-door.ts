/**
 * A door: asking the replicated service from within a replica's own process.
 *
 * Owns: the in-process link, and Promises over the client core. Leaves to others: retries, fail-over and the session, which are the
 * same code as any client's (`client/`). Called by `node/create-replica.ts`; used by the RESP and HTTP doors.
 *
 * Invariant: each door opens a session of its own at each process start, and what was sent under a lost session is answered
 * "unknown", never sent again under another.
 */
import { randomBytes } from "node:crypto";

import type { Door, DoorAnswer, DoorEvents, DoorIdempotency, DoorOutcome } from "../api/door.js";
import { concatBytes, encodeUtf8 } from "../base/bytes.js";
import { utf8Length } from "../base/utf8.js";
import { unreachable } from "../base/invariant.js";
import { ClientCore } from "../client/client-core.js";
import { defaultClientLimits, type ClientLimits } from "../client/limits.js";
import type { ClientLinks } from "../client/links.js";
import type { AskRefusal, CommandOutcome, Completion, QueryAnswer } from "../client/outcome.js";
import { ClientTurns } from "../client/turns.js";
import type {
  AdmissionRefusal,
  ClientMessage,
  ExecutedRefusal,
  IdempotencyKey,
  ReadLevel,
  ReplicaMessage,
} from "../model/request.js";
import type { EventsQuestion } from "../model/events.js";
import { requestLimits } from "../model/request-limits.js";
import type { Clock } from "../ports/clock.js";
import { eventsOfOutcome } from "../wire/events-codec.js";
import { createNodeClock } from "./clock.js";
import { nodeHash } from "./hash.js";

/** To the host of this process. `receive` is never called from within `send`. */
export interface DoorConnection {
  send(message: ClientMessage): void;
  close(): void;
}

export interface DoorOptions {
  /** For logs. */
  readonly name: string;
  readonly connect: (receive: (message: ReplicaMessage) => void) => DoorConnection;
  readonly limits?: ClientLimits;
  /** The replica's own, so that both see one time. */
  readonly clock?: Clock;
  /** Milliseconds until a command that nobody answers is unknown, and a query refused. */
  readonly timeoutMs?: number;
}

/** A door serves many callers over one session, so it has more in flight than a client of one program. */
const defaultDoorLimits: ClientLimits = {
  ...defaultClientLimits,
  inFlightMax: 8_192,
  inFlightBytesMax: 33_554_432,
};

const defaultTimeoutMs = 10_000;
const local = "local";

export function createDoor(options: DoorOptions): Door {
  return new LocalDoor(options);
}

class LocalDoor implements Door {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #core: ClientCore;
  readonly #turns: ClientTurns;

  constructor({ name, connect, limits, timeoutMs, clock }: DoorOptions) {
    this.#clock = clock ?? createNodeClock();
    this.#timeoutMs = timeoutMs ?? defaultTimeoutMs;
    this.#core = new ClientCore({
      endpoints: [local],
      links: new LocalLinks(connect, {
        ready: () => this.#input((now) => this.#core.linkReady(local, now)),
        message: (message) => this.#input((now) => this.#core.receive(local, message, now)),
      }),
      limits: limits ?? defaultDoorLimits,
      seed: randomBytes(6).readUIntBE(0, 6),
      principal: `door:${name}`,
      drawNonce: () => randomBytes(16).toString("hex"),
    });
    this.#turns = new ClientTurns(this.#core, this.#clock, () => {});
    this.#input((now) => this.#core.start(now));
  }

  command(name: string, input: Uint8Array, idempotency: DoorIdempotency | undefined): Promise<DoorOutcome> {
    const key = idempotency === undefined ? undefined : keyOf(name, input, idempotency);
    if (key === "invalid") return Promise.resolve(tooLongKey);
    const waiting = new DoorCommand();
    const now = this.#clock.monotonic();
    this.#core.command({ name, input, idempotency: key, deadline: now + this.#timeoutMs, completion: waiting }, now);
    this.#turns.arm();
    return waiting.promise;
  }

  query(name: string, input: Uint8Array, read: ReadLevel): Promise<DoorAnswer> {
    const waiting = new DoorQuery();
    const now = this.#clock.monotonic();
    this.#core.query({ name, input, read, deadline: now + this.#timeoutMs, completion: waiting }, now);
    this.#turns.arm();
    return waiting.promise;
  }

  async events({ name, from, countMax }: EventsQuestion, waitMs: number): Promise<DoorEvents> {
    const waiting = new DoorQuery();
    const events = { from, countMax, waitMs };
    const input = new Uint8Array(0);
    const read: ReadLevel = { kind: "linearizable" };
    this.#input((now) => this.#core.query({ name, input, read, events, deadline: Infinity, completion: waiting }, now));
    const answer = await waiting.promise;
    if (answer.status === "refused") return { kind: "refused", refusal: answer.refusal };
    const found = eventsOfOutcome(answer.outcome);
    if (found === undefined) throw new Error(`Cannot read the answer to events of ${name}`);
    return found;
  }

  /** What still waits is answered at once: refused if that is certain, else unknown. */
  close(): void {
    this.#input((now) => this.#core.abort(now));
  }

  #input(run: (now: number) => void): void {
    run(this.#clock.monotonic());
    this.#turns.arm();
  }
}

interface LocalHandlers {
  readonly ready: () => void;
  readonly message: (message: ReplicaMessage) => void;
}

/** The only endpoint is this process: opening it works at once, and it breaks only when the core gives it up as silent. */
class LocalLinks implements ClientLinks {
  readonly #connect: DoorOptions["connect"];
  readonly #handlers: LocalHandlers;
  #connection: DoorConnection | undefined;

  constructor(connect: DoorOptions["connect"], handlers: LocalHandlers) {
    this.#connect = connect;
    this.#handlers = handlers;
  }

  open(): void {
    // What is said before the core knows that the link is ready waits, so that its order against "ready" is always the same.
    let early: ReplicaMessage[] | undefined = [];
    const connection = this.#connect((message) => {
      if (this.#connection !== connection) return;
      // Where the leader is concerns the host, which passes everything on; a door stays in its process.
      const told = message.kind === "leader" ? { ...message, address: undefined } : message;
      if (early === undefined) this.#handlers.message(told);
      else early.push(told);
    });
    this.#connection = connection;
    queueMicrotask(() => {
      if (this.#connection !== connection) return;
      const messages = early ?? [];
      early = undefined;
      this.#handlers.ready();
      for (const message of messages) this.#handlers.message(message);
    });
  }

  close(): void {
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.close();
  }

  send(_address: string, message: ClientMessage): void {
    this.#connection?.send(message);
  }
}

class DoorCommand implements Completion<CommandOutcome> {
  #resolve: (outcome: DoorOutcome) => void = () => {};
  readonly promise = new Promise<DoorOutcome>((resolve) => {
    this.#resolve = resolve;
  });

  settle(outcome: CommandOutcome): void {
    this.#resolve(doorOutcomeOf(outcome));
  }
}

class DoorQuery implements Completion<QueryAnswer> {
  #resolve: (answer: DoorAnswer) => void = () => {};
  readonly promise = new Promise<DoorAnswer>((resolve) => {
    this.#resolve = resolve;
  });

  settle(answer: QueryAnswer): void {
    if (answer.status === "answered") this.#resolve(answer);
    else this.#resolve({ status: "refused", refusal: admissionRefusalOf(answer.refusal) });
  }
}

function doorOutcomeOf(outcome: CommandOutcome): DoorOutcome {
  switch (outcome.status) {
    case "answered":
      return answeredOf(outcome);
    case "refused":
      return { status: "refused", refusal: doorRefusalOf(outcome.refusal) };
    case "unknown":
      return { status: "unknown", message: `Cannot tell whether the command was executed: ${outcome.cause}` };
  }
}

function answeredOf({ reply, index }: Extract<CommandOutcome, { readonly status: "answered" }>): DoorOutcome {
  const { expiresAt } = reply;
  switch (reply.status) {
    case "ok":
      return { status: "ok", output: reply.output, index, expiresAt };
    case "rejected":
      return { status: "rejected", code: reply.code, data: reply.data, index, expiresAt };
    case "failed":
      return { status: "failed", message: reply.message, index, expiresAt };
  }
}

/** A door's callers know the refusals of replicas; the client's own become the nearest of them. */
function doorRefusalOf(refusal: AskRefusal): AdmissionRefusal | ExecutedRefusal {
  switch (refusal.code) {
    // The process answers itself, so what is missing is a leader.
    case "NOT_CONNECTED":
    case "TIMED_OUT":
      return { code: "NO_LEADER" };
    case "CANCELLED":
    case "CLOSED":
      return { code: "STOPPING" };
    default:
      return refusal;
  }
}

function admissionRefusalOf(refusal: AskRefusal): AdmissionRefusal {
  const told = doorRefusalOf(refusal);
  switch (told.code) {
    case "OVERLOADED":
    case "NO_LEADER":
    case "STOPPING":
    case "DISK_FULL":
    case "QUARANTINED":
    case "TOO_LARGE":
    case "GAP":
    case "SESSION_NOT_HERE":
    case "UNKNOWN_COMMAND":
    case "INVALID_INPUT":
    case "INDEX_NOT_REACHED":
    case "TOO_STALE":
      return told;
    // Execution refuses commands only.
    case "SESSION_UNKNOWN":
    case "SESSION_EXPIRED":
    case "OUT_OF_ORDER":
    case "TOMBSTONED":
    case "REPLY_RELEASED":
    case "TOO_MANY_REPLIES":
    case "TOO_MANY_TOMBSTONES":
    case "IDEMPOTENCY_CONFLICT":
    case "IDEMPOTENCY_FULL":
      return { code: "NO_LEADER" };
    default:
      return unreachable(told);
  }
}

const tooLongKey: DoorOutcome = {
  status: "refused",
  refusal: {
    code: "INVALID_INPUT",
    message: `Cannot use the idempotency key: it or its principal is longer than ${requestLimits.keyBytesMax} bytes`,
  },
};

/** The digest covers name and input, with the name's length so that no two pairs look the same. */
function keyOf(name: string, input: Uint8Array, { principal, key }: DoorIdempotency): IdempotencyKey | "invalid" {
  if (utf8Length(key) > requestLimits.keyBytesMax || utf8Length(principal) > requestLimits.principalBytesMax)
    return "invalid";
  const nameBytes = encodeUtf8(name);
  const digest = nodeHash.sha256(concatBytes([encodeUtf8(`${nameBytes.length}:`), nameBytes, input]));
  return { principal, key, digest };
}
