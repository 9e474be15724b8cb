/**
 * The state machine as a user writes it: `define` fixes the state, `machine` adds what can be asked of it.
 *
 * Owns: the types of both steps, which infer everything from end to end. Leaves to others: making it run
 * (`collections/define.ts`), the client's side of the types (`client-types.ts`).
 *
 * Two steps, because one generic call that takes `state` and `commands` together loses the type of `state` as soon as a nested
 * generic call appears among the commands. What a machine must keep to, so that its replicas stay equal: commands are synchronous,
 * and take time, randomness and all else from outside from `context` only.
 */
import type { LowLevelMachine } from "./low-level.js";
import type { SchemaInput, SchemaOutput, StandardSchema } from "./standard-schema.js";
import type { Collections, StateShape, ViewOf } from "./state.js";

/** What a command may return: plain data, or `rejected(…)`. A promise has a `then`, so it is refused. */
export type Output =
  void | undefined | null | string | number | bigint | boolean | (object & { readonly then?: never });

/** The payload type of an event or a timer. */
export interface EventType<Data> {
  readonly kind: "event";
  /** Exists in the types only. */
  readonly data?: Data;
}

export type EventTypes = { readonly [name: string]: EventType<unknown> };
export type DataOf<Type> = Type extends EventType<infer Data> ? Data : never;

/** What every part of a machine may know of the world outside its state. */
export interface SweepContext<Events extends EventTypes = EventTypes, Timers extends EventTypes = EventTypes> {
  /** Agreed time in milliseconds since 1970: the same on every replica, never going back. Equal for all commands of one entry. */
  readonly now: number;
  /** Position in the log. */
  readonly index: number;
  /** Of the machine. */
  readonly version: number;
  /** In [0, 1), seeded by the position: equal on every replica and therefore predictable. Never for secrets. */
  random(): number;
  /** Version 4 in form, drawn from `random`'s source: unique in practice, predictable, never for secrets. */
  uuid(): string;
  readonly timers: TimerControl<Timers>;
  /** Adds to the stream of events that clients follow. What a command that fails has emitted was never emitted. */
  emit<Name extends keyof Events>(name: Name, data: DataOf<Events[Name]>): void;
}

export interface Context<
  Events extends EventTypes = EventTypes,
  Timers extends EventTypes = EventTypes,
> extends SweepContext<Events, Timers> {
  /** Place among the commands of the entry, from 0: together with `index` it is the command's position. */
  readonly ordinal: number;
  /** The session that asked. */
  readonly session: number;
}

/** Timers are a part of the state: they survive whatever the state survives, and those that a failed command set are not set. */
export interface TimerControl<Timers extends EventTypes> {
  /**
   * Runs the handler of `name` with `data` once agreed time has reached `at`, before the commands of that entry. `at` is in whole milliseconds;
   * if it has passed already, the next entry will do. A timer of the same name and key is replaced.
   */
  set<Name extends keyof Timers>(name: Name, key: string, at: number, data: DataOf<Timers[Name]>): void;
  /** Whether there was one to cancel. */
  cancel(name: keyof Timers, key: string): boolean;
}

/** `now` and `index` are of the last entry that the answer reflects. */
export interface QueryContext {
  readonly now: number;
  readonly index: number;
  readonly version: number;
}

export interface StateDefinition<
  State extends StateShape,
  Events extends EventTypes,
  Timers extends EventTypes,
  Before extends StateShape = never,
> {
  /** 1 to 64 of `a-z A-Z 0-9 _ -`. Replicas of one group run machines of one name. */
  readonly name: string;
  /** Whole, from 1. */
  readonly version: number;
  /**
   * The machine as it was before this version. It executes what is ordered until this version starts, at one index on every replica, when all
   * of them can run it. Collections of the same name and kind are taken over; the rest is for `migrate`.
   */
  readonly previous?: Machine<unknown, unknown, EventTypes, Before>;
  /** Called once for each instance; must declare the same collections every time. */
  readonly state: (collections: Collections) => State;
  readonly events?: Events;
  readonly timers?: Timers;
  readonly limits?: Partial<CommandLimits>;
}

