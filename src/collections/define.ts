/**
 * `define`: makes a machine that a replica can run of what a user wrote.
 *
 * Owns: checking the declaration once, and the low-level face of it. Leaves to others: the types (`api/machine.ts`), execution
 * (`typed-machine.ts`), validating inputs (`admit.ts`). Called by users through `quorate`.
 */
import type { Definition, EventType, EventTypes, StateDefinition } from "../api/machine.js";
import type { StateShape } from "../api/state.js";

export declare function define<
  State extends StateShape,
  Events extends EventTypes = Record<never, never>,
  Timers extends EventTypes = Record<never, never>,
>(definition: StateDefinition<State, Events, Timers>): Definition<State, Events, Timers>;

export declare function event<Data>(): EventType<Data>;
