/**
 * Bugs that are planted to show that a sweep would find them: each changes one decision of the product's compiled code.
 *
 * Owns: the form of an entry of the table (`planted-table.ts`), and changing the one place in a text. Nothing of it is in the product: a copy of the build is changed
 * (`server/sim/planted-tree.ts`). Called by `quorate sim --planted`.
 */
import type { FaultModel } from "../api/config.js";

export interface PlantedBug {
  readonly id: string;
  /** What goes wrong, in words. */
  readonly hazard: string;
  /** Relative to `dist`. */
  readonly file: string;
  /** Is in the file exactly once, whatever its white space looks like there. */
  readonly from: string;
  readonly to: string;
  /** What makes it show sooner than the usual options; those that are given on the command line go before. */
  readonly options?: {
    readonly model?: FaultModel;
    readonly replicas?: number;
    readonly clients?: number;
    readonly operations?: number;
    readonly faults?: readonly string[];
    readonly untilMs?: number;
  };
}

export type Planted =
  | { readonly kind: "planted"; readonly code: string }
  /** Why it cannot be done, as a sentence. */
  | { readonly kind: "refused"; readonly reason: string };

/** The code with the bug in it. A run of white space in `from` stands for any other. */
export function plant({ id, file, from, to }: PlantedBug, code: string): Planted {
  const words = from.trim().split(/\s+/);
  const pattern = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("\\s+");
  const places = [...code.matchAll(new RegExp(pattern, "g"))];
  if (places.length === 1) return { kind: "planted", code: code.replace(new RegExp(pattern), () => to) };
  return {
    kind: "refused",
    reason: `Cannot plant ${id}: ${places.length} places in ${file} say "${words.join(" ")}", and it must be one`,
  };
}
