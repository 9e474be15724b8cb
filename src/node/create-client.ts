/**
 * The client as programs use it: `connect(machine, { endpoints })`, typed methods, Promises, `AbortSignal`.
 *
 * Owns: the surface (`api/client-types.ts`) over the client core, canonical form of inputs and outputs, the errors that are thrown.
 * Leaves to others: sockets (`client-links.ts`), everything about sessions and retries (`client/`). The door `quorate/client`.
 *
 * Invariant: a call reaches the core before it returns to its caller, unless a schema validates asynchronously; so calls are
 * executed in their order.
 */
import { randomBytes } from "node:crypto";

import type { CancelSignal } from "../api/cancel-signal.js";
import type { CallOptions, Client } from "../api/client-types.js";
import type { AdmitOutcome, LowLevelMachine } from "../api/low-level.js";
import {
  CommandFailed,
  CommandRejected,
  InvalidInput,
  OutcomeUnknown,
  RequestRefused,
  type Refusal,
} from "../api/errors.js";
import { ClientCore, type ClientStatus } from "../client/client-core.js";
import { checkClientLimits, defaultClientLimits, type ClientLimits } from "../client/limits.js";
import type { CommandOutcome, Completion, OutcomeToken, QueryAnswer, Resolution } from "../client/outcome.js";
import { requestNumber, sessionId } from "../model/ids.js";
import type { Clock } from "../ports/clock.js";
import { DecodeFailure, decodeValue, encodeValue, NotCanonical } from "../wire/canonical.js";
import { SocketLinks } from "./client-links.js";
import { ClientTurns } from "./client-turns.js";
import { createNodeClock } from "./clock.js";
import { parseAddress } from "./network.js";

export { CommandFailed, CommandRejected, InvalidInput, OutcomeUnknown, RequestRefused } from "../api/errors.js";
export type { OutcomeToken, Refusal } from "../api/errors.js";
export type { CallOptions, Client, Detail, OutputOf, ResolvedResult, TryResult } from "../api/client-types.js";
export type { ClientLimits } from "../client/limits.js";
export type { ClientStatus } from "../client/client-core.js";

export interface ConnectOptions {
  /** `host:port` of replicas' client ports, at least one. Any replica serves everything; the leader's is found by itself. */
  readonly endpoints: readonly string[];
  /** For a call that names none, in milliseconds. Default 10,000. */
  readonly timeoutMs?: number;
  /** Until the first replica must have answered, in milliseconds. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /** Gives up connecting. Does nothing afterwards. */
  readonly signal?: CancelSignal;
  /** Refuses replicas of any other cluster. By default the first replica that answers tells which cluster it is. */
  readonly clusterId?: string;
  /** For the replicas' logs. */
  readonly name?: string;
  /** Windows, queues and intervals; each has a default. */
  readonly limits?: Partial<ClientLimits>;
}

/** A connected client, with what every client has beside its machine's methods. */
export type ConnectedClient<M> = Client<M> & {
  /** What the client is doing, for people and metrics. */
  $status(): ClientStatus;
};

/** `code`: `INVALID_OPTIONS`, `NOT_CONNECTED` (no replica answered in time), `WRONG_CLUSTER` (no replica will ever take us), `CANCELLED`. */
export class CannotConnect extends Error {
  override readonly name = "CannotConnect";
  readonly code: "INVALID_OPTIONS" | "NOT_CONNECTED" | "WRONG_CLUSTER" | "CANCELLED";

  constructor(code: CannotConnect["code"], message: string) {
    super(message);
    this.code = code;
  }
}

const defaultTimeoutMs = 10_000;
/** Closing waits so long for what is in flight. */
const closeMs = 1_000;

/**
 * Resolves once one replica has answered and serves this machine.
 *
 * @throws CannotConnect, naming each endpoint and why it does not serve.
 */
export async function connect<M extends LowLevelMachine>(
  machine: M,
  options: ConnectOptions,
): Promise<ConnectedClient<M>> {
  const objection = checkOptions(options);
  if (objection !== undefined) throw new CannotConnect("INVALID_OPTIONS", objection);
  const running = new RunningClient(machine, options);
  await running.connected(options);
  return surfaceOf<M>(machine, running);
}

