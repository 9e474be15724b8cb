/**
 * What replicas say to one another about damaged entries.
 *
 * Owns: the shapes. Leaves to others: their bytes (`wire/repair-codec.ts`), who asks whom and when (`replica/repair.ts`).
 */
import type { Entry } from "./entry.js";
import type { LogIndex } from "./ids.js";
import type { DamagedEntry } from "./log.js";

export type RepairMessage =
  /** "My copy of this entry is damaged; its name survives. Have you a whole one?" */
  | { readonly kind: "repairRequest"; readonly wanted: DamagedEntry }
  | { readonly kind: "repairReply"; readonly entry: Entry }
  /** The sender has no entry of that name, or its own copy is damaged too. */
  | { readonly kind: "repairAbsent"; readonly index: LogIndex };
