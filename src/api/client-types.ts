/**
 * The client of a machine, as types: every command and query is a method of its own.
 *
 * Owns: the mapping from a machine's type to its client's. Leaves to others: keeping it (`node/create-client.ts`).
 * Names that start with `$` are the client's own; machines cannot declare any.
 */
import type { EventPosition } from "../model/events.js";
import type { CancelSignal } from "./cancel-signal.js";
import type { OutcomeToken, Refusal } from "./errors.js";
import type { DataOf, EventTypes, InputOf, Machine, ResultOf } from "./machine.js";
import type { Rejected } from "./rejected.js";

export interface CallOptions {
  /** Cancels the waiting. A command that was already sent becomes `unknown`, as after a time-out. */
  readonly signal?: CancelSignal | undefined;
  readonly timeoutMs?: number | undefined;
}

/**
 * How fresh the answer to a query must be (docs/guides/reads.md). `linearizable`, the default: it reflects everything that was answered
 * before the call. `lease`: the same as long as clocks keep their stated bound, and sooner, if the cluster has leases on; else no
 * different. `atLeast`: it reflects everything up to this index, for example that of an own command. `maxStalenessMs`: it reflects
 * everything that was answered so many milliseconds before the call. `local`: whatever the asked replica has.
 */
export type Read =
  "linearizable" | "lease" | "local" | { readonly atLeast: number } | { readonly maxStalenessMs: number };

export interface QueryOptions extends CallOptions {
  /** Default: the client's own `read`, and without one "linearizable". */
  readonly read?: Read | undefined;
}

/** Inputs that may be `undefined`, and those of commands that take none, can be left out. */
type Asking<Declared, Options> = [InputOf<Declared>] extends [never]
  ? [input?: undefined, options?: Options]
  : undefined extends InputOf<Declared>
    ? [input?: InputOf<Declared>, options?: Options]
    : [input: InputOf<Declared>, options?: Options];

/** What it returns when it does not reject; nothing arrives as `undefined`. */
export type OutputOf<Declared> = Arrived<Exclude<ResultOf<Declared>, Rejected>>;
type Arrived<Result> = Result extends void ? undefined : Result;

/** The plain form. @throws CommandRejected, CommandFailed, RequestRefused, OutcomeUnknown, InvalidInput */
type Methods<Declared, Options> = {
  readonly [Name in keyof Declared]: (...asking: Asking<Declared[Name], Options>) => Promise<OutputOf<Declared[Name]>>;
};

type TryMethods<Declared, Options> = {
  readonly [Name in keyof Declared]: (...asking: Asking<Declared[Name], Options>) => Promise<TryResult<Declared[Name]>>;
};

type DetailMethods<Declared, Options> = {
  readonly [Name in keyof Declared]: (
    ...asking: Asking<Declared[Name], Options>
  ) => Promise<Detail<OutputOf<Declared[Name]>>>;
};

/** Every end that asking can have, without an exception. */
export type TryResult<Declared> =
  | { readonly status: "ok"; readonly output: OutputOf<Declared>; readonly index: number }
  | RejectedResult<Extract<ResultOf<Declared>, Rejected>>
  /** It threw on every replica alike and was rolled back. */
  | { readonly status: "failed"; readonly message: string; readonly index: number }
  /** Surely not executed. An input that has no canonical form is refused too, with `INVALID_INPUT`. */
  | { readonly status: "refused"; readonly code: Refusal["code"]; readonly refusal: Refusal }
  /** Nobody can tell yet: settle it with `$resolve`. Queries never end so. */
  | { readonly status: "unknown"; readonly token: OutcomeToken; readonly reason: string };

type RejectedResult<Rejection> =
  Rejection extends Rejected<infer Code, infer Data>
    ? { readonly status: "rejected"; readonly code: Code; readonly data: Data; readonly index: number }
    : never;

export interface Detail<Output> {
  readonly output: Output;
  /** Position in the log that the output reflects. */
  readonly index: number;
  /**
   * The output reflects everything that was answered so many milliseconds before the replica answered: an upper bound, by the replica's
   * own clock. 0 for commands; infinite from a replica that has not heard from a leader since it started.
   */
  readonly ageMs: number;
}

/** What became of a request whose outcome was unknown. */
export type ResolvedResult =
  /** `outcome` is absent if its reply is no longer kept. */
  | {
      readonly status: "executed";
      readonly outcome:
        | { readonly status: "ok"; readonly output: unknown }
        | { readonly status: "rejected"; readonly code: string; readonly data: unknown }
        | { readonly status: "failed"; readonly message: string }
        | undefined;
      readonly index: number;
    }
  /** It was not, and it never will be. */
  | { readonly status: "notExecuted" }
  /** The session that knew has ended: nobody can tell any more. */
  | { readonly status: "lost" }
  /** Not settled in time: ask again with the same token. */
  | { readonly status: "refused"; readonly code: Refusal["code"]; readonly refusal: Refusal };

export interface EventsOptions {
  /**
   * Begins behind the event at this position, or behind the entry with this index (that of an answer, for example). Default: with the
   * oldest event that is still kept.
   */
  readonly after?: EventPosition | number | undefined;
  /** Ends the loop. */
  readonly signal?: CancelSignal | undefined;
}

export interface ClientEvent<Data> {
  /** Plain data: it may be stored, and given as `after` by any client later. */
  readonly position: EventPosition;
  readonly data: Data;
}

interface ClientOwn<Commands, Queries, Events extends EventTypes> {
  readonly $try: TryMethods<Commands, CallOptions> & TryMethods<Queries, QueryOptions>;
  readonly $detail: DetailMethods<Commands, CallOptions> & DetailMethods<Queries, QueryOptions>;
  /** Settles an unknown outcome: afterwards the request was executed, or never will be. */
  $resolve(token: OutcomeToken, options?: CallOptions): Promise<ResolvedResult>;
  /**
   * The events of this name in their order, without gaps and repeats, whatever becomes of replicas and connections meanwhile. Waits for the next one
   * until the loop is left, `signal` is aborted or the client is closed. @throws EventsCompacted if what `after` asks for is no longer kept
   */
  $events<Name extends keyof Events & string>(
    name: Name,
    options?: EventsOptions,
  ): AsyncGenerator<ClientEvent<DataOf<Events[Name]>>, void, undefined>;
  /** Takes nothing new, waits a second at most for what is in flight (the rest ends as `refused` or `unknown`), closes the connections. */
  $close(): Promise<void>;
}

export type CommandsIn<M> = M extends Machine<infer Commands, infer _Queries, infer _Events> ? Commands : never;
export type QueriesIn<M> = M extends Machine<infer _Commands, infer Queries, infer _Events> ? Queries : never;
export type EventsIn<M> = M extends Machine<infer _Commands, infer _Queries, infer Events> ? Events : never;

/** `Client<typeof machine>`. */
export type Client<M> = Methods<CommandsIn<M>, CallOptions> &
  Methods<QueriesIn<M>, QueryOptions> &
  ClientOwn<CommandsIn<M>, QueriesIn<M>, EventsIn<M>>;
