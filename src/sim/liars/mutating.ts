/**
 * A liar that sends what a correct replica would, with one field changed a little: whatever nobody thought of when naming lies.
 *
 * Owns: the changes, for every kind of message. What it says in its own name it signs again; what others signed it can only move about,
 * leave out, double, or show in another place.
 */
import { nextBetween, nextFraction, type Random } from "../../base/random.js";
import {
  nullBatch,
  nullDigest,
  type Batch,
  type BftMessage,
  type Checkpoint,
  type CheckpointCertificate,
  type CommittedCertificate,
  type NewView,
  type Ordered,
  type Prepare,
  type PreparedCertificate,
  type Signed,
  type Statement,
  type ViewChange,
} from "../../consensus/bft/messages.js";
import { firstView, noIndex, type LogIndex, type View } from "../../model/ids.js";
import { madeUp, type Liar, type LiarTools } from "./liar.js";
import { ownIn } from "./lies.js";

/** Changes about every third message. */
export function mutating(): Liar {
  return {
    name: "mutating",
    outgoing(_to, message, tools) {
      if (nextFraction(tools.random) < 0.65) return [message];
      const changed = mutated(message, tools);
      // Beside the true one, or in its place.
      return nextFraction(tools.random) < 0.3 ? [message, changed] : [changed];
    },
  };
}

function oneOf<Item>(random: Random, items: readonly Item[]): Item | undefined {
  return items[nextBetween(random, 0, Math.max(0, items.length - 1))];
}

/** One of these changes. */
function change<Value>(random: Random, changes: readonly (() => Value)[]): Value {
  const chosen = oneOf(random, changes);
  if (chosen === undefined) throw new Error("there is something to change");
  return chosen();
}

function nearIndex(index: LogIndex, random: Random): LogIndex {
  return Math.max(noIndex, index + (oneOf(random, [-4, -1, 1, 4, 16]) ?? 1)) as LogIndex;
}

function nearView(view: View, random: Random): View {
  return Math.max(firstView, view + (oneOf(random, [-1, 1, 2, 4]) ?? 1)) as View;
}

/** That of something else here, of nothing, or of what is not. */
function otherDigest({ state, random }: LiarTools): string {
  const known = [...state.batches.keys()];
  return oneOf(random, [...known, nullDigest, madeUp]) ?? nullDigest;
}

function otherBatchHere({ state, random }: LiarTools): Batch {
  return oneOf(random, [...state.batches.values()]) ?? nullBatch;
}

/** One left out, doubled, given twice in another's place, or all in another order. */
function rearranged<Item>(items: readonly Item[], random: Random): readonly Item[] {
  if (items.length === 0) return items;
  const at = nextBetween(random, 0, items.length - 1);
  const [item] = items.slice(at);
  const other = oneOf(random, items);
  if (item === undefined || other === undefined) return items;
  return change<readonly Item[]>(random, [
    () => items.toSpliced(at, 1),
    () => items.toSpliced(at, 0, item),
    () => items.with(at, other),
    () => [...items].reverse(),
  ]);
}

function mutatedOrder<Kind extends Ordered>(ordered: Kind, tools: LiarTools): Kind {
  const { random } = tools;
  return change<Kind>(random, [
    () => ({ ...ordered, index: nearIndex(ordered.index, random) }),
    () => ({ ...ordered, view: nearView(ordered.view, random) }),
    () => ({ ...ordered, digest: otherDigest(tools) }),
  ]);
}

function mutatedCheckpoint(certificate: CheckpointCertificate, { random }: LiarTools): CheckpointCertificate {
  return change(random, [
    () => ({ ...certificate, index: nearIndex(certificate.index, random) }),
    () => ({ ...certificate, digest: madeUp }),
    () => ({ ...certificate, checkpoints: rearranged(certificate.checkpoints, random) }),
  ]);
}

/** Its votes, or what they are said to be for. A PREPARE or COMMIT of the liar's own may be put among them. */
function mutatedPrepared(certificate: PreparedCertificate, tools: LiarTools): PreparedCertificate {
  const { random, sign } = tools;
  const { prepares } = certificate;
  return change(random, [
    () => mutatedOrder(certificate, tools),
    () => ({ ...certificate, prepares: rearranged(prepares, random) }),
    () => {
      const { view, index, digest } = mutatedOrder(certificate, tools);
      const own = sign<Prepare>({ kind: "Prepare", view, index, digest });
      return { view, index, digest, prepares: prepares.map(() => own) };
    },
    () => {
      const order = mutatedOrder(certificate, tools);
      return { ...order, prepares: oneOf(random, [...tools.state.slots.values()])?.prepared?.prepares ?? prepares };
    },
  ]);
}

function mutatedCommitted(certificate: CommittedCertificate, tools: LiarTools): CommittedCertificate {
  const { random } = tools;
  return change(random, [
    () => mutatedOrder(certificate, tools),
    () => ({ ...certificate, commits: rearranged(certificate.commits, random) }),
  ]);
}

