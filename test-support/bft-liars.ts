/**
 * What Byzantine replicas do: each takes what a correct core would send and sends something else, signed with its own key.
 *
 * Owns: the named behaviours. A liar's core runs correctly beneath, so it knows what would deceive best. Leaves to others: who lies, and
 * that nothing but its own signature is at a liar's hand (`bft-crypto.ts`).
 */
import { nextBetween, nextFraction } from "../src/base/random.js";
import {
  nullBatch,
  type Batch,
  type BftMessage,
  type NewView,
  type Prepare,
  type Signed,
  type Statement,
  type ViewChange,
} from "../src/consensus/bft/messages.js";
import { advance, type View } from "../src/model/ids.js";
import { batchOf } from "./bft-crypto.js";
import type { Liar, LiarTools } from "./bft-cluster.js";

/** What a message says, if it is a statement of the sender's own. */
function ownIn(message: BftMessage, { self }: LiarTools): Statement | undefined {
  const signed = message.kind === "Said" ? message.signed : message.kind === "PrePrepare" ? message.prepare : undefined;
  return signed?.by === self ? signed.statement : undefined;
}

/** Sends another statement in place of its own ones; everything else as it is. */
function restating(
  name: string,
  restate: (statement: Statement, to: string, tools: LiarTools) => readonly Statement[],
): Liar {
  return {
    name,
    outgoing(to, message, tools) {
      const statement = ownIn(message, tools);
      if (statement === undefined) return [message];
      return restate(statement, to, tools).map((each): BftMessage => {
        if (each === statement) return message;
        const signed = tools.sign(each);
        if (message.kind === "PrePrepare" && each.kind === "Prepare") {
          return { kind: "PrePrepare", prepare: signed as Signed<Prepare>, batch: message.batch };
        }
        return { kind: "Said", signed };
      });
    },
  };
}

const isVote = (statement: Statement): statement is Statement & { kind: "Prepare" | "Commit" } =>
  statement.kind === "Prepare" || statement.kind === "Commit";

function isOther(to: string, { replicas }: LiarTools): boolean {
  return replicas.indexOf(to) % 2 === 0;
}

/** The same requests in another order, or none. */
function otherBatch({ requests }: Batch): Batch {
  return requests.length > 1 ? batchOf([...requests].reverse()) : nullBatch;
}

/** B1: two halves are told two orders, and each is voted for in its own half. */
function equivocating(): Liar {
  const others = new Map<string, Batch>();
  return {
    name: "equivocating",
    outgoing(to, message, tools) {
      if (!isOther(to, tools)) return [message];
      if (message.kind === "PrePrepare") {
        const batch = otherBatch(message.batch);
        others.set(message.batch.digest, batch);
        const prepare = tools.sign({ ...message.prepare.statement, digest: batch.digest });
        return [{ kind: "PrePrepare", prepare, batch }];
      }
      const statement = ownIn(message, tools);
      if (statement === undefined || !isVote(statement)) return [message];
      const other = others.get(statement.digest);
      if (other === undefined) return [message];
      return [{ kind: "Said", signed: tools.sign({ ...statement, digest: other.digest }) }];
    },
  };
}

/** B9: another beginning for each half: the last proposal left out, one invented, or one changed. */
function misbegin(statement: NewView, tools: LiarTools): NewView {
  const { proposals } = statement;
  const last = proposals.at(-1);
  const next = advance(last?.index ?? statement.viewChanges[0]?.statement.stable.index ?? tools.state.stable.index, 1);
  switch (nextBetween(tools.random, 0, 3)) {
    case 0:
      return { ...statement, proposals: proposals.slice(0, -1) };
    case 1:
      return { ...statement, proposals: [...proposals, { index: next, digest: "invented" }] };
    case 2:
      return { ...statement, proposals: proposals.map(({ index }) => ({ index, digest: "" })) };
    default:
      return { ...statement, viewChanges: statement.viewChanges.map(() => statement.viewChanges[0] ?? never()) };
  }
}

function never(): never {
  throw new Error("a new view has view changes");
}

/** B3, B5, B9: hides what was prepared, or claims what was not. */
function misreport(statement: ViewChange, tools: LiarTools): ViewChange {
  const { prepared, stable } = statement;
  const [first] = prepared;
  switch (nextBetween(tools.random, 0, 4)) {
    case 0:
      return { ...statement, prepared: [] };
    case 1:
      return { ...statement, prepared: prepared.map((each) => ({ ...each, digest: "" })) };
    case 2:
      return { ...statement, stable: { ...stable, index: advance(stable.index, 4) } };
    case 3:
      return first === undefined
        ? statement
        : { ...statement, prepared: [{ ...first, prepares: first.prepares.map(() => first.prepares[0] ?? never()) }] };
    default:
      return { ...statement, prepared: prepared.slice(1), view: (statement.view + 1) as View };
  }
}

