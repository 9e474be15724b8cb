/**
 * What Byzantine replicas do, by name: each takes what a correct core would send and sends something else, signed with its own key.
 *
 * Owns: the list of all. A liar's core runs correctly beneath, so it knows what would deceive best. Leaves to others: the behaviours,
 * by what they attack (beside it), who lies, and that no correct replica's key is at a liar's hand (`../byzantine.ts`).
 */
import type { Liar } from "./liar.js";
import { changingViews } from "./changing-views.js";
import { colluding } from "./colluding.js";
import type { LiarKind, LiarKinds } from "./lies.js";
import { proposingLiars } from "./proposing.js";
import { telling } from "./telling.js";
import { timing } from "./timing.js";
import { voting } from "./voting.js";

const families: readonly LiarKinds[] = [voting, proposingLiars, changingViews, telling, timing, colluding];

export const liars: readonly (LiarKind & { readonly name: string })[] = families.flatMap((family) =>
  Object.entries(family).map(([name, kind]) => ({ name, ...kind })),
);

export function liarNamed(name: string): Liar {
  const kind = liars.find((each) => each.name === name);
  if (kind === undefined) throw new Error(`no liar is ${name}`);
  return { name, ...kind.make() };
}
