/**
 * How a door (RESP, HTTP) or any code in the replica's own process asks the replicated service.
 *
 * Owns: the shape. Kept by `node/create-replica.ts`: every door has a session of its own, opened anew at each process start, and
 * asks like any client, so retries and fail-over are the same code. Commands of one door are executed in the order of the calls.
 */
import type { AdmissionRefusal, ExecutedRefusal, QueryOutcome, ReadLevel } from "../model/request.js";
import type { EventsAnswer, EventsQuestion } from "../model/events.js";
import type { LogIndex } from "../model/ids.js";

export interface Door {
  /** `input` is in canonical form and already admitted by the machine's `admit`. */
  command(name: string, input: Uint8Array, idempotency: DoorIdempotency | undefined): Promise<DoorOutcome>;
  /** Answered by this process's own replica, as fresh as `read` says. */
  query(name: string, input: Uint8Array, read: ReadLevel): Promise<DoorAnswer>;
  /** At once, or as soon as there is something, or when `waitMs` are over. */
  events(question: EventsQuestion, waitMs: number): Promise<DoorEvents>;
  close(): void;
}

/** Replicated for a stated time, so that a retry at any replica gets the first answer. */
export interface DoorIdempotency {
  readonly principal: string;
  readonly key: string;
}

export type DoorOutcome =
  | {
      readonly status: "ok";
      readonly output: Uint8Array;
      readonly index: LogIndex;
      readonly expiresAt: number | undefined;
    }
  | {
      readonly status: "rejected";
      readonly code: string;
      readonly data: Uint8Array;
      readonly index: LogIndex;
      readonly expiresAt: number | undefined;
    }
  | {
      readonly status: "failed";
      readonly message: string;
      readonly index: LogIndex;
      readonly expiresAt: number | undefined;
    }
  /** Surely not executed. */
  | { readonly status: "refused"; readonly refusal: AdmissionRefusal | ExecutedRefusal }
  /** May or may not have been executed, or still be. */
  | { readonly status: "unknown"; readonly message: string };

export type DoorEvents = EventsAnswer | { readonly kind: "refused"; readonly refusal: AdmissionRefusal };

export type DoorAnswer =
  | { readonly status: "answered"; readonly outcome: QueryOutcome; readonly index: LogIndex; readonly ageMs: number }
  | { readonly status: "refused"; readonly refusal: AdmissionRefusal };
