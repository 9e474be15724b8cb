/**
 * What the command and its threads say to each other: plain data.
 *
 * Owns: the shapes. Called by `pool.ts` and `worker.ts`.
 */
import type { Cut } from "../../sim/shrink.js";
import type { SimulationResult } from "../../sim/simulate.js";

export interface Task {
  /** Run it, run it and keep its trace, or look for a smaller run that fails like it, and keep that one's trace. */
  readonly kind: "run" | "trace" | "shrink";
  readonly seed: number;
  readonly cut: Cut;
}

export interface Ran extends Omit<SimulationResult, "assertCorrect"> {
  readonly cut: Cut;
  /** Functions do not travel. */
  readonly assertCorrect: undefined;
}

/** The first that a thread says; afterwards it answers each task with a `Ran`. */
export type Greeting =
  | { readonly kind: "ready"; readonly isGuessed: boolean }
  /** The user's module cannot be used. */
  | { readonly kind: "refused"; readonly message: string };
