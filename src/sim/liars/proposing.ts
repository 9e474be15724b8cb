/** Liars that attack by what they propose, as primaries or in a primary's place. Owns: those behaviours. */
import {
  nullBatch,
  nullDigest,
  type Batch,
  type BftMessage,
  type NewView,
  type Prepare,
  type RequestName,
} from "../../consensus/bft/messages.js";
import { primaryOf } from "../../consensus/bft/state.js";
import { advance, type View } from "../../model/ids.js";
import type { Liar, LiarTools } from "./liar.js";
import { adding, isOther, isVote, otherBatch, ownIn, sending, type LiarKinds } from "./lies.js";

/** Of a client that signed nothing. */
const invented: RequestName = { client: "x", id: "x:invented" };

type PrePrepare = Extract<BftMessage, { readonly kind: "PrePrepare" }>;

/** Changes its proposals. */
function proposing(
  change: (message: PrePrepare, to: string, tools: LiarTools) => readonly BftMessage[],
): Liar["outgoing"] {
  return (to, message, tools) => (message.kind === "PrePrepare" ? change(message, to, tools) : [message]);
}

function withBatch({ prepare }: PrePrepare, batch: Batch, { sign }: LiarTools): PrePrepare {
  return { kind: "PrePrepare", prepare: sign({ ...prepare.statement, digest: batch.digest }), batch };
}

/** Two halves are told two orders, and each is voted for in its own half. */
function equivocating(): Omit<Liar, "name"> {
  const others = new Map<string, Batch>();
  return {
    outgoing(to, message, tools) {
      if (!isOther(to, tools)) return [message];
      if (message.kind === "PrePrepare") {
        const batch = otherBatch(message.batch, tools);
        others.set(message.batch.digest, batch);
        return [withBatch(message, batch, tools)];
      }
      const statement = ownIn(message, tools);
      if (statement === undefined || !isVote(statement)) return [message];
      const other = others.get(statement.digest);
      if (other === undefined) return [message];
      return [{ kind: "Said", signed: tools.sign({ ...statement, digest: other.digest }) }];
    },
  };
}

/** What it proposed first, at every index again. */
function repeating(): Omit<Liar, "name"> {
  let first: Batch | undefined;
  return {
    outgoing: proposing((message, _to, tools) => {
      first ??= message.batch;
      return [withBatch(message, first, tools)];
    }),
  };
}

/** At each index what it should have proposed at the one before. */
function late(): Omit<Liar, "name"> {
  const batches = new Map<number, Batch>();
  return {
    outgoing: proposing((message, _to, tools) => {
      const { index } = message.prepare.statement;
      batches.set(index, message.batch);
      return [withBatch(message, batches.get(index - 1) ?? nullBatch, tools)];
    }),
  };
}

/** In the view that it led before it was given up. */
function posthumous(): Omit<Liar, "name"> {
  const led: PrePrepare[] = [];
  return {
    outgoing(_to, message, { state, self }) {
      if (message.kind === "PrePrepare") led.push(message);
      const isGone = state.isChanging || primaryOf(state, state.view) !== self;
      return message.kind === "Status" && isGone ? [message, ...led.slice(-8)] : [message];
    },
  };
}

export const proposingLiars: LiarKinds = {
  equivocating: { hazard: "B1", make: equivocating },
  doubleProposals: {
    ...{ hazard: "B1" },
    make: () => ({
      outgoing: proposing((message, _to, tools) => [
        message,
        withBatch(message, otherBatch(message.batch, tools), tools),
      ]),
    }),
  },
  /** Orders nothing but null requests: clients wait. */
  emptyPrimary: {
    ...{ hazard: "B14" },
    make: () => ({ outgoing: proposing((message, _to, tools) => [withBatch(message, nullBatch, tools)]) }),
  },
  /** Every third index gets nothing, so nothing after it can be handed over. */
  gaps: {
    make: () => ({
      outgoing: proposing((message) => (message.prepare.statement.index % 3 === 0 ? [] : [message])),
    }),
  },
  repeating: { make: repeating },
  late: { make: late },
  posthumous: { hazard: "B6", make: posthumous },
  /** Half of the others learn the digest and never the batch. */
  hidingBatches: sending((to, message, tools) => {
    if (message.kind === "FetchedBatch") return [];
    if (message.kind !== "PrePrepare" || !isOther(to, tools)) return [message];
    return [{ kind: "Said", signed: message.prepare }];
  }, "B11"),
  /** One batch beside the digest of another. */
  mismatched: {
    make: () => ({
      outgoing: proposing(({ prepare, batch }, _to, tools) => [
        { kind: "PrePrepare", prepare, batch: otherBatch(batch, tools) },
      ]),
    }),
  },
  farProposals: {
    ...{ hazard: "B10" },
    make: () => ({
      outgoing: proposing(({ prepare: { statement }, batch }, _to, { sign }) => [
        { kind: "PrePrepare", prepare: sign({ ...statement, index: advance(statement.index, 1_000_000) }), batch },
      ]),
    }),
  },
  /** A request that its client never signed, which only who checks it can refuse: all or none. */
  inventing: {
    ...{ hazard: "B13" },
    make: () => ({
      outgoing: proposing((message, to, tools) => [
        isOther(to, tools)
          ? withBatch(message, tools.batchOf([...message.batch.requests, invented], message.batch), tools)
          : message,
      ]),
    }),
  },
  /** Each proposal to all but one, and to another one each time. */
  leavingOut: {
    ...{ hazard: "B11" },
    make: () => ({
      outgoing: proposing((message, to, { replicas }) =>
        replicas[message.prepare.statement.index % replicas.length] === to ? [] : [message],
      ),
    }),
  },
  /** Proposes although it is not the primary, and begins a view that is not its own. */
  usurping: adding((_to, { state, sign }) => {
    const where = { view: state.view, index: advance(state.committed, 1), digest: nullDigest };
    const prepare = sign<Prepare>({ kind: "Prepare", ...where });
    const viewChanges = [...state.viewChanges.values()];
    const begun = sign<NewView>({ kind: "NewView", view: (state.view + 1) as View, viewChanges, proposals: [] });
    return [
      { kind: "PrePrepare", prepare, batch: nullBatch },
      { kind: "Said", signed: begun },
    ];
  }),
};
