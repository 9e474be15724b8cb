/**
 * `define`: makes a machine that a replica can run of what a user wrote.
 *
 * Owns: checking the declaration once, and the low-level face of it. Leaves to others: the types (`api/machine.ts`), execution
 * (`typed-machine.ts`), validating inputs (`admit.ts`). Called by users through `quorate`.
 */
import type { LowLevelMachine, MachineEnvironment } from "../api/low-level.js";
import type {
  CommandLimits,
  Definition,
  EventType,
  EventTypes,
  Machine,
  Migrate,
  SchemaCommand,
  SchemaQuery,
  StateDefinition,
  Sweep,
} from "../api/machine.js";
import type { StandardSchema } from "../api/standard-schema.js";
import type { Collections, StateShape } from "../api/state.js";
import { requestLimits } from "../model/request-limits.js";
import { quote } from "../wire/canonical.js";
import { admitInput } from "./admit.js";
import { StateStore } from "./state-store.js";
import { TypedInstance, type MachineParts, type Run } from "./typed-machine.js";

const defaultCommandLimits: CommandLimits = {
  operationsMax: 1_000_000,
  bytesMax: 64 * 1024 * 1024,
  outputBytesMax: requestLimits.replyBytesMax,
};

/**
 * The first step of a machine: its state, and the events and timers that it will use. The second is `machine` on what this returns.
 *
 * @throws TypeError if the name, the version or the state is not what a machine can have.
 */
export function define<
  State extends StateShape,
  Events extends EventTypes = Record<never, never>,
  Timers extends EventTypes = Record<never, never>,
  Before extends StateShape = never,
>(definition: StateDefinition<State, Events, Timers, Before>): Definition<State, Events, Timers, Before> {
  const { name, version, state, previous } = definition;
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(name)) {
    throw new TypeError(`Cannot define a machine named ${quote(name)}: a name is 1 to 64 of a-z A-Z 0-9 _ -`);
  }
  if (!Number.isSafeInteger(version) || version < 1) {
    throw new TypeError(`Cannot define version ${version} of ${name}: versions are whole numbers from 1`);
  }
  checkPrevious(definition);
  const limits = { ...defaultCommandLimits, ...definition.limits };
  checkLimits(name, limits);
  // A mistake in the state shows here, not when the first replica starts.
  new StateStore(state, limits, () => ({}));
  const events = Object.keys(definition.events ?? {}).sort();
  const timers = Object.keys(definition.timers ?? {}).sort();
  const made: Definition<State, Events, Timers, Before> = {
    machine: (parts) =>
      createMachine({ name, version, previous, declare: state, limits, events, timers }, parts as unknown as Written),
    command: (schema, run) => ({ kind: "schemaCommand", schema, run }),
    query: (schema, run) => ({ kind: "schemaQuery", schema, run }),
  };
  return made;
}

/** The payload type of an event or a timer. */
export function event<Data>(): EventType<Data> {
  return { kind: "event" };
}

function checkLimits(machine: string, limits: CommandLimits): void {
  for (const [name, limit] of Object.entries(limits) as [string, unknown][]) {
    if (!Number.isSafeInteger(limit) || Number(limit) < 1)
      throw new TypeError(
        `Cannot define ${machine}: limits.${name} is ${String(limit)} and must be a whole number from 1`,
      );
  }
  const { replyBytesMax } = requestLimits;
  if (limits.outputBytesMax > replyBytesMax)
    throw new TypeError(
      `Cannot define ${machine}: limits.outputBytesMax is ${limits.outputBytesMax} and must be at most ${replyBytesMax}`,
    );
}

/** What `machine` is given, its types forgotten. */
interface Written {
  readonly commands: Readonly<Record<string, WrittenPart>>;
  readonly queries?: Readonly<Record<string, WrittenPart>>;
  readonly on?: Readonly<Record<string, Run>>;
  readonly sweep?: Sweep<StateShape>;
  readonly migrate?: Migrate<StateShape, StateShape>;
}

type WrittenPart =
  Run | SchemaCommand<StateShape, StandardSchema, unknown> | SchemaQuery<StateShape, StandardSchema, unknown>;

