/**
 * The log without its beginning: compaction, and followers that are too far behind it (section 7).
 *
 * Owns: what a checkpoint means to the log. Leaves to others: making, certifying and fetching checkpoints (`replica/`), what a leader sends
 * (`replication.ts`). Called by `step.ts`. A checkpoint is of decided entries, so it never contradicts a log up to the commit index;
 * one that comes late changes nothing (hazard S1), and one whose last entry is not in the log replaces all of it (hazard S2).
 */
import type { EntryId } from "../../model/entry.js";
import { advance, maxIndex, minIndex, type LogIndex, type ReplicaId } from "../../model/ids.js";
import type { Input } from "../vocabulary.js";
import { forgetConfigurations, resetConfigurations } from "./configuration.js";
import { reportMatch } from "./follower.js";
import type { InstallSnapshot } from "./messages.js";
import { onPropose, type Leading } from "./replication.js";
import { adoptTerm, follow } from "./roles.js";
import type { RaftState } from "./state.js";
import { resetLog, send, type Turn } from "./turn.js";

const noPayload = new Uint8Array(0);

/** An operator wants one now: its place in the order is the same for every replica. */
export function onCheckpointAsked(leading: Leading, instruction: number): void {
  const { state, turn } = leading;
  onPropose(leading, [{ kind: "checkpoint", time: state.log.lastTime, payload: noPayload }]);
  turn.answers.push({ kind: "instructed", id: instruction, outcome: "done" });
}

/**
 * Behind a checkpoint that a follower fetches, the log is kept for as many later ones: otherwise what follows its checkpoint would be gone
 * when it has it, and where checkpoints are taken faster than one travels it would fetch for ever.
 */
const keptForFollowers = 4;

/** A certified checkpoint is durable here. */
export function onCheckpointed(state: RaftState, checkpoint: EntryId, now: number): void {
  if (checkpoint.index <= state.checkpoint.index || checkpoint.index > state.commitIndex) return;
  const keptMax = keptForFollowers * (checkpoint.index - state.checkpoint.index);
  state.checkpoint = checkpoint;
  // What is not durable here yet is still being written.
  const unneeded = minIndex(checkpoint.index, state.writes.durableIndex);
  state.log.compactTo(minIndex(unneeded, maxIndex(haveBy(state, now), advance(checkpoint.index, -keptMax))));
  forgetConfigurations(state, checkpoint.index);
}

/** Every follower that is heard of has it, or is fetching a checkpoint of it. A leader without space keeps nothing for them. */
function haveBy({ role, space, checkpoint, settings }: RaftState, now: number): LogIndex {
  let index = checkpoint.index;
  if (role.kind !== "leader" || space !== "ample") return index;
  for (const { progress, contactAt } of role.followers.values()) {
    if (now - contactAt > settings.electionTimeoutMsMax) continue;
    index = minIndex(index, progress.mode === "snapshot" ? progress.next : progress.match);
  }
  return index;
}

/** The state of a checkpoint was installed in place of everything that was executed before. */
export function onInstalled(
  state: RaftState,
  turn: Turn,
  { checkpoint, time, configuration }: Extract<Input<never>, { readonly kind: "installed" }>,
): void {
  if (checkpoint.index <= state.commitIndex) return;
  if (checkpoint.term > state.term) adoptTerm(state, turn, checkpoint.term);
  // What follows an entry that is there may be acknowledged: it stays.
  if (!state.log.has(checkpoint)) {
    resetLog(state, turn, { id: checkpoint, time });
    resetConfigurations(state, configuration);
    state.checkpoint = checkpoint;
  }
  state.commitIndex = checkpoint.index;
  if (state.role.kind !== "follower") return;
  state.role.verified = maxIndex(state.role.verified, checkpoint.index);
  if (state.role.leader !== undefined) reportMatch({ state, role: state.role, turn }, state.role.round);
}

export function onInstallSnapshot(state: RaftState, from: ReplicaId, message: InstallSnapshot, turn: Turn): void {
  const { term } = state;
  const { round, last } = message;
  if (message.term < term) {
    return send(turn, from, { kind: "AppendEntriesReply", term, round, outcome: { kind: "outdated" } });
  }
  follow(state, turn, from);
  const { role, log } = state;
  if (role.kind !== "follower" || state.trust === "amnesiac") return;
  if (log.has(last)) {
    role.verified = maxIndex(role.verified, last.index);
    state.commitIndex = maxIndex(state.commitIndex, last.index);
  } else turn.sends.push({ kind: "fetchCheckpoint", from, checkpoint: last });
  reportMatch({ state, role, turn }, round);
}
