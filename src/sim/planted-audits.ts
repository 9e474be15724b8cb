/**
 * The part of the planted bugs that is about audits: digests that say something else than what a replica has (hazards N8 to N10).
 *
 * Owns: a part of the table in `planted-table.ts`, which alone uses it.
 */
import type { PlantedBug } from "./planted-bugs.js";

export const plantedInAudits: readonly PlantedBug[] = [
  {
    id: "N10-rollback",
    hazard: "a command that is undone leaves its changes in the digest of the state",
    file: "collections/hash-trie.js",
    from: "this.#sum.set(snapshot.fingerprint);",
    to: "",
    options: { faults: ["crash"] },
  },
  {
    id: "N10-outputs",
    hazard: "a checkpoint is installed without the running digest of outputs",
    file: "execution/audits.js",
    from: "this.#outputs = audits.outputs;",
    to: "",
    options: { faults: ["crash"] },
  },
  {
    id: "N10-positions",
    hazard: "a checkpoint is installed without what decides the next position that is compared",
    file: "execution/audits.js",
    from: "this.table.replace(audits.state);",
    to: "",
    options: { faults: ["crash"] },
  },
  {
    id: "N10-sessions",
    hazard: "a session that has ended stays in the digest of sessions",
    file: "execution/session-table.js",
    from: "this.#fingerprint.removed(session);",
    to: "",
    options: { faults: ["crash"] },
  },
  {
    id: "N10-changed",
    hazard: "what was the newest at the last look is not mixed again when it has changed where it is",
    file: "execution/age-fingerprint.js",
    from: "thing.stamp >= this.#seen",
    to: "thing.stamp > this.#seen",
    options: { faults: ["crash"] },
  },
];
