/** Why a leader gives leadership up by itself: the noun that consensus, status and metrics share. */
import type { Term } from "./ids.js";

/**
 * `write`: one to the log does not end. `execution`: what is decided is not executed. `turn`: the event loop stood still. `space`: the disk is
 * full, and another's is not. `priority`: another voter's is higher. `quarantine`: what it has executed is not what the others have.
 */
export type ResignReason = "write" | "execution" | "turn" | "space" | "priority" | "quarantine";

/** `term`: of the leadership that was given up. */
export interface Resignation {
  readonly reason: ResignReason;
  readonly term: Term;
}
