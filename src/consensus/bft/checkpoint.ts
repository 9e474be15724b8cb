/**
 * Checkpoints (section 4.3): a quorum that has the same state after the same index lets everybody forget what led there.
 *
 * Owns: the CHECKPOINT statements, the stable checkpoint and the water marks with it, and knowing that this replica is behind.
 * Leaves to others: taking, keeping and fetching states. Called by `step.ts`, `new-view.ts`, `status.ts`.
 */
import { invariant } from "../../base/invariant.js";
import { advance, type LogIndex } from "../../model/ids.js";
import { administrator } from "../../model/membership.js";
import { isCheckpointCertificate, isSameCheckpoint } from "./certificate.js";
import { beginEpoch } from "./epoch.js";
import type { Checkpoint, CheckpointCertificate, Digest, Ending, Signed } from "./messages.js";
import { forgetWaiting, waitAnew } from "./suspicion.js";
import { highMark, isLast, isMember, learnEnding, type BftState } from "./state.js";
import { accuse, record, type Turn } from "./turn.js";

/** The state after `index` is durable here, and has this digest. */
export function onCheckpointed(state: BftState, turn: Turn, index: LogIndex, digest: Digest): void {
  // A fetched one is durable before it is installed.
  if (index <= state.stable.index) return;
  invariant(index <= state.committed, "BF5 only what is decided is in a checkpoint");
  if (!isMember(state)) return;
  const { epoch, ending } = state;
  const isDecided = ending !== undefined && ending.at <= index;
  const statement: Checkpoint = { kind: "Checkpoint", index, digest, ...(isDecided ? { ending } : {}) };
  turn.others.push({ kind: "say", say: { epoch, statement } });
}

/**
 * Votes far above our own marks count too: a replica that slept must learn where the others are. Of each sender only the newest are
 * kept, so what one sender makes up takes the place of its own alone (hazards B10 and B22).
 */
export function onCheckpoint(state: BftState, turn: Turn, checkpoint: Signed<Checkpoint>): void {
  const { index, digest } = checkpoint.statement;
  if (index <= state.stable.index) return;
  const votes = state.checkpoints.get(checkpoint.by) ?? new Map<LogIndex, Signed<Checkpoint>>();
  state.checkpoints.set(checkpoint.by, votes);
  const known = votes.get(index);
  if (known !== undefined) {
    if (!isSameCheckpoint(known.statement, checkpoint.statement)) accuse(state, turn, known, checkpoint);
    return;
  }
  votes.set(index, checkpoint);
  const limit = Math.ceil(state.settings.windowCount / state.settings.checkpointInterval) + 1;
  if (votes.size > limit) votes.delete(Math.min(...votes.keys()) as LogIndex);
  const equal = equalCheckpoints(state, checkpoint.statement);
  if (equal.length >= state.quorum) {
    const { ending } = checkpoint.statement;
    onStable(state, turn, { index, digest, ...(ending && { ending }), checkpoints: equal.slice(0, state.quorum) });
  }
}

function equalCheckpoints(state: BftState, statement: Checkpoint): readonly Signed<Checkpoint>[] {
  const equal: Signed<Checkpoint>[] = [];
  for (const votes of state.checkpoints.values()) {
    const vote = votes.get(statement.index);
    if (vote !== undefined && isSameCheckpoint(vote.statement, statement)) equal.push(vote);
  }
  return equal;
}

/** The certificate, from votes or from another replica, moves the water marks, whether the state is here yet or not. */
export function onStable(state: BftState, turn: Turn, certificate: CheckpointCertificate): void {
  if (certificate.index <= state.stable.index || !isCheckpointCertificate(state, certificate)) return;
  if (isLast(state, certificate)) beginEpoch(state, turn, { epoch: state.epoch + 1, certificate });
  else {
    record(state, turn, { kind: "stable", certificate });
    // An epoch ends a window after a change, and each checkpoint on the way is a step there.
    waitAnew(state, turn.now, administrator);
  }
}

/** The state after `index` was installed, durably, against the certificate. `configured`: see `BftOptions`. */
export function onInstalled(state: BftState, index: LogIndex, configured: Ending | undefined): void {
  if (index <= state.committed) return;
  state.committed = index;
  learnEnding(state, configured);
  forgetWaiting(state);
}

/** Behind the stable checkpoint, and nothing has come for a while that would close the gap. */
export function fetchIfBehind(state: BftState, turn: Turn): void {
  const { stable, committed, committedAtStatus } = state;
  state.committedAtStatus = committed;
  if (committed < stable.index && committed === committedAtStatus) {
    turn.others.push({ kind: "fetchCheckpoint", certificate: stable });
  }
}

/** Own statements of what is not stable yet, for one who may lack them. */
export function unstableCheckpoints(state: BftState): readonly Signed<Checkpoint>[] {
  return [...(state.checkpoints.get(state.self)?.values() ?? [])].filter(
    ({ statement }) => statement.index <= advance(highMark(state), state.settings.windowCount),
  );
}
