/**
 * What holds between any two steps of one correct replica, whatever the others do.
 *
 * Owns: the rules over the whole state. Those that belong to one change stand where it is made (`state.ts`, `checkpoint.ts`). Rules
 * that need every replica (agreement, validity) are checked by the tests' clusters.
 */
import { invariant } from "../../base/invariant.js";
import { isPrimary, highMark, type BftState } from "./state.js";

export function checkBftInvariants(state: BftState): void {
  const { slots, settings, view, isChanging } = state;
  invariant(slots.size <= 3 * settings.windowCount, "BF6 slots are kept for three windows at most");
  invariant(state.viewChanges.size <= state.replicas.length, "BF7 one view change is kept of each replica");
  if (!isChanging && isPrimary(state))
    invariant(state.proposed <= highMark(state), "BF8 a primary stays in its window");
  if (!isChanging)
    invariant(view === 0 || state.newView?.statement.view === view, "BF9 a view is entered by its beginning");
}
