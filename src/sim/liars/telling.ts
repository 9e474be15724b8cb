/** Liars that attack checkpoints, and replicas that lag: by what they claim, prove falsely, ask for, or answer. Owns: those behaviours. */
import { nextBetween } from "../../base/random.js";
import { nullBatch, nullDigest, type BftMessage, type Checkpoint, type Commit } from "../../consensus/bft/messages.js";
import { advance, noIndex, type View } from "../../model/ids.js";
import { madeUp, type LiarTools } from "./liar.js";
import { adding, doubled, isOther, restating, sending, type LiarKind, type LiarKinds } from "./lies.js";

function checkpointing(
  restate: (statement: Checkpoint, to: string, tools: LiarTools) => readonly Checkpoint[],
  hazard: string,
): LiarKind {
  return restating((each, to, tools) => (each.kind === "Checkpoint" ? restate(each, to, tools) : [each]), hazard);
}

/** A decision that only it has voted for, as often as a quorum has members. */
function falseProof({ state, sign }: LiarTools): BftMessage {
  const where = { view: state.view, index: advance(state.committed, 1), digest: nullDigest };
  const commits = Array<undefined>(state.quorum)
    .fill(undefined)
    .map(() => sign<Commit>({ kind: "Commit", ...where }));
  return { kind: "Committed", certificate: { ...where, commits }, batch: nullBatch };
}

export const telling: LiarKinds = {
  wrongCheckpoints: checkpointing((each) => [{ ...each, digest: madeUp }], "B16"),
  twoCheckpoints: checkpointing((each, to, tools) => [isOther(to, tools) ? { ...each, digest: madeUp } : each], "B16"),
  farCheckpoints: checkpointing((each) => [{ ...each, index: advance(each.index, 1_000_000) }], "B10"),
  noCheckpoints: checkpointing(() => [], "B10"),
  manyCheckpoints: adding(
    (_to, { state, random, sign }) =>
      Array.from({ length: 30 }, () => {
        const index = advance(state.stable.index, 4 * nextBetween(random, 1, 1_000_000));
        return { kind: "Said", signed: sign<Checkpoint>({ kind: "Checkpoint", index, digest: madeUp }) };
      }),
    "B22",
  ),
  unprovedStable: adding((_to, { state }) => {
    const { checkpoints } = state.stable;
    const stable = { ...state.stable, index: advance(state.stable.index, 4) };
    return [
      { kind: "Stable", certificate: stable },
      { kind: "Stable", certificate: { ...stable, checkpoints: doubled(checkpoints) } },
    ];
  }, "B16"),
  falseProofs: adding((_to, tools) => [falseProof(tools)], "B8"),
  /** A true proof of one index shown for the next. */
  misplacedProofs: sending((_to, message) => {
    if (message.kind !== "Committed") return [message];
    const { certificate } = message;
    return [{ ...message, certificate: { ...certificate, index: advance(certificate.index, 1) } }];
  }, "B17"),

  lyingStatus: sending(
    (_to, message, { random }) =>
      message.kind === "Status"
        ? [{ ...message, committed: advance(message.committed, nextBetween(random, 0, 1e9)), view: 1e9 as View }]
        : [message],
    "B17",
  ),
  /** Lacks everything, always. */
  needy: sending(
    (_to, message) =>
      message.kind === "Status"
        ? Array<BftMessage>(10).fill({
            ...message,
            view: 0 as View,
            isChanging: true,
            stable: noIndex,
            committed: noIndex,
          })
        : [message],
    "B24",
  ),
  fetching: adding(
    (_to, { state }) =>
      [...state.batches.keys(), madeUp].flatMap((digest) => Array<BftMessage>(5).fill({ kind: "FetchBatch", digest })),
    "B24",
  ),
  wrongBatches: sending(
    (_to, message) => (message.kind === "FetchedBatch" ? [{ kind: "FetchedBatch", batch: nullBatch }] : [message]),
    "B17",
  ),
  /** Votes, and helps nobody who lags. */
  unhelpful: sending((_to, message) =>
    message.kind === "Said" || message.kind === "PrePrepare" || message.kind === "Status" ? [message] : [],
  ),
};
