/**
 * Every check that needs a whole run: made once, at its end.
 *
 * Owns: which there are. Leaves to others: the checks (`checkers/`). Called by `simulate.ts` and `scenario.ts`.
 */
import { searchHistories } from "./checkers/standard-histories.js";
import { simHash } from "./sim-hash.js";
import { standardMachine } from "./standard-machine.js";
import type { World } from "./world.js";

/** Equal states, counts, the order executed once more, the search. Throws `RuleBroken`. */
export function checkWhole({ replicas, order, judge, machine, plan }: World): void {
  for (const { id, opened } of replicas) {
    if (opened !== undefined) order.compareDigest(id, opened.executor.executedIndex, opened.executor.digest());
  }
  judge.checkCounts();
  judge.replay({ machine, hash: simHash, limits: plan.limits, voters: replicas.map(({ id }) => id) });
  if (machine === standardMachine) searchHistories(judge.operations);
}
