/** Liars that lie together, with one another's keys: strongest where there are f of them. Owns: those behaviours. */
import type { BftMessage, Checkpoint, Prepare, ViewChange } from "../../consensus/bft/messages.js";
import { primaryOf } from "../../consensus/bft/state.js";
import { nextView, type View } from "../../model/ids.js";
import { madeUp, type LiarTools } from "./liar.js";
import { adding, isOther, isVote, otherBatch, ownIn, rechanging, sending, type LiarKinds, type Vote } from "./lies.js";

/** Two halves are told two orders, and all liars vote in each half for its own order, before anybody asks. */
function conspire(to: string, message: BftMessage, tools: LiarTools): readonly BftMessage[] {
  const statement = ownIn(message, tools);
  if (statement === undefined || !isVote(statement)) return [message];
  const batch = tools.state.batches.get(statement.digest);
  if (batch === undefined || !tools.friends.includes(primaryOf(tools.state, statement.view))) return [message];
  const told = isOther(to, tools) ? otherBatch(batch, tools) : batch;
  const { view, index } = statement;
  const votes = tools.friends.flatMap((by) =>
    (["Prepare", "Commit"] as const).map((kind): BftMessage => {
      const vote: Vote = { kind, view, index, digest: told.digest };
      return { kind: "Said", signed: tools.sign(vote, by) };
    }),
  );
  if (message.kind !== "PrePrepare") return votes;
  const prepare = tools.sign<Prepare>({ kind: "Prepare", view, index, digest: told.digest });
  return [{ kind: "PrePrepare", prepare, batch: told }, ...votes];
}

/** The next view of which one of them is primary. */
function nextOfFriends({ state, friends }: LiarTools): View {
  let view = nextView(state.view);
  while (!friends.includes(primaryOf(state, view))) view = nextView(view);
  return view;
}

export const colluding: LiarKinds = {
  conspiring: sending(conspire, "B1"),
  /** Proofs that all liars have signed, as often as a quorum needs. */
  vouching: rechanging((each, _to, { state, friends, sign }) => {
    const prepared = each.prepared.map((certificate) => {
      const { view, index } = certificate;
      const prepares = Array.from({ length: state.quorum }, (_, at) =>
        sign<Prepare>({ kind: "Prepare", view, index, digest: madeUp }, friends[at % friends.length]),
      );
      return { ...certificate, digest: madeUp, prepares };
    });
    return [{ ...each, prepared }];
  }, "B6"),
  /** Each says for all of them that they leave for a view of their own. */
  enthroning: adding((_to, tools) => {
    const { friends, sign, state } = tools;
    const view = nextOfFriends(tools);
    return friends.map((by) => {
      const left: ViewChange = { kind: "ViewChange", view, stable: state.stable, prepared: [] };
      return { kind: "Said", signed: sign(left, by) };
    });
  }),
  /** Silent one after the other, so that nobody is long enough to be missed. */
  takingTurns: sending((_to, message, { friends, self, now }) =>
    Math.floor(now / 150) % (friends.length + 1) === friends.indexOf(self) ? [] : [message],
  ),
  /** One state that is none, told by all of them. */
  sameWrongState: adding((_to, { state, friends, sign }) => {
    const index =
      Math.ceil((state.committed + 1) / state.settings.checkpointInterval) * state.settings.checkpointInterval;
    return friends.map((by) => {
      const wrong: Checkpoint = { kind: "Checkpoint", index: index as Checkpoint["index"], digest: madeUp };
      return { kind: "Said", signed: sign(wrong, by) };
    });
  }, "B8"),
};
