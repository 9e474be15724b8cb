/** What `quorate check-determinism` and the processes that it starts say to each other. */
import type { DeterminismDifference, DeterminismReport } from "../../sim/check-determinism.js";
import type { StartState } from "./started-machine.js";
import type { ForbiddenUse } from "../../api/low-level.js";

export interface ChildSetting {
  readonly machine: { readonly given: string; readonly prepared: string };
  /** With which it begins; undefined: empty. */
  readonly state: StartState | undefined;
  /** The clock of the process is so far ahead. */
  readonly clockAheadMs: number;
}

export type Task =
  | { readonly kind: "begin"; readonly setting: ChildSetting }
  /** Draw commands from the module's workload, or guess. */
  | { readonly kind: "draw"; readonly count: number; readonly seed: number }
  /** Execute these in all the ways of one process. */
  | { readonly kind: "check"; readonly lines: readonly string[] }
  /** Execute these once. */
  | { readonly kind: "execute"; readonly lines: readonly string[] }
  /** Tell about what was executed at this place. */
  | { readonly kind: "tell"; readonly place: number };

export interface Begun {
  readonly machine: string;
  readonly node: string;
}

export interface Drawn {
  readonly lines: readonly string[];
  readonly isGuessed: boolean;
}

export interface Checked {
  readonly ways: readonly string[];
  readonly difference: DeterminismDifference | undefined;
  readonly forbidden: readonly ForbiddenUse[];
  readonly unchecked: DeterminismReport["unchecked"];
  /** The code that has made one, such as "command add". */
  readonly promises: readonly string[];
}

/** For each command what is equal if output and state are; "" for queries. */
export type ExecutedAll = readonly string[];

export interface Told {
  readonly command: string;
  readonly output: string;
  /** By "collection[key]". */
  readonly contents: readonly (readonly [key: string, value: string])[];
}

export type Answer =
  | { readonly kind: "done"; readonly result: unknown }
  | { readonly kind: "failed"; readonly message: string; readonly exitCode: number };
