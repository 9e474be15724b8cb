/**
 * One thing that a simulated client asked, and what became of it.
 *
 * Owns: the record that clients write and checkers read. Leaves to others: asking (`sim-client.ts`), judging (`checkers/`).
 */
import type { LogIndex } from "../model/ids.js";
import type { QueryOutcome, ReadLevel, Reply } from "../model/request.js";
import type { AskRefusal } from "../client/outcome.js";

export interface Operation {
  /** Over the run, from 1. */
  readonly number: number;
  readonly client: string;
  readonly kind: "command" | "query";
  readonly name: string;
  /** As the workload gave it, and as it travels. */
  readonly value: unknown;
  readonly input: Uint8Array;
  /** Of a query. */
  readonly read: ReadLevel;
  /** Its outcome is believed only if f + 1 replicas have the same. */
  readonly isVotedOn: boolean;
  /** The connection that a query's answer came by, counted for its client: one process of one replica. */
  link: number;
  readonly calledAt: number;
  /** What had ended before it was called: it must come after that. */
  readonly floor: Floor;
  endedAt: number | undefined;
  end: OperationEnd | undefined;
}

/** A place in the order: behind request `ordinal` of entry `index`. */
export interface Floor {
  readonly index: number;
  readonly ordinal: number;
}

export type OperationEnd =
  | { readonly kind: "answered"; readonly reply: Reply; readonly position: Floor }
  | { readonly kind: "read"; readonly outcome: QueryOutcome; readonly index: LogIndex; readonly ageMs: number }
  /** Surely not executed. */
  | { readonly kind: "refused"; readonly refusal: AskRefusal }
  /** It was asked after, and answered that it was not executed and never will be. */
  | { readonly kind: "notExecuted" }
  | { readonly kind: "unknown"; readonly cause: string };
