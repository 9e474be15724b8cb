/**
 * What becomes of what a client asks, in bytes: the core's side of `CommandOutcome`.
 *
 * Owns: the shapes that the core answers with and the contract of those who wait. Leaves to others: types of outputs and
 * errors (`api/`), Promises (`node/`). The three ends are never confused (hazard C4): *answered* is an outcome of execution,
 * *refused* is surely not executed, *unknown* may be either and carries a token.
 */
import type { EventPosition } from "../model/events.js";
import type { LogIndex, RequestNumber, SessionId } from "../model/ids.js";
import type {
  AdmissionRefusal,
  ExecutedRefusal,
  IdempotencyKey,
  QueryOutcome,
  ReadLevel,
  Reply,
} from "../model/request.js";

/** Names one request for ever: session numbers are never given twice, and request numbers never reused. */
export interface OutcomeToken {
  readonly session: SessionId;
  readonly number: RequestNumber;
}

/** What executing a command itself gave. */
export type ExecutedReply = Extract<Reply, { readonly status: "ok" | "rejected" | "failed" }>;

/** Why the client itself did not send, or stopped asking; surely nothing was executed. */
export type LocalRefusal =
  /** No replica answered in time and nothing was sent. */
  | { readonly code: "NOT_CONNECTED"; readonly message: string }
  /** Time ran out before the request was sent. */
  | { readonly code: "TIMED_OUT"; readonly waitedMs: number }
  | { readonly code: "CANCELLED" }
  | { readonly code: "CLOSED" };

export type AskRefusal = AdmissionRefusal | ExecutedRefusal | LocalRefusal;

/** Why nobody can tell whether a request was executed. */
export type UnknownCause = "timed out" | "cancelled" | "session lost" | "closed" | "reply no longer kept";

export type CommandOutcome =
  | { readonly status: "answered"; readonly reply: ExecutedReply; readonly index: LogIndex }
  | { readonly status: "refused"; readonly refusal: AskRefusal }
  | { readonly status: "unknown"; readonly cause: UnknownCause; readonly token: OutcomeToken };

export type QueryAnswer =
  | { readonly status: "answered"; readonly outcome: QueryOutcome; readonly index: LogIndex; readonly ageMs: number }
  | { readonly status: "refused"; readonly refusal: AskRefusal };

export type Resolution =
  /** `reply` is absent if the session no longer keeps it. */
  | { readonly status: "executed"; readonly reply: ExecutedReply | undefined; readonly index: LogIndex }
  /** Not executed, and it never will be. */
  | { readonly status: "notExecuted" }
  /** The session that knew has ended, or what it knew was released: nobody can tell any more. */
  | { readonly status: "lost" }
  /** Not settled in time; ask again with the same token. */
  | { readonly status: "refused"; readonly refusal: AskRefusal };

/** Someone who waits. `settle` is called exactly once, at the end of an input of the core, and may call the core again. */
export interface Completion<Outcome> {
  settle(outcome: Outcome): void;
}

export interface CommandAsk {
  readonly name: string;
  /** Canonical form. */
  readonly input: Uint8Array;
  readonly idempotency: IdempotencyKey | undefined;
  /** Monotonic milliseconds. */
  readonly deadline: number;
  readonly completion: Completion<CommandOutcome>;
}

export interface QueryAsk {
  readonly name: string;
  readonly input: Uint8Array;
  readonly read: ReadLevel;
  readonly deadline: number;
  readonly completion: Completion<QueryAnswer>;
  /** Asks for the events of this name instead, and lets the replica wait so long for one; the answer is `wire/events-codec.ts`'s. */
  readonly events?: EventsAsk | undefined;
}

export interface EventsAsk {
  readonly from: EventPosition | undefined;
  readonly countMax: number;
  readonly waitMs: number;
}
