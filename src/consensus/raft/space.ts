/**
 * A full disk in a group (hazard D12): when a leader takes nothing more for clients.
 *
 * Owns: that decision. Leaves to others: noticing (`storage/log-writer.ts`), refusing (`admission/intake.ts`), what a full follower takes
 * (`follower.ts`), handing over (`transfer.ts`). Called by `turn.ts`.
 *
 * A leader begins nothing for clients when its log has only its reserve left, or a majority's have. What is under way then is still
 * taken everywhere, up to half of the reserve; the other half is for whatever lets the group go on: the entry that opens a term, other
 * members, reports that let a checkpoint free log. Votes need no space. A leader without space hands over to a voter that has some; if
 * there is none it leads on, answers reads and refuses commands.
 */
import { minIndex, type ReplicaId } from "../../model/ids.js";
import type { LogSpace } from "../../model/log.js";
import { isMajority } from "../quorum.js";
import type { Follower } from "./progress.js";
import { isVoter, type LeaderRole, type RaftState } from "./state.js";

/**
 * What a leader does with what is for clients. `hold`: another voter may have space, and is about to take over. `refuse`: no majority has
 * space, or this leader has none and nobody takes over.
 */
export function intakeOf(state: RaftState, role: LeaderRole): "take" | "hold" | "refuse" {
  const isShort = state.space !== "ample";
  if (!isShort && !isAnyShort(role)) return "take";
  const hasSpace = (id: ReplicaId): boolean =>
    id === state.self ? !isShort : role.followers.get(id)?.space === "ample";
  if (!isMajority(state.voterSets, hasSpace)) return "refuse";
  if (!isShort) return "take";
  const hasRelief = [...role.followers.values()].some((follower) => canRelieve(state, follower));
  return hasRelief && !role.hasFailedToHandOver ? "hold" : "refuse";
}

/** From now on. By the time that a leader hands over it has heard how it is with the others. */
export function onSpace(state: RaftState, space: LogSpace, now: number): void {
  const { role, settings } = state;
  if (role.kind === "leader" && state.space === "ample") {
    role.handOverAt = Math.max(role.handOverAt, now + 2 * settings.heartbeatMs);
    role.hasFailedToHandOver = false;
  }
  state.space = space;
  // What is kept for followers alone.
  if (space !== "ample") state.log.compactTo(minIndex(state.checkpoint.index, state.writes.durableIndex));
}

/** It has space, can lead, and is not known to lack much. */
export function canRelieve(state: RaftState, { id, space, priority, progress }: Follower): boolean {
  return (
    space === "ample" &&
    priority > 0 &&
    progress.mode === "replicate" &&
    isVoter(state, id) &&
    !state.unreachable.has(id)
  );
}

function isAnyShort({ followers }: LeaderRole): boolean {
  for (const { space } of followers.values()) if (space !== "ample") return true;
  return false;
}
