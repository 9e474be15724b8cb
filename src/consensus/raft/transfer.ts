/**
 * Handing leadership over on purpose (thesis, section 3.10).
 *
 * Owns: choosing the target, bringing it up to date, the offer, giving up. Leaves to others: what the target does with the offer
 * (`election.ts`). Called by `step.ts`. Hazards E14 and E15: nothing is appended while a transfer goes on, so the target that was
 * offered leadership has the whole log; what is proposed meanwhile is kept and appended if the leader goes on.
 */
import type { ReplicaId } from "../../model/ids.js";
import { logSpaces } from "../../model/log.js";
import type { ResignReason } from "../../model/resignation.js";
import { isChanging } from "./configuration.js";
import type { Follower } from "./progress.js";
import { onPropose, type Leading } from "./replication.js";
import type { InstructionOutcome } from "../../model/instruction.js";
import { stepDown } from "./roles.js";
import { canRelieve } from "./space.js";
import { stallOf } from "./stall.js";
import { isSettled, isVoter } from "./state.js";
import { send } from "./turn.js";

/** Leadership goes by priority only to a voter that lacks no more entries than this. */
const lagMax = 128;

/** `instruction` is answered when the transfer has ended; undefined if nobody asked for it. */
export function beginTransfer(leading: Leading, to: ReplicaId | undefined, instruction: number | undefined): void {
  const { state, role, turn } = leading;
  if (role.transfer !== undefined || isChanging(state)) return answer(leading, instruction, "BUSY");
  const target = to === state.self ? undefined : bestTarget(leading, to);
  if (target === undefined) return answer(leading, instruction, to === state.self ? "done" : "NO_TARGET");
  const deadline = turn.now + state.settings.electionTimeoutMsMax;
  role.transfer = { target: target.id, instruction, deadline, isOffered: false, held: [] };
}

/** Offers leadership as soon as the target has everything, or gives up when it is time. */
export function advanceTransfer(leading: Leading): void {
  const { state, role, turn } = leading;
  const { transfer } = role;
  if (transfer === undefined) return;
  if (turn.now >= transfer.deadline) return giveUp(leading);
  const match = role.followers.get(transfer.target)?.progress.match;
  if (transfer.isOffered || match !== state.log.lastIndex) return;
  transfer.isOffered = true;
  role.lease.isDropped = true;
  send(turn, transfer.target, { kind: "TimeoutNow", term: state.term });
}

/** The link to a peer broke: if leadership was on its way there, nobody is to wait for it. */
export function onTargetLost(leading: Leading, peer: ReplicaId): void {
  if (leading.role.transfer?.target === peer) giveUp(leading);
}

function giveUp(leading: Leading): void {
  const { role } = leading;
  const { transfer } = role;
  if (transfer === undefined) return;
  role.transfer = undefined;
  if (transfer.instruction === undefined) role.hasFailedToHandOver = true;
  const { reason } = role.resigning ?? {};
  if (reason === "space" || reason === "priority") role.resigning = undefined;
  onPropose(leading, transfer.held);
  answer(leading, transfer.instruction, "NOT_TAKEN");
}

/**
 * On each tick: a leader that cannot do its work makes way, for a voter that it can offer leadership to, else for whoever stands. One whose
 * disk is full makes way for a voter with space alone, any other for one of a higher priority.
 */
export function resignDue(leading: Leading): void {
  const { state, role, turn } = leading;
  if (state.voters.length === 1 || role.transfer !== undefined) return;
  const stall = stallOf(state, turn.now, state.isExecutionStalled);
  if (stall === undefined && state.space === "ample") role.resigning = undefined;
  if (stall !== undefined) return resign(leading, stall);
  if (!isSettled(state) || isChanging(state) || turn.now < role.handOverAt) return;
  if (state.space === "ample") return handOver(leading, preferred(leading), "priority");
  const target = bestTarget(leading, undefined);
  handOver(leading, target !== undefined && canRelieve(state, target) ? target : undefined, "space");
}

/** By this leader's choice: it goes on if leadership is not taken, and does not offer it again for a while. */
function handOver(leading: Leading, target: Follower | undefined, reason: ResignReason): void {
  const { state, role, turn } = leading;
  if (target === undefined) return;
  const { electionTimeoutMsMax, priorityStableMs } = state.settings;
  role.handOverAt = turn.now + (reason === "space" ? 2 * electionTimeoutMsMax : priorityStableMs);
  role.resigning = { reason, term: state.term };
  beginTransfer(leading, target.id, undefined);
}

/**
 * The voter of the highest priority above the own that can lead and lacks little, once this leader has led for a while: so that one which
 * comes and goes does not take leadership along each time. Elections do not look at priorities, so none is held up by them.
 */
function preferred(leading: Leading): Follower | undefined {
  const { state, role, turn } = leading;
  const { priority, priorityStableMs } = state.settings;
  if (turn.now - role.since < priorityStableMs) return undefined;
  let best: Follower | undefined;
  for (const follower of role.followers.values()) {
    const isHigher = follower.priority > (best?.priority ?? priority);
    if (isHigher && canRelieve(state, follower) && isClose(leading, follower)) best = follower;
  }
  return best;
}

function isClose({ state, turn }: Leading, { progress, contactAt }: Follower): boolean {
  return progress.match + lagMax >= state.log.lastIndex && contactAt >= turn.now - state.settings.electionTimeoutMsMin;
}

/** Leadership is offered once: if it is not taken, this replica follows whoever is elected. */
function resign(leading: Leading, reason: ResignReason): void {
  const { state, role, turn } = leading;
  const wasOffered = role.resigning?.reason === reason;
  role.resigning = { reason, term: state.term };
  if (!wasOffered) beginTransfer(leading, undefined, undefined);
  if (role.transfer === undefined) stepDown(state, turn);
}

/** A voter whose link is open and who answered within the shortest time-out; of several one with space on its disk, then the one that lacks least. */
export function bestTarget({ state, role, turn }: Leading, to: ReplicaId | undefined): Follower | undefined {
  const since = turn.now - state.settings.electionTimeoutMsMin;
  let best: Follower | undefined;
  for (const follower of role.followers.values()) {
    if (to !== undefined && follower.id !== to) continue;
    if (!isVoter(state, follower.id) || state.unreachable.has(follower.id) || follower.contactAt < since) continue;
    if (to === undefined && follower.priority === 0) continue;
    if (best === undefined || isBetter(follower, best)) best = follower;
  }
  return best;
}

function isBetter(one: Follower, other: Follower): boolean {
  if (one.space !== other.space) return logSpaces.indexOf(one.space) < logSpaces.indexOf(other.space);
  return one.progress.match > other.progress.match;
}

function answer({ turn }: Leading, id: number | undefined, outcome: InstructionOutcome): void {
  if (id !== undefined) turn.answers.push({ kind: "instructed", id, outcome });
}