interface Identity {
  readonly name: string;
  readonly version: number;
  readonly previous: LowLevelMachine | undefined;
  readonly declare: (collections: Collections) => StateShape;
  readonly limits: CommandLimits;
  readonly events: readonly string[];
  readonly timers: readonly string[];
}

function createMachine<Commands, Queries, Events extends EventTypes, State extends StateShape>(
  identity: Identity,
  written: Written,
): Machine<Commands, Queries, Events, State> {
  const { name, version, previous } = identity;
  const { commands, queries = {}, on = {}, sweep, migrate } = written;
  checkNames(name, commands, queries);
  const unhandled = identity.timers.find((timer) => on[timer] === undefined);
  if (unhandled !== undefined)
    throw new TypeError(`Cannot declare ${name}: the timer ${unhandled} has no handler in "on"`);
  const schemas = new Map<string, StandardSchema>();
  const parts: MachineParts = {
    ...identity,
    commands: runsOf(commands, schemas),
    queries: runsOf(queries, schemas),
    handlers: new Map(identity.timers.map((timer) => [timer, on[timer] as Run])),
    sweep,
    migrate,
  };
  return {
    name,
    version,
    previous,
    commandNames: Object.keys(commands).sort(),
    queryNames: Object.keys(queries).sort(),
    eventNames: identity.events,
    open: (environment: MachineEnvironment) => new TypedInstance(parts, environment),
    migrate: (environment, from, at) => {
      const instance = new TypedInstance(parts, environment);
      const message = instance.migrate(from, at);
      return message === undefined ? { status: "migrated", instance } : { status: "failed", message };
    },
    inputFields: (asked) => fieldsRead(parts.commands.get(asked) ?? parts.queries.get(asked)),
    admit: (asked, input) => admitInput(schemas.get(asked), input),
  };
}

/** One version follows another: numbers only grow, and a machine keeps its name. */
function checkPrevious({
  name,
  version,
  previous,
}: {
  readonly name: string;
  readonly version: number;
  readonly previous?: LowLevelMachine | undefined;
}): void {
  if (previous === undefined) return;
  if (previous.name !== name) {
    throw new TypeError(
      `Cannot define ${name} behind ${quote(previous.name)}: all versions of a machine have one name`,
    );
  }
  if (previous.version >= version) {
    throw new TypeError(
      `Cannot define version ${version} of ${name} behind version ${previous.version}: a version has a greater number than the one before`,
    );
  }
}

/** The types say the same; programs without types are told here. */
function checkNames(machine: string, commands: object, queries: object): void {
  const all = [...Object.keys(commands), ...Object.keys(queries)];
  for (const name of all) {
    if (name.startsWith("$"))
      throw new TypeError(`Cannot declare ${name} in ${machine}: names with $ are the client's own`);
    if (name === "then") throw new TypeError(`Cannot declare "then" in ${machine}: a client would look like a promise`);
  }
  if (new Set(all).size < all.length) {
    throw new TypeError(`Cannot declare ${machine}: a command and a query may not share a name`);
  }
}

/** Reads `(state, { a, b }, …)` and `(state, input, …) => … input.a …` out of the source; anything else shows nothing. */
function fieldsRead(run: Run | undefined): readonly string[] {
  const source = run === undefined ? "" : String(run);
  const destructured = /^[^(]*\(\s*[\w$]+\s*,\s*\{([^}]*)\}/.exec(source)?.[1];
  if (destructured !== undefined)
    return [...destructured.matchAll(/(?:^|,)\s*([\w$]+)/g)].map((found) => found[1] ?? "");
  const name = /^[^(]*\(\s*[\w$]+\s*,\s*([\w$]+)/.exec(source)?.[1];
  if (name === undefined) return [];
  const read = source.matchAll(new RegExp(`(?<![\\w$.])${name.replaceAll("$", "\\$")}\\.([\\w$]+)(?!\\s*\\()`, "g"));
  return [...new Set([...read].map((found) => found[1] ?? ""))];
}

function runsOf(parts: Readonly<Record<string, WrittenPart>>, schemas: Map<string, StandardSchema>): Map<string, Run> {
  const runs = new Map<string, Run>();
  for (const [name, part] of Object.entries(parts)) {
    if (typeof part === "function") {
      runs.set(name, part);
      continue;
    }
    schemas.set(name, part.schema);
    runs.set(name, part.run as Run);
  }
  return runs;
}
