/**
 * Every check that needs a whole run: made once, at its end.
 *
 * Owns: which there are. Leaves to others: the checks (`checkers/`). Called by `simulate.ts` and `scenario.ts`.
 */
import { defaultLimits } from "../api/config.js";
import type { LowLevelMachine } from "../api/low-level.js";
import { byzantineRules, crashRules } from "../model/report-rules.js";
import { searchHistories } from "./checkers/standard-histories.js";
import { checkTimers } from "./checkers/timer-rule.js";
import { simHash } from "./sim-hash.js";
import { standardMachine } from "./standard-machine.js";
import { must } from "./checkers/violation.js";
import type { SimReplica } from "./sim-replica.js";
import type { World } from "./world.js";

/** Equal states, counts, the order executed once more, events and timers, the search. Throws `RuleBroken`. */
export function checkWhole(world: World): void {
  const { replicas, order, judge, events, machine, plan, memory, byzantine, unfinished } = world;
  for (const { id, opened } of replicas) {
    if (opened !== undefined && byzantine?.isFaulty(id) !== true)
      order.compareDigest(id, opened.executor.executedIndex, opened.executor.digest());
  }
  checkDisks(replicas);
  if (memory === undefined) checkAudits(replicas);
  judge.checkCounts();
  const { eventsMax, eventsBytesMax } = defaultLimits.machine;
  const limits = { ...plan.limits, machine: { ...plan.limits.machine, eventsMax, eventsBytesMax } };
  // Under crash faults who the members are is told by reports alone.
  const founders = { members: byzantine?.founders ?? [] };
  const reportRules = byzantine === undefined ? crashRules : byzantineRules;
  judge.replay({ machine: newestOf(replicas), hash: simHash, limits, founders, reportRules }, (executor, index) =>
    events.collect(executor, index),
  );
  events.checkTold();
  if (machine !== standardMachine && machine.previous !== standardMachine) return;
  const entries = order.decided.map(({ entry }) => entry);
  checkTimers(events, entries, limits.machine.timersPerEntryMax, (index) => unfinished?.isFirstSkipped(index) === true);
  searchHistories(judge.operations);
}

/** What can execute all that is ordered. */
function newestOf(replicas: readonly SimReplica[]): LowLevelMachine {
  return replicas.map(({ machine }) => machine).reduce((one, other) => (other.version > one.version ? other : one));
}

function checkAudits(replicas: readonly SimReplica[]): void {
  for (const { id, opened } of replicas) {
    const [first] = opened?.executor.audits.table.state.findings ?? [];
    must(first === undefined, "V26", () => {
      return `by ${id}, at ${first?.index} ${first?.agreeing.join(", ") || "nobody"} had the same, and ${first?.differing.join(", ")} not`;
    });
  }
}

function checkDisks(replicas: readonly SimReplica[]): void {
  for (const { id, isUp, rememberedBy } of replicas) {
    if (!isUp) continue;
    for (const { id: other, process, opened } of replicas) {
      const remembers = opened !== undefined && rememberedBy.get(other) === process;
      const isHeard = remembers && opened.core.engine.connected.includes(id);
      must(
        !isHeard,
        "V23",
        () => `${other} still hears ${id}, whose disk is an older copy of the one that ${other} knew`,
      );
    }
  }
}
