/**
 * The client as programs use it: `connect(machine, { endpoints })` and one method for each command and query.
 *
 * Owns: the surface (`api/client-types.ts`), made from the names of a machine. Leaves to others: asking (`running-client.ts`), what an
 * answer becomes (`client-ends.ts`), everything about sessions and retries (`client/`). The door `quorate/client`.
 */
import type { CallOptions, Client, EventsOptions, QueryOptions } from "../api/client-types.js";
import type { LowLevelMachine } from "../api/low-level.js";
import type { ClientStatus } from "../client/client-core.js";
import { checkClientLimits, defaultClientLimits } from "../client/limits.js";
import { readLevelOf } from "../client/read-level.js";
import { detailOf, outputOf, tryResultOf, type End } from "./client-ends.js";
import { followEvents } from "./followed-events.js";
import { parseAddress } from "./network.js";
import { CannotConnect, RunningClient, type ConnectOptions } from "./running-client.js";
import { useNodeText } from "./text.js";

export {
  CommandFailed,
  CommandRejected,
  EventsCompacted,
  InvalidInput,
  OutcomeUnknown,
  RequestRefused,
} from "../api/errors.js";
export type { OutcomeToken, Refusal } from "../api/errors.js";
export type {
  CallOptions,
  Client,
  ClientEvent,
  Detail,
  EventsOptions,
  OutputOf,
  QueryOptions,
  Read,
  ResolvedResult,
  TryResult,
} from "../api/client-types.js";
export type { EventPosition } from "../model/events.js";
export type { ClientLimits } from "../client/limits.js";
export type { ClientStatus } from "../client/client-core.js";
export { CannotConnect, type ConnectOptions } from "./running-client.js";

/** A connected client, with what every client has beside its machine's methods. */
export type ConnectedClient<M> = Client<M> & {
  /** What the client is doing, for people and metrics. */
  $status(): ClientStatus;
};

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
  useNodeText();
  const running = new RunningClient(machine, options);
  await running.connected(options);
  return surfaceOf<M>(machine, running);
}

function checkOptions(options: ConnectOptions): string | undefined {
  const { endpoints, limits, read, connectTo, timeoutMs, connectTimeoutMs, faults, clusterId } = options;
  if (endpoints.length === 0) return "Cannot connect: no endpoint is given";
  if (faults === "value" && new Set(endpoints).size < 3)
    return "Cannot tell a wrong answer from a right one: give the endpoints of all replicas, three or more";
  if (faults === "byzantine" && new Set(endpoints).size < 4)
    return "Cannot tell a lie from the truth: give the endpoints of all replicas, four or more";
  if (faults === "byzantine" && (clusterId ?? "") === "")
    return "Cannot sign requests: give the clusterId, since what is signed is signed for one cluster";
  if (connectTo !== undefined && connectTo !== "leader" && connectTo !== "any")
    return `Cannot connect to ${String(connectTo)}: connectTo is "leader" or "any"`;
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
  const level = read === undefined ? undefined : readLevelOf(read);
  if (typeof level === "string") return level;
  return checkClientLimits({ ...defaultClientLimits, ...limits });
}

type Asking = (input?: unknown, options?: QueryOptions) => Promise<unknown>;

/** One method for each command and query. Never one called `then`: an awaited client would be taken for a promise. */
function methodsOf(
  machine: LowLevelMachine,
  methodFor: (ask: (input: unknown, options: QueryOptions | undefined) => Promise<End>, name: string) => Asking,
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
    $events: (name: string, options: EventsOptions = {}) =>
      followEvents((...asked) => running.events(...asked), name, options),
    $close: () => running.close(),
    $status: () => running.status(),
  };
  // The only place where the machine's types meet methods made from its names.
  return Object.freeze(surface) as unknown as ConnectedClient<M>;
}
