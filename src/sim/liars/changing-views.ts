/** Liars that attack the change of views: what they report when they leave one, and what they begin one with. Owns: those behaviours. */
import { nextBetween, nextFraction } from "../../base/random.js";
import {
  nullDigest,
  type BftMessage,
  type NewView,
  type PreparedCertificate,
  type ViewChange,
} from "../../consensus/bft/messages.js";
import { primaryOf } from "../../consensus/bft/state.js";
import { advance, nextView, type View } from "../../model/ids.js";
import { madeUp, type Liar, type LiarTools } from "./liar.js";
import {
  adding,
  beginningFrom,
  doubled,
  isOther,
  ownIn,
  rebeginning,
  rechanging,
  sending,
  type LiarKinds,
} from "./lies.js";

/** Proofs that prove nothing: another digest, one signer who counts as many, one signer less, a later view. */
function doctored(certificate: PreparedCertificate, kind: number): PreparedCertificate {
  const { prepares } = certificate;
  if (kind === 0) return { ...certificate, digest: nullDigest };
  if (kind === 1) return { ...certificate, prepares: doubled(prepares) };
  if (kind === 2) return { ...certificate, prepares: prepares.slice(1) };
  return { ...certificate, view: nextView(certificate.view) };
}

/** In every report the first proof that it ever had, at the index that matters. */
function stale(): Omit<Liar, "name"> {
  let first: PreparedCertificate | undefined;
  return rechanging((each, _to, { state }) => {
    first ??= each.prepared[0];
    const index = advance(state.committed, 1);
    return [first === undefined ? each : { ...each, prepared: [first, { ...first, index }] }];
  }).make();
}

/** The quorums that moved the others into earlier views, again. */
function recorded(): Omit<Liar, "name"> {
  const kept: BftMessage[] = [];
  return {
    outgoing(_to, message, { received }) {
      for (const each of received.slice(-4)) {
        if (each.kind === "Said" && each.signed.statement.kind === "ViewChange" && !kept.includes(each)) {
          kept.push(each);
        }
      }
      return message.kind === "Status" ? [message, ...kept] : [message];
    },
  };
}

/** Its own beginning of every view that it ever led. */
function nostalgic(): Omit<Liar, "name"> {
  const begun: BftMessage[] = [];
  return {
    outgoing(_to, message, tools) {
      if (ownIn(message, tools)?.kind === "NewView" && !begun.includes(message)) begun.push(message);
      return message.kind === "Status" ? [message, ...begun] : [message];
    },
  };
}

function viewChangesOf({ state }: LiarTools, { view }: NewView): readonly NewView["viewChanges"][number][] {
  return [...state.viewChanges.values()].filter(({ statement }) => statement.view === view);
}

/** Waits for more reports than it needs; then two halves get two beginnings, each of which follows from its reports. */
const twoBeginnings = sending((to, message, tools) => {
  const begun = ownIn(message, tools);
  if (begun?.kind !== "NewView") return [message];
  tools.later(60, () => {
    const { quorum } = tools.state;
    const all = viewChangesOf(tools, begun);
    if (all.length < quorum) return [message];
    const viewChanges = isOther(to, tools) ? all.slice(0, quorum) : all.slice(-quorum);
    return [{ kind: "Said", signed: tools.sign({ ...begun, viewChanges, proposals: beginningFrom(viewChanges) }) }];
  });
  return [];
}, "B9");

const leaving = (view: View, { state, sign }: LiarTools): BftMessage => ({
  kind: "Said",
  signed: sign<ViewChange>({ kind: "ViewChange", view, stable: state.stable, prepared: [] }),
});

/** Views change hands until it is primary itself. */
function nextOwn({ state, self }: LiarTools): View {
  let view = nextView(state.view);
  while (primaryOf(state, view) !== self) view = nextView(view);
  return view;
}

export const changingViews: LiarKinds = {
  /** What was decided, hidden from the next view. */
  forgetful: rechanging((each) => [{ ...each, prepared: [] }], "B3"),
  twoFaced: rechanging((each, to, tools) => [isOther(to, tools) ? { ...each, prepared: [] } : each], "B3"),
  doctoring: rechanging((each, _to, { random }) => {
    const kind = nextBetween(random, 0, 3);
    return [{ ...each, prepared: each.prepared.map((certificate) => doctored(certificate, kind)) }];
  }, "B5"),
  /** One bad proof among good ones. */
  spoiling: rechanging((each) => {
    const last = each.prepared.at(-1);
    return [last === undefined ? each : { ...each, prepared: [...each.prepared.slice(0, -1), doctored(last, 1)] }];
  }, "B5"),
  stale: { hazard: "B6", make: stale },
  boasting: rechanging((each) => [{ ...each, stable: { ...each.stable, index: advance(each.stable.index, 4) } }], "B9"),
  bloated: rechanging((each) => [{ ...each, prepared: Array(100).fill(each.prepared).flat() }], "B22"),
  ahead: rechanging((each) => [{ ...each, view: nextView(each.view) }]),
  clinging: rechanging(() => []),
  restless: sending((_to, message, tools) => {
    const { random, state } = tools;
    if (nextFraction(random) < 0.9) return [message];
    return [message, leaving((state.view + nextBetween(random, 1, 3)) as View, tools)];
  }),
  ambitious: adding((_to, tools) => [leaving(nextOwn(tools), tools)]),
  recorded: { hazard: "B4", make: recorded },

  omitting: rebeginning(
    (each, to, tools) => [isOther(to, tools) ? { ...each, proposals: each.proposals.slice(0, -1) } : each],
    "B9",
  ),
  adding: rebeginning((each, to, tools) => {
    const highest = each.proposals.at(-1)?.index ?? tools.state.stable.index;
    const more = { index: advance(highest, 1), digest: madeUp };
    return [isOther(to, tools) ? { ...each, proposals: [...each.proposals, more] } : each];
  }, "B9"),
  nullifying: rebeginning(
    (each) => [{ ...each, proposals: each.proposals.map(({ index }) => ({ index, digest: nullDigest })) }],
    "B7",
  ),
  doubling: rebeginning((each) => [{ ...each, viewChanges: doubled(each.viewChanges), proposals: [] }], "B8"),
  premature: sending((_to, message, tools) => {
    const { state, sign } = tools;
    if (message.kind !== "Status" || !state.isChanging) return [message];
    const viewChanges = [...state.viewChanges.values()].slice(0, state.quorum - 1);
    const begun = sign<NewView>({
      ...{ kind: "NewView", view: state.view, viewChanges },
      proposals: viewChanges.length === 0 ? [] : beginningFrom(viewChanges),
    });
    return [message, { kind: "Said", signed: begun }];
  }, "B9"),
  twoBeginnings,
  unbegun: rebeginning(() => []),
  beginningForOne: rebeginning(
    (each, to, { self, replicas }) =>
      replicas.indexOf(to) === (replicas.indexOf(self) + 1) % replicas.length ? [each] : [],
    "B15",
  ),
  nostalgic: { hazard: "B4", make: nostalgic },
};
