/**
 * A failed run for people: what broke, where, since when, how to run it again, and the trace.
 *
 * Owns: the text. Leaves to others: finding the smaller run (`shrink.ts`). Called by `simulate.ts` and the command.
 */
import type { Violation } from "./checkers/violation.js";
import type { Plan } from "./plan.js";
import { timeText } from "./trace.js";

/** Lines of a trace that are shown at most; the rest is said to be left out, from the beginning. */
const traceLinesMax = 400;

export interface Failure {
  readonly plan: Plan;
  readonly machine: string;
  readonly violation: Violation;
  readonly trace: readonly string[];
  /** Runs it again. */
  readonly command: string;
}

export function describeFailure({ plan, machine, violation, trace, command }: Failure): string {
  const { rule, claim, fact, at } = violation;
  const left = trace.slice(-traceLinesMax);
  const lines = [
    `${rule} is broken: ${claim}.`,
    `  what     ${fact.split("\n").join("\n           ")}`,
    `  when     ${timeText(at).trim()} of simulated time; faults end at ${timeText(plan.healAtMs).trim()}`,
    `  where    machine ${machine}, seed ${plan.seed}, ${plan.replicas} replicas, ${plan.clients} clients, ${plan.operations} operations, ${plan.faults.length} planned faults`,
    `  again    ${command}`,
  ];
  if (left.length > 0) {
    const before = trace.length - left.length;
    lines.push("", before === 0 ? "Trace" : `Trace, without its first ${before} lines`, ...left);
  }
  return lines.join("\n");
}
