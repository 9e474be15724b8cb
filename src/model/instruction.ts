/**
 * What an operator may tell a cluster to do, and why it may be refused.
 *
 * Owns: the words. Leaves to others: who decides (`consensus/`, at the leader), how they travel (`wire/instruction-codec.ts`).
 */
import type { ReplicaId } from "./ids.js";

export type Instruction =
  /** Hand leadership over: to this voter, or to the one that lacks least. */
  | { readonly kind: "transfer"; readonly to: ReplicaId | undefined }
  /** Take a checkpoint now: done when the entry that says so is in the leader's log. */
  | { readonly kind: "checkpoint" }
  /** Done when the new members alone decide. */
  | { readonly kind: "change"; readonly change: MembershipChange }
  /** The members after this epoch, signed by the administrator (`wire/successor-codec.ts`). Done when it is decided. Under Byzantine faults. */
  | { readonly kind: "reconfigure"; readonly signed: Uint8Array };

export type MembershipChange =
  | MemberChange
  /** All of them with the same entry, in this order: they count together, or none does. At least one. */
  | { readonly kind: "several"; readonly changes: readonly MemberChange[] };

export type MemberChange =
  /** `joining` becomes a voter by itself once it lacks little; a learner never does. */
  | {
      readonly kind: "add";
      readonly id: ReplicaId;
      readonly peer: string;
      readonly client: string;
      readonly role: "joining" | "learner";
    }
  /** The same id with another, empty data directory, perhaps elsewhere: the old one is never heard again. */
  | { readonly kind: "replace"; readonly id: ReplicaId; readonly peer: string; readonly client: string }
  /** A learner becomes a voter, if it lacks little of the log. */
  | { readonly kind: "promote"; readonly id: ReplicaId }
  | { readonly kind: "remove"; readonly id: ReplicaId };

export function changesOf(change: MembershipChange): readonly MemberChange[] {
  return change.kind === "several" ? change.changes : [change];
}

export function describeChange(change: MembershipChange): string {
  return changesOf(change)
    .map(({ kind, id }) => `${kind} ${id}`)
    .join(", ");
}

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
  "ALREADY_A_MEMBER",
  "NOT_A_MEMBER",
  "TOO_MANY_MEMBERS",
  /** A cluster without a voter could never decide again. */
  "LAST_VOTER",
  /** The learner lacks too much of the log, or is not heard: as a voter it would hold the others up (hazard M5). */
  "NOT_CLOSE",
  /** Less than a majority of the voters after the change is heard: nothing could be decided (hazards M4, M5). */
  "NO_QUORUM",
  /** Under Byzantine faults the members are fixed, where no administrator is configured who could change them. */
  "FIXED_MEMBERS",
  /** Under Byzantine faults a change is what the administrator has signed. */
  "NOT_SIGNED",
  /** What is signed is of another epoch than that of the members now. */
  "OTHER_EPOCH",
  "NOTHING_CHANGES",
  /** Four replicas tolerate one that lies, fewer none. */
  "TOO_FEW_MEMBERS",
  /** More than may lie would leave or be new. */
  "TOO_MANY_CHANGES",
  /** Under Byzantine faults primaries take turns. */
  "FIXED_ORDER",
  /** Members are changed by the leader, not by what an administrator signs. */
  "NOT_UNDER_CRASH_FAULTS",
] as const;

export type InstructionRefusal = (typeof instructionRefusals)[number];

/** How an instruction ended: `unknown` if the leader that carried it out leads no more, so a later look must tell. */
export type InstructionOutcome = "done" | "unknown" | InstructionRefusal;
