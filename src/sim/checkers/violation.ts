/**
 * A broken rule: what the whole system promises and a run has shown to be false.
 *
 * Owns: the rules of the simulator (V1 to V30) and the exception that ends a run. Rules of single parts have numbers of their own
 * (docs/internals/invariants.md); breaking one of those is V1 here. Thrown by checkers, caught by `world.ts`.
 */
export const rules = {
  V1: "no replica breaks an invariant of its own or throws",
  V2: "a term has one leader, and a voter one candidate",
  V3: "all replicas execute the same entry at the same index",
  V4: "a leader has every entry that was decided before its term",
  V5: "what is executed is on the disks of a majority",
  V6: "equal positions give equal outputs and equal states on all replicas",
  V7: "what was acknowledged is in the order, with the output that was acknowledged",
  V8: "no request is executed twice",
  V9: "what was refused is not executed",
  V10: "an operation comes after every operation that ended before it began",
  V11: "a query answers what the state at its position says",
  V12: "what clients saw can be put into one order",
  V13: "queues stay within their limits",
  V14: "a healed majority serves again within its bound, and its replicas become equal",
  V15: "a replica whose disk is intact is not refused",
  V16: "every check that a run asks for is made",
  V17: "what was durable before the end of a process is there after it",
  V18: "a query that names an index reflects it",
  V19: "an answer is as fresh as it says, and as was asked",
  V20: "what one process of a replica answers over one connection never goes back",
  V21: "who follows events is told each of them once and in order, or how far some are no longer kept",
  V22: "a timer fires once: in the first entry at or behind its time that has room for it",
  V23: "a disk that has forgotten what a peer remembers speaks for nobody",
  V24: "a leader whose disk hangs gives leadership up within its bound",
  V25: "a machine uses nothing that replicas do not see alike",
  V26: "replicas whose memory is intact agree at every position that is compared",
  V27: "a flipped bit is found within its bound, its replica alone is named, and is well again",
  V28: "no version starts before every replica can run it",
  V29: "nobody is accused but who has said two things that contradict each other, and no correct replica",
  V30: "what a correct replica has said it never contradicts, however often it restarts",
} as const;

export type Rule = keyof typeof rules;

export interface Violation {
  readonly rule: Rule;
  /** The rule, in words. */
  readonly claim: string;
  /** What was seen. */
  readonly fact: string;
  /** Milliseconds of simulated time. */
  readonly at: number;
}

export class RuleBroken extends Error {
  override readonly name = "RuleBroken";
  readonly rule: Rule;

  constructor(rule: Rule, fact: string) {
    super(fact);
    this.rule = rule;
  }
}

export function must(condition: boolean, rule: Rule, fact: () => string): void {
  if (!condition) throw new RuleBroken(rule, fact());
}
