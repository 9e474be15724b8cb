/**
 * The words in which a model tells the search what operations do.
 *
 * Owns: the shapes of a recorded operation and of its effect. Leaves to others: what each model's operations do
 * (`sequential-models.ts`), the search (`order-search.ts`).
 */

/** An operation as it was seen. Operations of one process may overlap. */
export interface HistoryOperation<Op> {
  readonly process: string;
  readonly call: number;
  /** Undefined: the outcome is unknown. It took effect at any time after its call, or never will. */
  readonly ret: number | undefined;
  readonly op: Op;
}

/** A state is a text or a number, so that equal ones are the same. */
export type State = string | number;

/** What one operation does, given the answer that it got. */
export interface Effect {
  /** Operations with the same one do and answer the same in every state. */
  readonly name: string;
  /** The only state in which it is possible, if there is but one. */
  readonly needs: State | undefined;
  /** Sets the state whatever it was, and answers nothing. */
  readonly isBlind: boolean;
  /** Leaves every state as it is in which it is possible. */
  readonly isObserver: boolean;
  /** The state afterwards; undefined if it cannot have answered so in this state. Of an unknown outcome: what it would do. */
  step(state: State): State | undefined;
  /** It fits neither in this state nor in any that can come after it. */
  isPast(state: State): boolean;
}

export interface Machine {
  readonly initial: State;
  /** Stands for all states that nobody needs, if nothing but blind operations leads from them; undefined if they can be told apart. */
  readonly other: State | undefined;
  /** Operations of unknown outcome reach but few states, even if they take effect any number of times. */
  readonly isNarrow: boolean;
}
