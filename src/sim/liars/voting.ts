/** Liars that attack agreement by what they vote for, and by whom they tell. Owns: those behaviours, from backups and primaries alike. */
import { nextBetween, nextFraction } from "../../base/random.js";
import { nullDigest } from "../../consensus/bft/messages.js";
import { advance, type View } from "../../model/ids.js";
import { madeUp } from "./liar.js";
import { isOther, isVote, restating, revoting, sending, type LiarKinds } from "./lies.js";

export const voting: LiarKinds = {
  silent: sending(() => []),
  unreliable: sending((_to, message, { random }) => (nextFraction(random) < 0.5 ? [] : [message])),
  deafToSome: sending((to, message, tools) => (isOther(to, tools) ? [] : [message]), "B11"),
  /** One replica hears nothing from it, whoever is primary. */
  isolating: sending(
    (to, message, { self, replicas }) =>
      replicas.indexOf(to) === (replicas.indexOf(self) + 1) % replicas.length ? [] : [message],
    "B11",
  ),

  corruptVotes: revoting((each) => [{ ...each, digest: madeUp }], "B2"),
  doubleVotes: revoting((each) => [each, { ...each, digest: nullDigest }], "B2"),
  corruptCommits: revoting(
    (each, to, tools) => (each.kind === "Commit" && isOther(to, tools) ? [{ ...each, digest: nullDigest }] : [each]),
    "B2",
  ),
  /** Tells each that it votes for what that one votes for. */
  flattering: revoting((each, to, { state }) => {
    const theirs = state.slots.get(each.index)?.prepares.get(to)?.statement;
    return [theirs === undefined ? each : { ...each, digest: theirs.digest, view: theirs.view }];
  }, "B1"),

  nextIndex: revoting((each) => [each, { ...each, index: advance(each.index, 1) }], "B6"),
  /** The digest of the index before, so that what is decided there would be decided here as well. */
  shifted: revoting((each, _to, { state }) => {
    const before = state.slots.get(advance(each.index, -1))?.accepted;
    return [before === undefined ? each : { ...each, digest: before.digest }];
  }, "B6"),
  farIndex: revoting(
    (each, _to, { random }) => [each, { ...each, index: advance(each.index, nextBetween(random, 10, 1_000_000)) }],
    "B10",
  ),
  oldView: revoting((each) => (each.view > 0 ? [{ ...each, view: (each.view - 1) as View }] : [each]), "B6"),
  farView: restating(
    (each) =>
      isVote(each) || each.kind === "ViewChange"
        ? [each, { ...each, view: (each.view + 1_000_000_000) as View }]
        : [each],
    "B22",
  ),

  withholdingPrepares: revoting((each) => (each.kind === "Prepare" ? [] : [each])),
  withholdingCommits: revoting((each) => (each.kind === "Commit" ? [] : [each])),
  /** COMMIT together with PREPARE, whatever the others say. */
  hasty: revoting((each) => (each.kind === "Prepare" ? [each, { ...each, kind: "Commit" }] : [each]), "B18"),
  /** COMMIT for something else than it said PREPARE for, to all alike. */
  turning: revoting((each) => (each.kind === "Commit" ? [{ ...each, digest: nullDigest }] : [each]), "B2"),
};
