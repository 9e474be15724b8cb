/**
 * What Byzantine replicas do, by name: each takes what a correct core would send and sends something else, signed with its own key.
 *
 * Owns: the list of all. A liar's core runs correctly beneath, so it knows what would deceive best. Leaves to others: the behaviours,
 * by what they attack (`bft-liars/`), who lies, and that no correct replica's key is at a liar's hand (`bft-crypto.ts`).
 */
import type { Liar } from "./bft-cluster.js";
import { changingViews } from "./bft-liars/changing-views.js";
import { colluding } from "./bft-liars/colluding.js";
import type { LiarKind, LiarKinds } from "./bft-liars/lies.js";
import { proposingLiars } from "./bft-liars/proposing.js";
import { telling } from "./bft-liars/telling.js";
import { timing } from "./bft-liars/timing.js";
import { voting } from "./bft-liars/voting.js";

const families: readonly LiarKinds[] = [voting, proposingLiars, changingViews, telling, timing, colluding];

export const liars: readonly (LiarKind & { readonly name: string })[] = families.flatMap((family) =>
  Object.entries(family).map(([name, kind]) => ({ name, ...kind })),
);

export function liarNamed(name: string): Liar {
  const kind = liars.find((each) => each.name === name);
  if (kind === undefined) throw new Error(`no liar is ${name}`);
  return { name, ...kind.make() };
}