function checkOptions({ endpoints, limits, timeoutMs, connectTimeoutMs }: ConnectOptions): string | undefined {
  if (endpoints.length === 0) return "Cannot connect: no endpoint is given";
  for (const endpoint of endpoints) {
    try {
      parseAddress(endpoint);
    } catch {
      return `Cannot connect to ${endpoint}: it is not host:port`;
    }
  }
  for (const [name, value] of Object.entries({ timeoutMs, connectTimeoutMs })) {
    if (value !== undefined && !(value > 0))
      return `Cannot use ${name} ${value}: it is a number of milliseconds above 0`;
  }
  return checkClientLimits({ ...defaultClientLimits, ...limits });
}

/** Every end of a call, before it becomes a result or an error. */
type End =
  | { readonly status: "ok"; readonly output: unknown; readonly index: number; readonly ageMs: number }
  | { readonly status: "rejected"; readonly code: string; readonly data: unknown; readonly index: number }
  | { readonly status: "failed"; readonly message: string; readonly index: number }
  | { readonly status: "refused"; readonly refusal: Refusal }
  | { readonly status: "unknown"; readonly token: OutcomeToken; readonly reason: string }
  | { readonly status: "invalid"; readonly message: string };

type Asking = (input?: unknown, options?: CallOptions) => Promise<unknown>;

/** One method for each command and query. Never one called `then`: an awaited client would be taken for a promise. */
function methodsOf(
  machine: LowLevelMachine,
  methodFor: (ask: (input: unknown, options: CallOptions | undefined) => Promise<End>, name: string) => Asking,
  running: RunningClient,
): Record<string, Asking> {
  const methods: Record<string, Asking> = {};
  for (const name of machine.commandNames)
    methods[name] = methodFor((input, options) => running.command(name, input, options), name);
  for (const name of machine.queryNames)
    methods[name] = methodFor((input, options) => running.query(name, input, options), name);
  delete methods["then"];
  return methods;
}

function surfaceOf<M>(machine: LowLevelMachine, running: RunningClient): ConnectedClient<M> {
  const surface = {
    ...methodsOf(machine, (ask, name) => async (input, options) => outputOf(name, await ask(input, options)), running),
    $try: methodsOf(machine, (ask) => async (input, options) => tryResultOf(await ask(input, options)), running),
    $detail: methodsOf(
      machine,
      (ask, name) => async (input, options) => detailOf(name, await ask(input, options)),
      running,
    ),
    $resolve: (token: { readonly session: number; readonly number: number }, options?: CallOptions) =>
      running.resolve(token, options),
    $close: () => running.close(),
    $status: () => running.status(),
  };
  // The only place where the machine's types meet methods made from its names.
  return Object.freeze(surface) as unknown as ConnectedClient<M>;
}

function outputOf(name: string, end: End): unknown {
  return okOf(name, end).output;
}

function detailOf(name: string, end: End): unknown {
  const { output, index, ageMs } = okOf(name, end);
  return { output, index, ageMs };
}

function okOf(name: string, end: End): Extract<End, { readonly status: "ok" }> {
  switch (end.status) {
    case "ok":
      return end;
    case "rejected":
      throw new CommandRejected(name, end);
    case "failed":
      throw new CommandFailed(name, end);
    case "refused":
      throw new RequestRefused(name, end.refusal);
    case "unknown":
      throw new OutcomeUnknown(name, end);
    case "invalid":
      throw new InvalidInput(`Cannot do ${name}: ${end.message}`);
  }
}

function tryResultOf(end: End): unknown {
  switch (end.status) {
    case "ok":
      return { status: "ok", output: end.output, index: end.index };
    case "refused":
      return { status: "refused", code: end.refusal.code, refusal: end.refusal };
    case "invalid":
      return { status: "refused", code: "INVALID_INPUT", refusal: { code: "INVALID_INPUT", message: end.message } };
    case "rejected":
    case "failed":
    case "unknown":
      return end;
  }
}

class RunningClient {
  readonly #machine: LowLevelMachine;
  readonly #clock: Clock = createNodeClock();
  readonly #timeoutMs: number;
  readonly #core: ClientCore;
  readonly #links: SocketLinks;
  readonly #turns: ClientTurns;
  #closed: Promise<void> | undefined;
  #onReady: () => void = () => {};
  #onClosed: () => void = () => {};

