/**
 * What only our own bug can break.
 *
 * Owns: the one error of a violated rule. Leaves to others: bad input, lost messages, slow disks and lying replicas, which
 * are normal and never reach this file. Called from everywhere; stays on in production, since stopping is better than lying.
 */

export class InvariantViolation extends Error {
  override readonly name = "InvariantViolation";
}

/** For what we believe, never for what someone sent us: bad input is a value, not a violation. */
export function invariant(condition: boolean, rule: string): asserts condition {
  if (!condition) throw new InvariantViolation(rule);
}

/** Ends an exhaustive switch: a new variant turns this call into a compile error. */
export function unreachable(variant: never): never {
  throw new InvariantViolation(`unreachable variant ${JSON.stringify(variant)}`);
}
