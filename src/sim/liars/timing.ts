/** Liars that say nothing wrong at the wrong time: late, first to some, again, or far too often. Owns: those behaviours. */
import { nextBetween } from "../../base/random.js";
import { nullDigest, type BftMessage, type Prepare } from "../../consensus/bft/messages.js";
import { highMark } from "../../consensus/bft/state.js";
import { advance, type View } from "../../model/ids.js";
import { madeUp, type Liar, type LiarTools } from "./liar.js";
import { adding, isVote, ownIn, sending, type LiarKind, type LiarKinds } from "./lies.js";

/** Sends everything, each message after the time that `lateMs` gives. */
function delaying(lateMs: (message: BftMessage, to: string, tools: LiarTools) => number, hazard?: string): LiarKind {
  return sending((to, message, tools) => {
    const ms = lateMs(message, to, tools);
    if (ms === 0) return [message];
    tools.later(ms, () => [message]);
    return [];
  }, hazard);
}

/** What it heard first of all, for ever. */
function hoarding(): Omit<Liar, "name"> {
  const kept: BftMessage[] = [];
  return {
    outgoing(_to, message, { received, random }) {
      const newest = received.at(-1);
      if (kept.length < 200 && newest !== undefined && !kept.includes(newest)) kept.push(newest);
      const old = kept[nextBetween(random, 0, kept.length)];
      return old === undefined ? [message] : [message, old];
    },
  };
}

export const timing: LiarKinds = {
  /** Proposals just within the time that a request may wait. */
  slowPrimary: delaying(
    (message, _to, { state }) => (message.kind === "PrePrepare" ? state.settings.requestTimeoutMs * 0.9 : 0),
    "B14",
  ),
  /** Everybody is served but one. */
  starving: {
    hazard: "B14",
    make: () => ({
      outgoing: (_to, message) => [message],
      orders: (waiting) => waiting.filter(({ client }) => client !== "x"),
    }),
  },
  slowCommits: delaying((message, _to, tools) => (ownIn(message, tools)?.kind === "Commit" ? 60 : 0)),
  /** Nothing for a while, then everything at once. */
  bursting: delaying((_message, _to, { now }) => 100 - (now % 100)),
  /** One replica is told at once, the others when it no longer matters. */
  oneFirst: delaying((_message, to, { replicas }) => (replicas.indexOf(to) === 1 ? 0 : 80), "B11"),
  /** Its reports and beginnings come when the others have given up. */
  lateViews: delaying((message, _to, tools) => {
    const kind = ownIn(message, tools)?.kind;
    return kind === "ViewChange" || kind === "NewView" ? tools.state.settings.requestTimeoutMs * 1.5 : 0;
  }, "B15"),

  replaying: sending((_to, message, { received, random }) => {
    const old = received[nextBetween(random, 0, received.length)];
    return old === undefined ? [message] : [message, old];
  }, "B4"),
  hoarding: { hazard: "B4", make: hoarding },
  stuttering: sending((_to, message) => Array<BftMessage>(6).fill(message), "B24"),
  /** What another said, changed, under that one's signature. */
  forging: sending((_to, message, { received, random }) => {
    const heard = received[nextBetween(random, 0, received.length)];
    if (heard?.kind !== "Said" || !isVote(heard.signed.statement)) return [message];
    return [
      message,
      { kind: "Said", signed: { ...heard.signed, statement: { ...heard.signed.statement, digest: nullDigest } } },
    ];
  }, "B19"),
  /** Votes for every index of the window and many views. */
  flooding: adding(
    (_to, { state, random, sign }) =>
      Array.from({ length: 40 }, () => {
        const index = advance(state.stable.index, nextBetween(random, 1, highMark(state) - state.stable.index + 4));
        const view = nextBetween(random, 0, 1_000_000) as View;
        return { kind: "Said", signed: sign<Prepare>({ kind: "Prepare", view, index, digest: madeUp }) };
      }),
    "B22",
  ),
};