const anotherDigest = "no such batch";

export const liars: Readonly<Record<string, () => Liar>> = {
  silent: () => ({ name: "silent", outgoing: () => [] }),
  deafToSome: () => ({ name: "deafToSome", outgoing: (to, message, tools) => (isOther(to, tools) ? [] : [message]) }),
  unreliable: () => ({
    name: "unreliable",
    outgoing: (_to, message, { random }) => (nextFraction(random) < 0.5 ? [] : [message]),
  }),
  equivocating,
  corruptVotes: () =>
    restating("corruptVotes", (each) => (isVote(each) ? [{ ...each, digest: anotherDigest }] : [each])),
  doubleVotes: () => restating("doubleVotes", (each) => (isVote(each) ? [each, { ...each, digest: "" }] : [each])),
  corruptCommits: () =>
    restating("corruptCommits", (each, to, tools) =>
      each.kind === "Commit" && isOther(to, tools) ? [{ ...each, digest: "" }] : [each],
    ),
  nextIndex: () =>
    restating("nextIndex", (each) => (isVote(each) ? [each, { ...each, index: advance(each.index, 1) }] : [each])),
  farIndex: () =>
    restating("farIndex", (each, _to, { random }) =>
      isVote(each) ? [each, { ...each, index: advance(each.index, nextBetween(random, 10, 1_000_000)) }] : [each],
    ),
  oldView: () =>
    restating("oldView", (each) =>
      isVote(each) && each.view > 0 ? [{ ...each, view: (each.view - 1) as View }] : [each],
    ),
  farView: () =>
    restating("farView", (each) =>
      isVote(each) || each.kind === "ViewChange"
        ? [each, { ...each, view: (each.view + 1_000_000_000) as View }]
        : [each],
    ),
  wrongCheckpoints: () =>
    restating("wrongCheckpoints", (each) =>
      each.kind === "Checkpoint" ? [{ ...each, digest: anotherDigest }] : [each],
    ),
  farCheckpoints: () =>
    restating("farCheckpoints", (each) =>
      each.kind === "Checkpoint" ? [{ ...each, index: advance(each.index, 1_000_000) }] : [each],
    ),
  misreporting: () =>
    restating("misreporting", (each, _to, tools) => (each.kind === "ViewChange" ? [misreport(each, tools)] : [each])),
  misbeginning: () =>
    restating("misbeginning", (each, to, tools) =>
      each.kind === "NewView" && isOther(to, tools) ? [misbegin(each, tools)] : [each],
    ),
  restless: () => ({
    name: "restless",
    outgoing: (_to, message, { state, random, sign }) =>
      nextFraction(random) < 0.9
        ? [message]
        : [
            message,
            {
              kind: "Said",
              signed: sign({
                kind: "ViewChange",
                view: (state.view + nextBetween(random, 1, 3)) as View,
                stable: state.stable,
                prepared: [],
              }),
            },
          ],
  }),
  replaying: () => ({
    name: "replaying",
    outgoing(_to, message, { received, random }) {
      const old = received[nextBetween(random, 0, received.length)];
      return old === undefined ? [message] : [message, old];
    },
  }),
  forging: () => ({
    name: "forging",
    outgoing(_to, message, { received, random }) {
      const heard = received[nextBetween(random, 0, received.length)];
      if (heard?.kind !== "Said" || !isVote(heard.signed.statement)) return [message];
      return [
        message,
        { kind: "Said", signed: { ...heard.signed, statement: { ...heard.signed.statement, digest: "" } } },
      ];
    },
  }),
  usurping: () => ({
    name: "usurping",
    outgoing(_to, message, { state, sign }) {
      // Proposes although it is not the primary, and begins a view that is not its own.
      if (message.kind !== "Status") return [message];
      const prepare = sign<Prepare>({
        kind: "Prepare",
        view: state.view,
        index: advance(state.committed, 1),
        digest: "",
      });
      const viewChanges = [...state.viewChanges.values()];
      const begun = sign<NewView>({ kind: "NewView", view: (state.view + 1) as View, viewChanges, proposals: [] });
      return [message, { kind: "PrePrepare", prepare, batch: nullBatch }, { kind: "Said", signed: begun }];
    },
  }),
  emptyPrimary: () => ({
    name: "emptyPrimary",
    outgoing(_to, message, { sign }) {
      if (message.kind !== "PrePrepare") return [message];
      // Orders nothing but null requests: clients wait.
      return [{ kind: "PrePrepare", prepare: sign({ ...message.prepare.statement, digest: "" }), batch: nullBatch }];
    },
  }),
  lyingStatus: () => ({
    name: "lyingStatus",
    outgoing: (_to, message, { random }) =>
      message.kind === "Status"
        ? [{ ...message, committed: advance(message.committed, nextBetween(random, 0, 1e9)), view: 1e9 as View }]
        : [message],
  }),
};
