/**
 * A client core with its sockets and timers: asks what the surface wants asked, and waits for the answer.
 *
 * Owns: connecting and closing, Promises, `AbortSignal`, canonical form of inputs. Leaves to others: types and errors
 * (`create-client.ts`, `client-ends.ts`), everything about links, sessions and retries (`client/`).
 *
 * Invariant: a call reaches the core before it returns to its caller, unless a schema validates asynchronously; so calls are
 * executed in their order.
 */
import type { CancelSignal } from "../api/cancel-signal.js";
import type { CallOptions, QueryOptions, Read } from "../api/client-types.js";
import { InvalidInput } from "../api/errors.js";
import type { AdmitOutcome, LowLevelMachine } from "../api/low-level.js";
import { newSigner } from "./signatures.js";
import { hexOf } from "../base/bytes.js";
import type { ClientCore, ClientStatus, ConnectTo } from "../client/client-core.js";
import { defaultClientLimits, type ClientLimits } from "../client/limits.js";
import { NetworkedClient } from "../client/networked-client.js";
import type { CommandOutcome, Completion, EventsAsk, QueryAnswer, Resolution } from "../client/outcome.js";
import { readLevelOf } from "../client/read-level.js";
import { requestNumber, sessionId } from "../model/ids.js";
import type { Clock } from "../ports/clock.js";
import { encodeValueToSend, NotCanonical } from "../wire/canonical.js";
import { executedEnd, resolvedResultOf, type End } from "./client-ends.js";
import { createNodeClock } from "./clock.js";
import { nodeEntropy } from "./entropy.js";
import { nodeHash } from "./hash.js";
import { nodeNetwork } from "./network.js";

export interface ConnectOptions {
  /** `host:port` of replicas' client ports, at least one. Any replica serves everything; the leader's is found by itself. */
  readonly endpoints: readonly string[];
  /** For a call that names none, in milliseconds. Default 10,000. */
  readonly timeoutMs?: number;
  /** For a query that names none. Default: "linearizable". */
  readonly read?: Read;
  /** Until the first replica must have answered, in milliseconds. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /** Gives up connecting. Does nothing afterwards. */
  readonly signal?: CancelSignal;
  /** Refuses replicas of any other cluster. By default the first replica that answers tells which cluster it is. */
  readonly clusterId?: string;
  /** For the replicas' logs. */
  readonly name?: string;
  /**
   * `leader` (default): finds the leader and follows it, which is the shortest way for commands. `any`: stays with the first replica that serves,
   * as long as it serves, so that clients that mostly read spread over all replicas; each begins at a random one of its `endpoints`.
   */
  readonly connectTo?: ConnectTo;
  /**
   * What replicas may do that must not mislead this client. `crash` (default): stop, so the answer of one is enough. `value`: also compute or
   * remember wrongly, so the outcome of a command is believed once f + 1 replicas have the same: then `endpoints` are all of them, three or more.
   * `byzantine`: lie, where the cluster runs so (`replica.faults`): f is fewer than a third, `endpoints` are all of them, four or more, `clusterId`
   * is given, and each request is signed with a key of this client's own, so that no replica can ask anything in its name.
   * Queries and events are not voted on.
   */
  readonly faults?: "crash" | "value" | "byzantine";
  /** Windows, queues and intervals; each has a default. */
  readonly limits?: Partial<ClientLimits>;
}

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
const noInput = new Uint8Array(0);

export class RunningClient {
  readonly #machine: LowLevelMachine;
  readonly #clock: Clock = createNodeClock();
  readonly #timeoutMs: number;
  readonly #read: Read;
  readonly #limits: ClientLimits;
  readonly #client: NetworkedClient;
  #closed: Promise<void> | undefined;
  #onReady: () => void = () => {};
  #onClosed: () => void = () => {};

