/**
 * Of two processes with one identity, the one that is not known is heard by nobody (rule V23, hazards M9 and M10).
 *
 * Owns: what is looked at. Called by `world.ts`, now and then.
 */
import type { ReplicaId } from "../../model/ids.js";
import type { SimOpened } from "../opened.js";
import type { SimReplica } from "../sim-replica.js";
import { must } from "./violation.js";

export function checkCopies(id: ReplicaId, { core }: SimOpened, replicas: readonly SimReplica[]): void {
  for (const { id: other, copy } of replicas) {
    if (copy?.name === undefined) continue;
    const heard = core.engine.lives.get(other)?.process;
    must(heard !== copy.name, "V23", () => `${id} hears a copy of the disk of ${other}, and knew the one that runs`);
  }
}
