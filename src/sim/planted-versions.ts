/**
 * The part of the planted bugs that is about versions of the machine: which one executes, from which entry on (hazard N6).
 *
 * Owns: a part of the table in `planted-table.ts`, which alone uses it.
 */
import type { PlantedBug } from "./planted-bugs.js";

export const plantedInVersions: readonly PlantedBug[] = [
  {
    id: "N6-some",
    hazard: "a version starts once those who tell can run it, whoever does not tell",
    file: "execution/versions.js",
    from: "const members = membersOf(membership); const [first",
    to: "const members = membersOf(membership).filter((member) => this.#offeredBy(member) !== undefined); const [first",
    options: { operations: 200, faults: ["upgrade"] },
  },
  {
    id: "N6-offer",
    hazard: "what a replica can run is told once, and never again if that was lost on its way",
    file: "replica/version-keeper.js",
    from: "|| now - this.#offeredAt < againMs)",
    to: "|| this.#offeredAt > -Infinity)",
    options: { operations: 200, faults: ["upgrade", "kill", "partition"] },
  },
];