  constructor(machine: LowLevelMachine, options: ConnectOptions) {
    this.#machine = machine;
    this.#timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    this.#read = options.read ?? "linearizable";
    this.#limits = { ...defaultClientLimits, ...options.limits };
    this.#client = new NetworkedClient({
      clock: this.#clock,
      network: nodeNetwork,
      hash: nodeHash,
      entropy: nodeEntropy,
      endpoints: options.endpoints,
      limits: this.#limits,
      machine,
      clusterId: options.clusterId ?? "",
      name: options.name ?? `client-${hexOf(nodeEntropy.bytes(4))}`,
      connectTo: options.connectTo,
      isVoting: options.faults === "value" || options.faults === "byzantine",
      signer: options.faults === "byzantine" ? newSigner() : undefined,
      linkChanged: () => this.#onReady(),
      closed: () => this.#onClosed(),
    });
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
        if (this.#client.core.status().connectedTo !== undefined) finish("connected");
        else if (endpoints.every((address) => this.#client.isHopeless(address))) finish("WRONG_CLUSTER");
      };
      signal?.addEventListener("abort", onAbort);
      if (signal?.aborted === true) return finish("CANCELLED");
      this.#client.input((core, now) => core.start(now));
    });
    if (end === "connected") return;
    const causes = this.#client.core.describeEndpoints();
    this.#abort();
    const limit = end === "NOT_CONNECTED" ? ` within ${timeoutMs} ms` : end === "CANCELLED" ? ": cancelled" : "";
    throw new CannotConnect(end, `Cannot connect to the machine ${this.#machine.name}${limit}: ${causes}`);
  }

  command(name: string, input: unknown, options: CallOptions | undefined): Promise<End> {
    return this.#admitted(name, input, (bytes) => this.#command(name, bytes, options));
  }

  query(name: string, input: unknown, options: QueryOptions | undefined): Promise<End> {
    return this.#admitted(name, input, (bytes) => this.#query(name, bytes, options));
  }

  /** The next page, whenever there is one: it waits out any fail-over. */
  events(name: string, from: EventsAsk["from"], signal: CallOptions["signal"]): Promise<QueryAnswer> {
    const { eventPageMax: countMax, eventWaitMs: waitMs } = this.#limits;
    const events = { from, countMax, waitMs };
    const read = { kind: "linearizable" } as const;
    return this.#waitFor<QueryAnswer, QueryAnswer>(
      { signal, timeoutMs: Infinity },
      (core, completion, { now, deadline }) =>
        core.query({ name, input: noInput, read, events, completion, deadline }, now),
      (answer) => answer,
    );
  }

  async resolve(
    token: { readonly session: number; readonly number: number },
    options: CallOptions | undefined,
  ): Promise<unknown> {
    const session = sessionId(token.session);
    const number = requestNumber(token.number);
    if (session === undefined || number === undefined) throw new InvalidInput("Cannot resolve: this is not a token");
    return this.#waitFor<Resolution, unknown>(
      options,
      (core, completion, { now, deadline }) => core.resolve({ token: { session, number }, completion, deadline }, now),
      resolvedResultOf,
    );
  }

  status(): ClientStatus {
    return this.#client.core.status();
  }

  /** Ends what is in flight, then the session, then the connections; gives up waiting after `closeMs`. */
  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      const cancelTimer = this.#clock.after(closeMs, () => this.#abort());
      this.#onClosed = () => {
        cancelTimer();
        resolve();
      };
      this.#client.input((core, now) => core.close(now));
    });
    return this.#closed;
  }

  #abort(): void {
    this.#client.input((core, now) => core.abort(now));
  }

  /** Without a turn in between, unless the machine's schema is asynchronous. */
  #admitted(name: string, input: unknown, ask: (bytes: Uint8Array) => Promise<End>): Promise<End> {
    let admitted: AdmitOutcome | Promise<AdmitOutcome>;
    try {
      admitted = this.#machine.admit(name, encodeValueToSend(input));
    } catch (cause) {
      if (cause instanceof NotCanonical) return Promise.resolve({ status: "invalid", message: cause.message });
      throw cause;
    }
    if (admitted instanceof Promise) return admitted.then((outcome) => askIfAdmitted(outcome, ask));
    return askIfAdmitted(admitted, ask);
  }

  #command(name: string, input: Uint8Array, options: CallOptions | undefined): Promise<End> {
    return this.#waitFor<CommandOutcome, End>(
      options,
      (core, completion, { now, deadline }) =>
        core.command({ name, input, idempotency: undefined, completion, deadline }, now),
      (outcome) => commandEnd(name, outcome),
    );
  }

  #query(name: string, input: Uint8Array, options: QueryOptions | undefined): Promise<End> {
    const read = readLevelOf(options?.read ?? this.#read);
    if (typeof read === "string") return Promise.resolve({ status: "invalid", message: read });
    return this.#waitFor<QueryAnswer, End>(
      options,
      (core, completion, { now, deadline }) => core.query({ name, input, read, completion, deadline }, now),
      (answer) => (answer.status === "refused" ? answer : executedEnd(name, answer.outcome, answer)),
    );
  }

  /** One promise for each call: `ask` gives the core what is asked, `resultOf` makes of the outcome what the call is resolved with. */
  #waitFor<Outcome, Result>(
    options: CallOptions | undefined,
    ask: (core: ClientCore, completion: Completion<Outcome>, times: Times) => Pending,
    resultOf: (outcome: Outcome) => Result,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      const signal = options?.signal;
      let forget = (): void => {};
      let isSettled = false;
      const completion: Completion<Outcome> = {
        settle: (outcome) => {
          isSettled = true;
          forget();
          try {
            resolve(resultOf(outcome));
          } catch (cause) {
            reject(cause instanceof Error ? cause : new Error(String(cause)));
          }
        },
      };
      const pending = this.#client.input((core, now) =>
        ask(core, completion, { now, deadline: now + (options?.timeoutMs ?? this.#timeoutMs) }),
      );
      if (signal === undefined) return;
      const cancel = (): void => this.#client.input((core, now) => core.cancel(pending, now));
      if (signal.aborted) return cancel();
      if (isSettled) return;
      signal.addEventListener("abort", cancel);
      forget = () => signal.removeEventListener("abort", cancel);
    });
  }
}

type Pending = Parameters<ClientCore["cancel"]>[0];

interface Times {
  readonly now: number;
  readonly deadline: number;
}

function commandEnd(name: string, outcome: CommandOutcome): End {
  if (outcome.status === "refused") return outcome;
  if (outcome.status === "unknown") return { status: "unknown", token: outcome.token, reason: outcome.cause };
  return executedEnd(name, outcome.reply, { index: outcome.index, ageMs: 0 });
}

function askIfAdmitted(admitted: AdmitOutcome, ask: (bytes: Uint8Array) => Promise<End>): Promise<End> {
  return admitted.status === "admitted" ? ask(admitted.input) : Promise.resolve(admitted);
}
