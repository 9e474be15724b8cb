/**
 * The next version of a machine, for runs in which replicas are upgraded.
 *
 * Owns: making one that does what the version before does, so that every judge goes on as before. Leaves to others: who is given it and
 * when (`nemesis.ts`), when it starts (the product). Called by `simulate.ts`.
 */
import type { LowLevelMachine } from "../api/low-level.js";

export function nextOf(machine: LowLevelMachine): LowLevelMachine {
  return {
    ...machine,
    open: (environment) => machine.open(environment),
    admit: (name, input) => machine.admit(name, input),
    version: machine.version + 1,
    previous: machine,
    migrate: (_environment, instance) => ({ status: "migrated", instance }),
  };
}
