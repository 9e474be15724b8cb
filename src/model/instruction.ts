/**
 * What an operator may tell a cluster to do, and why it may be refused.
 *
 * Owns: the words. Leaves to others: who decides (`consensus/`, at the leader), how they travel (`wire/instruction-codec.ts`).
 */
import type { ReplicaId } from "./ids.js";

export type Instruction =
  /** Hand leadership over: to this voter, or to the one that lacks least. */
  { readonly kind: "transfer"; readonly to: ReplicaId | undefined };

/** A refusal: nothing was changed. */
export const instructionRefusals = [
  /** The replica that was asked does not lead, and knows nobody who does. */
  "NO_LEADER",
  /** Another instruction is being carried out, or the leader is new and has not settled earlier terms yet (hazards M1, M7). */
  "BUSY",
  /** No such voter that could lead now. */
  "NO_TARGET",
  /** Leadership was offered and not taken within an election time-out; the leader goes on. */
  "NOT_TAKEN",
] as const;

export type InstructionRefusal = (typeof instructionRefusals)[number];

/** How an instruction ended: `unknown` if the leader that carried it out leads no more, so a later look must tell. */
export type InstructionOutcome = "done" | "unknown" | InstructionRefusal;
