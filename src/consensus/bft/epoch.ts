/**
 * Epochs: the members, from one stable checkpoint to another (section "Changing the members" of `docs/internals/bft.md`).
 *
 * Owns: whether a decided change of members counts, beginning the next epoch, and telling those who are behind. Leaves to
 * others: who may ask for a change, what members are (opaque here), and when an epoch is over (`checkpoint.ts`).
 */
import type { LogIndex, ReplicaId } from "../../model/ids.js";
import { administrator, byzantineMembersMin, liarsMaxOf } from "../../model/membership.js";
import { isCheckpointCertificate } from "./certificate.js";
import type { Batch, CheckpointCertificate, Successor } from "./messages.js";
import { isLast, lastOf, slotAt, type BftState, type Handover } from "./state.js";
import { onEntered, waitAnew } from "./suspicion.js";
import { record, type Turn } from "./turn.js";

/**
 * It was decided, and is handed over: the first change that may be made ends the epoch, the same on every replica. Whoever lags may know it
 * already, by a checkpoint above it.
 */
export function considerChange(state: BftState, at: LogIndex, { reconfiguration }: Batch): void {
  if (at === lastOf(state)) slotAt(state, at).turning = "last";
  if (state.ending === undefined && reconfiguration?.epoch === state.epoch) {
    const { successor } = reconfiguration;
    if (objectionTo(state, successor) === undefined) state.ending = { at, successor };
  }
  if (state.ending?.at === at) slotAt(state, at).turning = "change";
}

/** Why members may not follow those of this epoch. */
export type ChangeObjection = "none change" | "too few" | "too many leave" | "too many are new";

/**
 * As many may leave as may lie, and as many of the new ones may be new as may lie among them. So those who stay decide among themselves
 * until the new ones have the state, and one of them at least is correct and has it.
 */
export function objectionTo(
  { replicas, keys, faults }: Pick<BftState, "replicas" | "keys" | "faults">,
  { members }: Pick<Successor, "members">,
): ChangeObjection | undefined {
  const isIn = (id: ReplicaId, key: string): boolean =>
    members.some((member) => member.id === id && member.key === key);
  const leaving = replicas.filter((id) => !isIn(id, keys.get(id) ?? "")).length;
  const coming = members.filter(({ id, key }) => !replicas.includes(id) || key !== (keys.get(id) ?? "")).length;
  if (leaving + coming === 0) return "none change";
  if (members.length < byzantineMembersMin) return "too few";
  if (leaving > faults) return "too many leave";
  return coming > liarsMaxOf(members.length) ? "too many are new" : undefined;
}

export function beginEpoch(state: BftState, turn: Turn, { epoch, certificate }: Handover): void {
  record(state, turn, { kind: "epoch", epoch, certificate });
  turn.epoch = epoch;
  onEntered(state, turn.now);
  state.bestPaces = [];
  // A change that came too late is of no epoch any more.
  state.waiting.delete(administrator);
  waitAnew(state, turn.now);
  const { ending } = certificate;
  if (ending !== undefined) turn.others.push({ kind: "epoch", epoch, successor: ending.successor });
}

/** A replica that joins is told how an epoch of which it is a member begins, by a quorum of those whom it knows. */
export function onHandover(state: BftState, turn: Turn, epoch: number, certificate: CheckpointCertificate): void {
  if (state.epoch >= 0 || epoch <= 0 || !isCheckpointCertificate(state, certificate)) return;
  const isNamed = certificate.ending?.successor.members.some(({ id }) => id === state.self) === true;
  if (isNamed && isLast(state, certificate)) beginEpoch(state, turn, { epoch, certificate });
}

/** For a member that joins: the beginning of the first epoch of those in which it is one now, by its name and key. */
export function welcomeOf({ handovers }: BftState, id: ReplicaId): Handover | undefined {
  const keyIn = (handover: Handover | undefined): string | undefined =>
    handover?.certificate.ending?.successor.members.find((member) => member.id === id)?.key;
  const now = keyIn(handovers.at(-1));
  if (now === undefined) return undefined;
  return handovers.findLast((handover, at) => keyIn(handover) === now && keyIn(handovers[at - 1]) !== now);
}

/** For one who speaks of this epoch, which is over here: how it ended. */
export function endOf({ handovers }: BftState, epoch: number): Handover | undefined {
  return handovers.find((handover) => handover.epoch === epoch + 1);
}