/** Deterministic budgets of one command (and of one query, one timer, one sweep): beyond them it fails, everywhere alike. */
export interface CommandLimits {
  /** Reads and writes of collections, steps of iterations, asking for a size, and draws of `random` and `uuid`. Default 1,000,000. */
  readonly operationsMax: number;
  /** Bytes written into collections, keys, timers and events included, in canonical form. Default 64 MiB. */
  readonly bytesMax: number;
  /** Bytes of what it answers, or of the data of a rejection, in canonical form. Default and maximum 4 MiB. */
  readonly outputBytesMax: number;
}

/** What the first step gives. */
export interface Definition<
  State extends StateShape,
  Events extends EventTypes,
  Timers extends EventTypes,
  Before extends StateShape = never,
> {
  machine<Commands extends CommandsOf<State, Events, Timers>, Queries extends QueriesOf<State>>(
    parts: Parts<State, Events, Timers> &
      MigrateOf<State, Events, Timers, Before> & {
        readonly commands: Commands & CheckCommands<Commands>;
        readonly queries?: Queries & CheckQueries<Queries, Commands>;
      },
  ): Machine<Commands, Declared<Queries>, Events, State>;

  /** A command whose input any Standard Schema validator checks and parses before it is ordered, never while executing. */
  command<Schema extends StandardSchema, Result extends Output>(
    schema: Schema,
    run: (state: State, input: SchemaOutput<Schema>, context: Context<Events, Timers>) => Result,
  ): SchemaCommand<State, Schema, Result>;

  query<Schema extends StandardSchema, Result extends Output>(
    schema: Schema,
    run: (state: ViewOf<State>, input: SchemaOutput<Schema>, context: QueryContext) => Result,
  ): SchemaQuery<State, Schema, Result>;
}

/**
 * Without queries the compiler infers their constraint, which has any name. A defaulted type parameter would say it better, but
 * takes the type of `state` away from the functions inside.
 */
type Declared<Queries> = string extends keyof Queries ? Record<never, never> : Queries;

interface Parts<State extends StateShape, Events extends EventTypes, Timers extends EventTypes> {
  /**
   * What happens when a timer is due: one handler for each that is declared. A handler that throws is rolled back like a command; its timer
   * is spent all the same, and counted as failed.
   */
  readonly on?: {
    readonly [Name in keyof Timers]?: (
      state: State,
      data: DataOf<Timers[Name]>,
      context: SweepContext<Events, Timers>,
    ) => void;
  };
  readonly sweep?: Sweep<State, Events, Timers>;
}

/**
 * Makes of the state before this version the state that it needs. Called once, before anything else of this version: collections with the name
 * and kind of one before have its content already, all others are as new. It has no budget, and nothing else is executed meanwhile. One that
 * throws leaves everything as it was: the version before goes on, and this version never starts.
 */
export type Migrate<
  State,
  Before extends StateShape,
  Events extends EventTypes = EventTypes,
  Timers extends EventTypes = EventTypes,
> = (state: State, before: ViewOf<Before>, context: SweepContext<Events, Timers>) => void;

/** Wanted if a collection has content of another type than before. */
type MigrateOf<
  State extends StateShape,
  Events extends EventTypes,
  Timers extends EventTypes,
  Before extends StateShape,
> = [Before] extends [never]
  ? { readonly migrate?: never }
  : [ChangedIn<State, Before>] extends [never]
    ? { readonly migrate?: Migrate<State, Before, Events, Timers> }
    : { readonly migrate: Migrate<State, Before, Events, Timers> };

type ChangedIn<State, Before> = {
  [Name in keyof State & keyof Before]: Before[Name] extends State[Name] ? never : Name;
}[keyof State & keyof Before];

