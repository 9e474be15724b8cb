/**
 * One step in the making: what it will ask of the world, collected and then put in order.
 *
 * Owns: one write for a step, and that every statement which rests on it travels inside (C1). A replica's own statement is not
 * counted here when it is made: whoever hosts the core signs it once the write is durable, sends it to all others, and hands it back
 * like anyone else's. So nothing is counted that a crash could make us forget, and signatures need not be made within a step.
 */
import type { LogIndex, ReplicaId } from "../../model/ids.js";
import type { CoreEffect } from "../vocabulary.js";
import type { Batch, BftMessage, CheckpointCertificate, Signed, Statement, Successor } from "./messages.js";
import { isPrimary, primaryOf, remember, type BftRecord, type BftRole, type BftState } from "./state.js";

/** To be signed, sent to all others as it is or as PRE-PREPARE with its batch, and received here as well. */
export interface Say {
  /** The statement is of this epoch: in another one it is not said any more. */
  readonly epoch: number;
  readonly statement: Statement;
  readonly batch?: Batch | undefined;
}

/** Two statements that no correct replica makes both; each is signed by `by`. */
export interface Evidence {
  readonly by: ReplicaId;
  readonly first: Signed;
  readonly second: Signed;
}

/** Writes become durable in the order of their ids. */
interface BftWrite {
  readonly id: number;
  readonly records: readonly BftRecord[];
}

export type BftEffect =
  | CoreEffect<BftMessage, BftWrite, Say>
  /** Rests on what is durable already. */
  | { readonly kind: "say"; readonly say: Say }
  /** The state here is far behind: fetch that of this checkpoint, or of a newer one, and answer with `installed`. Told until then. */
  | { readonly kind: "fetchCheckpoint"; readonly certificate: CheckpointCertificate }
  | { readonly kind: "role"; readonly role: BftRole }
  /** Another epoch has begun: what is received and said from now on is of it. */
  | { readonly kind: "epoch"; readonly epoch: number; readonly successor: Successor }
  | { readonly kind: "evidence"; readonly evidence: Evidence };

export interface Turn {
  readonly now: number;
  epoch: number;
  readonly committedBefore: LogIndex;
  readonly records: BftRecord[];
  readonly promises: Say[];
  readonly others: BftEffect[];
}

export function beginTurn(state: BftState, now: number): Turn {
  return { now, epoch: state.epoch, committedBefore: state.committed, records: [], promises: [], others: [] };
}

export function record(state: BftState, turn: Turn, fact: BftRecord): void {
  remember(state, fact);
  turn.records.push(fact);
}

/** For what a crash must not make us forget: leaves when everything recorded up to the end of this step is durable. */
export function promise(turn: Turn, statement: Statement, batch?: Batch): void {
  turn.promises.push({ epoch: turn.epoch, statement, batch });
}

export function sendToOthers(state: BftState, turn: Turn, message: BftMessage): void {
  for (const to of state.replicas) if (to !== state.self) turn.others.push({ kind: "send", to, message });
}

export function accuse(state: BftState, turn: Turn, first: Signed, second: Signed): void {
  const name = `${first.by} ${first.statement.kind}`;
  if (state.accused.has(name)) return;
  state.accused.add(name);
  turn.others.push({ kind: "evidence", evidence: { by: first.by, first, second } });
}

export function endTurn(state: BftState, turn: Turn): readonly BftEffect[] {
  const effects: BftEffect[] = [];
  const { records, promises } = turn;
  if (records.length > 0 || promises.length > 0) {
    effects.push({ kind: "persist", write: { id: state.nextWriteId, records }, then: promises });
    state.nextWriteId += 1;
  }
  for (const effect of turn.others) effects.push(effect);
  if (state.committed > turn.committedBefore) effects.push({ kind: "commit", upTo: state.committed });
  const role = {
    epoch: state.epoch,
    view: state.view,
    primary: primaryOf(state, state.view),
    isChanging: state.isChanging,
    isOpen: isPrimary(state) && !state.isChanging,
  };
  if (role.epoch !== state.told?.epoch || role.view !== state.told.view || role.isChanging !== state.told.isChanging) {
    state.told = role;
    effects.push({ kind: "role", role });
  }
  return effects;
}