function mutatedViewChange(statement: ViewChange, tools: LiarTools): ViewChange {
  const { random } = tools;
  const { prepared } = statement;
  const at = nextBetween(random, 0, Math.max(0, prepared.length - 1));
  const [certificate] = prepared.slice(at);
  return change<ViewChange>(random, [
    () => ({ ...statement, view: nearView(statement.view, random) }),
    () => ({ ...statement, stable: mutatedCheckpoint(statement.stable, tools) }),
    () => ({ ...statement, prepared: rearranged(prepared, random) }),
    () =>
      certificate === undefined
        ? { ...statement, view: nearView(statement.view, random) }
        : { ...statement, prepared: prepared.with(at, mutatedPrepared(certificate, tools)) },
  ]);
}

function mutatedNewView(statement: NewView, tools: LiarTools): NewView {
  const { random, self } = tools;
  const { proposals, viewChanges } = statement;
  const at = nextBetween(random, 0, Math.max(0, proposals.length - 1));
  const [proposal] = proposals.slice(at);
  return change<NewView>(random, [
    () => ({ ...statement, view: nearView(statement.view, random) }),
    () => ({ ...statement, proposals: rearranged(proposals, random) }),
    () =>
      proposal === undefined
        ? { ...statement, proposals: [{ index: nearIndex(tools.state.stable.index, random), digest: nullDigest }] }
        : { ...statement, proposals: proposals.with(at, { ...proposal, digest: otherDigest(tools) }) },
    () => ({ ...statement, viewChanges: rearranged(viewChanges, random) }),
    () => ({
      ...statement,
      viewChanges: viewChanges.map((each) =>
        each.by === self ? tools.sign(mutatedViewChange(each.statement, tools)) : each,
      ),
    }),
  ]);
}

function mutatedStatement(statement: Statement, tools: LiarTools): Statement {
  const { random } = tools;
  switch (statement.kind) {
    case "Prepare":
    case "Commit": {
      const vote = mutatedOrder(statement, tools);
      const kind = nextFraction(random) < 0.2 ? (vote.kind === "Prepare" ? "Commit" : "Prepare") : vote.kind;
      return { ...vote, kind };
    }
    case "Checkpoint":
      return change<Checkpoint>(random, [
        () => ({ ...statement, index: nearIndex(statement.index, random) }),
        () => ({ ...statement, digest: madeUp }),
      ]);
    case "ViewChange":
      return mutatedViewChange(statement, tools);
    case "NewView":
      return mutatedNewView(statement, tools);
  }
}

function mutated(message: BftMessage, tools: LiarTools): BftMessage {
  const { random, received } = tools;
  const own = ownIn(message, tools);
  switch (message.kind) {
    case "PrePrepare":
      return mutatedProposal(message, tools);
    case "Said":
      if (own !== undefined) return { kind: "Said", signed: tools.sign(mutatedStatement(own, tools)) };
      return oneOf(random, received) ?? message;
    case "Stable":
      return { kind: "Stable", certificate: mutatedCheckpoint(message.certificate, tools) };
    case "Committed":
      return change<BftMessage>(random, [
        () => ({ ...message, certificate: mutatedCommitted(message.certificate, tools) }),
        () => ({ ...message, batch: otherBatchHere(tools) }),
      ]);
    case "Status":
      return change<BftMessage>(random, [
        () => ({ ...message, view: nearView(message.view, random) }),
        () => ({ ...message, isChanging: !message.isChanging }),
        () => ({ ...message, stable: nearIndex(message.stable, random) }),
        () => ({ ...message, committed: nearIndex(message.committed, random) }),
        () => oneOf(random, received) ?? message,
      ]);
    case "FetchBatch":
      return { kind: "FetchBatch", digest: otherDigest(tools) };
    case "FetchedBatch":
      return { kind: "FetchedBatch", batch: otherBatchHere(tools) };
  }
}

/** Another order for the same batch, another batch in its order, or an old proposal again. */
function mutatedProposal(message: BftMessage & { kind: "PrePrepare" }, tools: LiarTools): BftMessage {
  const { prepare, batch } = message;
  const { statement } = prepare;
  const resigned = (changed: Prepare): Signed<Prepare> => tools.sign(changed);
  return change<BftMessage>(tools.random, [
    () => ({ kind: "PrePrepare", prepare: resigned(mutatedOrder(statement, tools)), batch }),
    () => ({ kind: "PrePrepare", prepare, batch: otherBatchHere(tools) }),
    () => {
      const old = otherBatchHere(tools);
      return { kind: "PrePrepare", prepare: resigned({ ...statement, digest: old.digest }), batch: old };
    },
    () => {
      const changed = mutatedOrder(statement, tools);
      return { kind: "Said", signed: resigned(changed) };
    },
  ]);
}