/**
 * Work that time asks for, not a client: letting entries expire, for example. `run` is called once at the start of every entry,
 * after the timers and before the commands, and must bound its own work; `dueAt` names the earliest agreed time at which an entry is wanted though nobody asks,
 * so it must be cheap. A `run` that throws is rolled back and tried again at the next entry.
 */
export interface Sweep<State, Events extends EventTypes = EventTypes, Timers extends EventTypes = EventTypes> {
  dueAt(state: ViewOf<State>): number | undefined;
  run(state: State, context: SweepContext<Events, Timers>): void;
}

export interface SchemaCommand<State extends StateShape, Schema extends StandardSchema, Result> {
  readonly kind: "schemaCommand";
  readonly schema: Schema;
  readonly run: (state: State, input: never, context: Context<never, never>) => Result;
}

export interface SchemaQuery<State extends StateShape, Schema extends StandardSchema, Result> {
  readonly kind: "schemaQuery";
  readonly schema: Schema;
  readonly run: (state: ViewOf<State>, input: never, context: QueryContext) => Result;
}

export type CommandsOf<State extends StateShape, Events extends EventTypes, Timers extends EventTypes> = {
  readonly [name: string]:
    | ((state: State, input: never, context: Context<Events, Timers>) => Output)
    | SchemaCommand<State, StandardSchema, Output>;
};

export type QueriesOf<State extends StateShape> = {
  readonly [name: string]:
    | ((state: ViewOf<State>, input: never, context: QueryContext) => Output)
    | SchemaQuery<State, StandardSchema, Output>;
};

/** `unknown` accepts what was declared; a text refuses it, and shows up in the compiler's message. */
type CheckCommands<Commands> = {
  readonly [Name in keyof Commands]: CheckName<Name> & CheckOutput<Commands[Name]>;
};

type CheckQueries<Queries, Commands> = {
  readonly [Name in keyof Queries]: CheckName<Name> & CheckOutput<Queries[Name]> & CheckDistinct<Name, keyof Commands>;
};

/** While the compiler has not yet inferred the commands, their names are any strings, and nothing is known to clash. */
type CheckDistinct<Name, Taken> = string extends Taken
  ? unknown
  : Name extends Taken
    ? "Cannot declare a query with the name of a command"
    : unknown;

type CheckName<Name> = Name extends `$${string}`
  ? "Cannot declare a name that starts with $: these are the client's own"
  : unknown;

/** `{}` would swallow the rejections beside it: every one of them is assignable to `{}`. */
type CheckOutput<Declared> =
  true extends IsEmpty<ResultOf<Declared>>
    ? "Cannot declare an output of {}: return something with a property, or nothing"
    : unknown;
type IsEmpty<Result> = Result extends object ? ([keyof Result] extends [never] ? true : false) : false;

/** What is declared to be returned, rejections included. */
export type ResultOf<Declared> = Declared extends (...parameters: never) => infer Result
  ? Result
  : Declared extends { readonly run: (...parameters: never) => infer Result }
    ? Result
    : never;

/** What a client gives; `never` if the command takes no input. */
export type InputOf<Declared> = Declared extends { readonly schema: infer Schema extends StandardSchema }
  ? SchemaInput<Schema>
  : Declared extends (...parameters: infer Parameters) => unknown
    ? Parameters extends [] | [unknown]
      ? never
      : Parameters extends [unknown, infer Input, ...unknown[]]
        ? Input
        : Parameters extends [unknown, (infer Input)?, ...unknown[]]
          ? Input | undefined
          : never
    : never;

/** What the second step gives: what a replica runs and what a client's types are made of. */
export interface Machine<
  Commands,
  Queries,
  Events extends EventTypes = EventTypes,
  State extends StateShape = StateShape,
> extends LowLevelMachine {
  /** Exists in the types only. */
  readonly types?: {
    readonly commands: Commands;
    readonly queries: Queries;
    readonly events: Events;
    readonly state: State;
  };
}
