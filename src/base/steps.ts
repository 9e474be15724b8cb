/**
 * Long work in short steps: whoever has it done does a few of them at a time, and other work in between.
 *
 * Owns: the contract. Nothing is visible before the last step.
 */

export type Steps<Result> = Generator<void, Result>;

/** Does all of it at once. */
export function doAll<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}