  constructor(machine: LowLevelMachine, options: ConnectOptions) {
    this.#machine = machine;
    this.#timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    const name = options.name ?? `client-${randomBytes(4).toString("hex")}`;
    this.#links = new SocketLinks({
      clock: this.#clock,
      name,
      machine: machine.name,
      machineVersion: machine.version,
      clusterId: options.clusterId ?? "",
      ready: (address) => {
        this.#core.linkReady(address, this.#clock.monotonic());
        this.#onReady();
        this.#turns.arm();
      },
      closed: (address, cause) => {
        this.#core.linkClosed(address, cause, this.#clock.monotonic());
        this.#onReady();
        this.#turns.arm();
      },
      message: (address, message) => {
        this.#core.receive(address, message, this.#clock.monotonic());
        this.#turns.arm();
      },
    });
    this.#core = new ClientCore({
      endpoints: options.endpoints,
      links: this.#links,
      limits: { ...defaultClientLimits, ...options.limits },
      seed: randomBytes(6).readUIntBE(0, 6),
      principal: "",
      drawNonce: () => randomBytes(16).toString("hex"),
    });
    this.#turns = new ClientTurns(this.#core, this.#clock, () => this.#onClosed());
  }

  /** Until a replica has answered. Nothing stays open if none does. */
  async connected({ endpoints, connectTimeoutMs, signal }: ConnectOptions): Promise<void> {
    const timeoutMs = connectTimeoutMs ?? defaultTimeoutMs;
    const end = await new Promise<CannotConnect["code"] | "connected">((resolve) => {
      const cancelTimer = this.#clock.after(timeoutMs, () => finish("NOT_CONNECTED"));
      const onAbort = (): void => finish("CANCELLED");
      const finish = (how: CannotConnect["code"] | "connected"): void => {
        cancelTimer();
        signal?.removeEventListener("abort", onAbort);
        this.#onReady = () => {};
        resolve(how);
      };
      this.#onReady = () => {
        if (this.#core.status().connectedTo !== undefined) finish("connected");
        else if (endpoints.every((address) => this.#links.isHopeless(address))) finish("WRONG_CLUSTER");
      };
      signal?.addEventListener("abort", onAbort);
      if (signal?.aborted === true) return finish("CANCELLED");
      this.#core.start(this.#clock.monotonic());
      this.#turns.arm();
    });
    if (end === "connected") return;
    const causes = this.#core.describeEndpoints();
    this.#abort();
    const limit = end === "NOT_CONNECTED" ? ` within ${timeoutMs} ms` : end === "CANCELLED" ? ": cancelled" : "";
    throw new CannotConnect(end, `Cannot connect to the machine ${this.#machine.name}${limit}: ${causes}`);
  }

  command(name: string, input: unknown, options: CallOptions | undefined): Promise<End> {
    return this.#admitted(name, input, (bytes) => this.#command(name, bytes, options));
  }

  query(name: string, input: unknown, options: CallOptions | undefined): Promise<End> {
    return this.#admitted(name, input, (bytes) => this.#query(name, bytes, options));
  }

  async resolve(
    token: { readonly session: number; readonly number: number },
    options: CallOptions | undefined,
  ): Promise<unknown> {
    const session = sessionId(token.session);
    const number = requestNumber(token.number);
    if (session === undefined || number === undefined) throw new InvalidInput("Cannot resolve: this is not a token");
    const resolution = await this.#waitFor<Resolution>(options, (completion, deadline, now) => {
      const pending = this.#core.resolve({ token: { session, number }, deadline, completion }, now);
      return () => this.#core.cancel(pending, this.#clock.monotonic());
    });
    return resolvedResultOf(resolution);
  }

  status(): ClientStatus {
    return this.#core.status();
  }

  /** Ends what is in flight, then the session, then the connections; gives up waiting after `closeMs`. */
  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      const cancelTimer = this.#clock.after(closeMs, () => this.#abort());
      this.#onClosed = () => {
        cancelTimer();
        resolve();
      };
      this.#core.close(this.#clock.monotonic());
      this.#turns.arm();
    });
    return this.#closed;
  }

  #abort(): void {
    this.#core.abort(this.#clock.monotonic());
    this.#turns.arm();
  }

  /** Without a turn in between, unless the machine's schema is asynchronous. */
  #admitted(name: string, input: unknown, ask: (bytes: Uint8Array) => Promise<End>): Promise<End> {
    let admitted: AdmitOutcome | Promise<AdmitOutcome>;
    try {
      admitted = this.#machine.admit(name, encodeValue(input));
    } catch (cause) {
      if (cause instanceof NotCanonical) return Promise.resolve({ status: "invalid", message: cause.message });
      throw cause;
    }
    if (admitted instanceof Promise) return admitted.then((outcome) => askIfAdmitted(outcome, ask));
    return askIfAdmitted(admitted, ask);
  }

  async #command(name: string, input: Uint8Array, options: CallOptions | undefined): Promise<End> {
    const outcome = await this.#waitFor<CommandOutcome>(options, (completion, deadline, now) => {
      const pending = this.#core.command({ name, input, idempotency: undefined, deadline, completion }, now);
      return () => this.#core.cancel(pending, this.#clock.monotonic());
    });
    if (outcome.status === "refused") return outcome;
    if (outcome.status === "unknown") return { status: "unknown", token: outcome.token, reason: outcome.cause };
    return executedEnd(name, outcome.reply, { index: outcome.index, ageMs: 0 });
  }

  async #query(name: string, input: Uint8Array, options: CallOptions | undefined): Promise<End> {
    const answer = await this.#waitFor<QueryAnswer>(options, (completion, deadline, now) => {
      const pending = this.#core.query({ name, input, deadline, completion }, now);
      return () => this.#core.cancel(pending, this.#clock.monotonic());
    });
    return answer.status === "refused" ? answer : executedEnd(name, answer.outcome, answer);
  }

  /** `start` asks the core and answers how to cancel that. */
  #waitFor<Outcome>(
    options: CallOptions | undefined,
    start: (completion: Completion<Outcome>, deadline: number, now: number) => () => void,
  ): Promise<Outcome> {
    return new Promise((resolve) => {
      const signal = options?.signal;
      let isSettled = false;
      let cancel = (): void => {};
      const onAbort = (): void => {
        cancel();
        this.#turns.arm();
      };
      const completion: Completion<Outcome> = {
        settle: (outcome) => {
          isSettled = true;
          signal?.removeEventListener("abort", onAbort);
          resolve(outcome);
        },
      };
      const now = this.#clock.monotonic();
      cancel = start(completion, now + (options?.timeoutMs ?? this.#timeoutMs), now);
      if (signal?.aborted === true) cancel();
      else if (!isSettled) signal?.addEventListener("abort", onAbort);
      this.#turns.arm();
    });
  }
}

function askIfAdmitted(admitted: AdmitOutcome, ask: (bytes: Uint8Array) => Promise<End>): Promise<End> {
  return admitted.status === "admitted" ? ask(admitted.input) : Promise.resolve(admitted);
}

type Executed =
  | { readonly status: "ok"; readonly output: Uint8Array }
  | { readonly status: "rejected"; readonly code: string; readonly data: Uint8Array }
  | { readonly status: "failed"; readonly message: string };

function executedEnd(name: string, executed: Executed, at: { readonly index: number; readonly ageMs: number }): End {
  const { index, ageMs } = at;
  switch (executed.status) {
    case "ok":
      return { status: "ok", output: readValueOf(name, executed.output), index, ageMs };
    case "rejected":
      return { status: "rejected", code: executed.code, data: readValueOf(name, executed.data), index };
    case "failed":
      return { status: "failed", message: executed.message, index };
  }
}

/** Replicas only store what has a canonical form, so this fails only if one of them is broken. */
function readValueOf(name: string, bytes: Uint8Array): unknown {
  const value = decodeValue(bytes);
  if (value instanceof DecodeFailure) throw new Error(`Cannot read the answer to ${name}: ${value.reason}`);
  return value;
}

function resolvedResultOf(resolution: Resolution): unknown {
  switch (resolution.status) {
    case "executed": {
      const { reply, index } = resolution;
      if (reply === undefined) return { status: "executed", outcome: undefined, index };
      const end = executedEnd("the resolved command", reply, { index, ageMs: 0 });
      return { status: "executed", outcome: withoutPosition(end), index };
    }
    case "refused":
      return { status: "refused", code: resolution.refusal.code, refusal: resolution.refusal };
    case "notExecuted":
    case "lost":
      return resolution;
  }
}

function withoutPosition(end: End): unknown {
  if (end.status === "ok") return { status: "ok", output: end.output };
  if (end.status === "rejected") return { status: "rejected", code: end.code, data: end.data };
  return end.status === "failed" ? { status: "failed", message: end.message } : undefined;
}
