/**
 * The determinism guard: while the code of a machine runs, whatever replicas could not see alike throws.
 *
 * Owns: whether such code runs on this thread, and the error. Leaves to others: what is forbidden (`forbidden.ts`), where it is caught
 * (`install.ts`). Called by `collections/typed-machine.ts` around each call of a user's function.
 *
 * A machine's code is synchronous, so nothing else of the program runs between `enterGuard` and `leaveGuard`, and one variable
 * for the thread says all. Outside of them everything forbidden is what it was before.
 *
 * Invariant M14: who used something forbidden has failed, on every replica alike, even if it caught the error.
 */

/** A machine's code used what replicas do not see alike. The same on every replica, except for its stack. */
class NotDeterministic extends Error {
  override readonly name = "NotDeterministic";
  /** The code, as in "command deposit". */
  readonly where: string;
  /** Such as "Date.now". */
  readonly used: string;

  constructor(where: string, { used, reason, instead }: Forbidden) {
    super(`Cannot use ${used} in ${where}: ${reason}. ${instead}`);
    this.where = where;
    this.used = used;
  }
}

export interface Forbidden {
  readonly used: string;
  /** Why, without a full stop. */
  readonly reason: string;
  /** What to do instead: a sentence without its full stop. */
  readonly instead: string;
}

let isGuarded = false;
let kind = "";
let name = "";
let caught: NotDeterministic | undefined;

/** From here on a machine's code runs: its kind and name are for the message. Does not nest. */
export function enterGuard(kindOfCode: string, nameOfCode: string): void {
  isGuarded = true;
  kind = kindOfCode;
  name = nameOfCode;
  caught = undefined;
}

/** Answers the first forbidden use since `enterGuard`. */
export function leaveGuard(): NotDeterministic | undefined {
  isGuarded = false;
  return caught;
}

/** The code that runs, or ran last, as in "command deposit". */
export function guardedCode(): string {
  return `${kind} ${name}`;
}

/** Whether a machine's code runs now. */
export function isMachineRunning(): boolean {
  return isGuarded;
}

/** Runs what belongs to the program although a machine's code has called it. */
export function unguarded<Result>(run: () => Result): Result {
  const was = isGuarded;
  isGuarded = false;
  try {
    return run();
  } finally {
    isGuarded = was;
  }
}

/**
 * The stack begins with whoever called `entry`.
 *
 * @throws NotDeterministic
 */
export function forbid(forbidden: Forbidden, entry: unknown): never {
  const error = new NotDeterministic(guardedCode(), forbidden);
  caught ??= error;
  // Writing a stack down may read files (source maps), which the machine has not asked for.
  unguarded(() => {
    const capture: unknown = Reflect.get(Error, "captureStackTrace");
    if (typeof capture === "function") Reflect.apply(capture, Error, [error, entry]);
    void error.stack;
  });
  throw error;
}
