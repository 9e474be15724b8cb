/**
 * The whole protocol as one function: PBFT (Castro and Liskov, OSDI 99; sections below are of that paper unless TOCS is named). The
 * same state, input and time always give the same effects: nothing below reads a clock, draws entropy, awaits, or touches a socket.
 *
 * Owns: the dispatch. Leaves to others: the handlers, and all cryptography. What comes in was verified: `from` is who sent it, every
 * signature in it is good, a batch's digest is its content's and its clients signed their requests.
 */
import { unreachable } from "../../base/invariant.js";
import type { LogIndex, ReplicaId } from "../../model/ids.js";
import type { CoreInput } from "../vocabulary.js";
import * as checkpoint from "./checkpoint.js";
import { checkBftInvariants } from "./invariants.js";
import { onHandover } from "./epoch.js";
import type { Batch, BftMessage, CheckpointCertificate, Digest, Ending, RequestName, Signed } from "./messages.js";
import { onNewView } from "./new-view.js";
import * as normalCase from "./normal-case.js";
import { isMember, type BftState } from "./state.js";
import { onStatus, sayStatusIfDue } from "./status.js";
import { onCame, onRequest, stopWaiting } from "./suspicion.js";
import { beginTurn, endTurn, type BftEffect, type Turn } from "./turn.js";
import { changeViewIfDue, onDistrust, onViewChange } from "./view-change.js";

export type BftInput =
  /** Received from another replica, or what this one has said itself, signed. */
  | CoreInput<BftMessage>
  /** A client's request was received that is not executed yet. */
  | { readonly kind: "request"; readonly request: RequestName }
  /** Requests by these names have come to this replica or, as it says, to another: nobody is given up for one of them alone. */
  | { readonly kind: "came"; readonly from: ReplicaId; readonly ids: readonly Digest[] }
  /** It need not be decided any more: its client has asked for the same otherwise, and that is executed. */
  | { readonly kind: "settled"; readonly request: RequestName }
  /** These are faulty, as every correct replica finds at the same entry: none of them stays primary of this view. */
  | { readonly kind: "distrust"; readonly replicas: readonly ReplicaId[] }
  /** Ignored unless this replica is an open primary, and beyond its room (`roomOf`). */
  | { readonly kind: "propose"; readonly batches: readonly Batch[] }
  /** Null requests up to the end of an epoch that ends, as far as there is room (`roomToEnd`). */
  | { readonly kind: "fill"; readonly isExecuted: boolean }
  /** The state after `index` is durable here. */
  | { readonly kind: "checkpointed"; readonly index: LogIndex; readonly digest: Digest }
  /** Answers `fetchCheckpoint`, also with a newer one; the bytes were checked against the certificate. */
  | { readonly kind: "installed"; readonly index: LogIndex; readonly configured?: Ending | undefined }
  /** To a replica that joins: `epoch` begins so. Its statements were verified as those of the epoch before. */
  | { readonly kind: "handover"; readonly epoch: number; readonly certificate: CheckpointCertificate };

/** `now` is monotonic, in milliseconds. The effects are performed in order before the next step. */
export function step(state: BftState, input: BftInput, now: number): readonly BftEffect[] {
  const turn = beginTurn(state, now);
  if (isMember(state)) dispatch(state, turn, input);
  else dispatchOutside(state, turn, input);
  normalCase.handOver(state, turn);
  normalCase.awaitEnd(state, turn);
  const effects = endTurn(state, turn);
  checkBftInvariants(state);
  return effects;
}

function dispatch(state: BftState, turn: Turn, input: BftInput): void {
  switch (input.kind) {
    case "tick":
      changeViewIfDue(state, turn);
      return sayStatusIfDue(state, turn);
    case "receive":
      return receive(state, turn, input.from, input.message);
    case "request":
      return onRequest(state, turn, input.request);
    case "came":
      return onCame(state, turn, input.from, input.ids);
    case "settled":
      stopWaiting(state, input.request, turn.now);
      return;
    case "distrust":
      return onDistrust(state, turn, input.replicas);
    case "propose":
      return normalCase.onPropose(state, turn, input.batches);
    case "fill":
      return normalCase.onFill(state, turn, input.isExecuted);
    case "checkpointed":
      return checkpoint.onCheckpointed(state, turn, input.index, input.digest);
    case "installed":
      return checkpoint.onInstalled(state, input.index, input.configured);
    case "handover":
      return;
    default:
      return unreachable(input);
  }
}

/** Who is no member says nothing that counts. One that joins asks where it is; one that has left is quiet. */
function dispatchOutside(state: BftState, turn: Turn, input: BftInput): void {
  if (input.kind === "handover") return onHandover(state, turn, input.epoch, input.certificate);
  if (input.kind === "installed") return checkpoint.onInstalled(state, input.index, input.configured);
  if (input.kind === "tick" && state.epoch < 0) return sayStatusIfDue(state, turn);
}

function receive(state: BftState, turn: Turn, from: ReplicaId, message: BftMessage): void {
  if (!state.replicas.includes(from)) return;
  switch (message.kind) {
    case "PrePrepare":
      if (state.replicas.includes(message.prepare.by)) {
        normalCase.onPrePrepare(state, turn, message.prepare, message.batch);
      }
      return;
    case "Said":
      if (state.replicas.includes(message.signed.by)) onSaid(state, turn, message.signed);
      return;
    case "Stable":
      return checkpoint.onStable(state, turn, message.certificate);
    case "Committed":
      return normalCase.onCommitted(state, turn, message);
    case "Status":
      return onStatus(state, turn, from, message);
    case "FetchBatch": {
      const batch = state.batches.get(message.digest);
      if (batch !== undefined) turn.others.push({ kind: "send", to: from, message: { kind: "FetchedBatch", batch } });
      return;
    }
    case "FetchedBatch":
      return normalCase.onBatch(state, turn, message.batch);
    default:
      return unreachable(message);
  }
}

/** Who handed it on does not matter: who signed it does. */
function onSaid(state: BftState, turn: Turn, signed: Signed): void {
  const { statement, by, signature } = signed;
  switch (statement.kind) {
    case "Prepare":
      return normalCase.onPrepare(state, turn, { statement, by, signature });
    case "Commit":
      return normalCase.onCommit(state, turn, { statement, by, signature });
    case "Checkpoint":
      return checkpoint.onCheckpoint(state, turn, { statement, by, signature });
    case "ViewChange":
      return onViewChange(state, turn, { statement, by, signature });
    case "NewView":
      return onNewView(state, turn, { statement, by, signature });
    default:
      return unreachable(statement);
  }
}
