/**
 * Liars that attack clients: what they answer in place of what their replica does, by name.
 *
 * Owns: those behaviours. Beneath runs a correct replica, so they know what is right. Leaves to others: who lies, and the connection to the
 * client (`../client-side.ts`). Clients that ask f + 1 are not misled by any of them (V7, V9, V10).
 */
import { nextBetween, nextFraction, type Random } from "../../base/random.js";
import type { LogIndex, RequestNumber, SessionId } from "../../model/ids.js";
import {
  keyText,
  type AdmissionRefusal,
  type ReplicaMessage,
  type Reply,
  type RequestKey,
} from "../../model/request.js";
import { encodeValue } from "../../wire/canonical.js";

export interface AnswerTools {
  readonly self: string;
  readonly replicas: readonly string[];
  readonly random: Random;
  /** Of a vote for this reply. */
  digestOf(key: RequestKey, reply: Reply): Uint8Array;
}

type Answer = (message: ReplicaMessage, tools: AnswerTools) => readonly ReplicaMessage[];
type ReplyMessage = Extract<ReplicaMessage, { readonly kind: "reply" }>;
type VoteMessage = Extract<ReplicaMessage, { readonly kind: "vote" }>;

/** A client that is told so of a request asks for the vote of another one, and does not find it. */
const noDigest = new Uint8Array(32).fill(255);
const rememberedMax = 1_000;

/** Another reply in the place of each, and votes for it. */
function replying(other: (message: ReplyMessage, tools: AnswerTools) => Reply): () => Answer {
  return () => {
    const said = new Map<string, Reply>();
    return (message, tools) => {
      if (message.kind === "reply") {
        const reply = other(message, tools);
        said.set(keyText(message.key), reply);
        if (said.size > rememberedMax) said.clear();
        return [{ ...message, reply }];
      }
      if (message.kind !== "vote") return [message];
      const reply = said.get(keyText(message.key));
      return [{ ...message, digest: reply === undefined ? noDigest : tools.digestOf(message.key, reply) }];
    };
  };
}

function revoting(other: (vote: VoteMessage, tools: AnswerTools) => readonly ReplicaMessage[]): () => Answer {
  return () => (message, tools) => (message.kind === "vote" ? other(message, tools) : [message]);
}

function answering(other: (message: ReplyMessage, tools: AnswerTools) => readonly ReplicaMessage[]): () => Answer {
  return () => (message, tools) => (message.kind === "reply" ? other(message, tools) : [message]);
}

const isNumbered = (key: RequestKey): boolean => key.kind === "command" || key.kind === "resolve";

const refusals: readonly AdmissionRefusal[] = [
  { code: "OVERLOADED", queued: 1, limit: 1 },
  { code: "NO_LEADER" },
  { code: "STOPPING" },
  { code: "TOO_LARGE", bytes: 2, limit: 1 },
  { code: "GAP", next: 1 as RequestNumber },
  { code: "DISK_FULL" },
  { code: "UNKNOWN_COMMAND", name: "none" },
  { code: "INVALID_INPUT", message: "none" },
];

/** Of an earlier request, under the name of this one. */
function crossing(): Answer {
  let earlier: Reply | undefined;
  return (message) => {
    if (message.kind !== "reply" || !isNumbered(message.key)) return [message];
    const reply = earlier ?? message.reply;
    earlier = message.reply;
    return [{ ...message, reply }];
  };
}

/** What it has said already, again and again. */
function reciting(): Answer {
  const said: ReplicaMessage[] = [];
  return (message, { random }) => {
    if (said.push(message) > 20) said.shift();
    const again = said[nextBetween(random, 0, said.length - 1)];
    return again === undefined ? [message] : [again, message, message];
  };
}

export const answeringLiars: Readonly<Record<string, () => Answer>> = {
  wrongOutputs: replying(({ reply }, { random }) =>
    reply.status === "ok" ? { ...reply, output: encodeValue(nextBetween(random, 1_000_000, 9_999_999)) } : reply,
  ),
  nothingDone: replying(({ key, reply }) =>
    isNumbered(key) ? { status: "resolved", outcome: { kind: "tombstoned" } } : reply,
  ),
  rejecting: replying(({ reply }) =>
    reply.status === "ok" ? { status: "rejected", code: "NO", data: encodeValue(null), expiresAt: undefined } : reply,
  ),
  failing: replying(({ reply }) =>
    reply.status === "ok" ? { status: "failed", message: "it failed", expiresAt: undefined } : reply,
  ),
  endingSessions: replying(({ key, reply }) =>
    key.kind === "open" ? reply : { status: "refused", refusal: { code: "SESSION_EXPIRED", session: key.session } },
  ),
  otherSessions: replying(({ reply }, { random }) =>
    reply.status === "opened" ? { ...reply, session: nextBetween(random, 1, 20) as SessionId } : reply,
  ),
  farIndexes: () => (message) =>
    "index" in message ? [{ ...message, index: (message.index + 1_000_000) as LogIndex }] : [message],
  oldIndexes: () => (message) => ("index" in message ? [{ ...message, index: 1 as LogIndex }] : [message]),
  alone: revoting((vote) => [{ ...vote, voters: 1 }]),
  crowd: revoting((vote) => [{ ...vote, voters: 1_000 }]),
  othersNames: revoting((vote, { replicas }) => replicas.map((replica) => ({ ...vote, replica }))),
  wrongVotes: revoting((vote) => [{ ...vote, digest: noDigest }]),
  bothVotes: revoting((vote) => [{ ...vote, digest: noDigest }, vote]),
  withholdingVotes: revoting(() => []),
  refusing: answering(({ key }, { random }) => [
    {
      kind: "requestRefused",
      key,
      refusal: refusals[nextBetween(random, 0, refusals.length - 1)] ?? { code: "NO_LEADER" },
    },
  ]),
  refusingAndDoing: answering((message, { random }) => [
    { kind: "requestRefused", key: message.key, refusal: { code: "TOO_LARGE", bytes: 2, limit: 1 } },
    ...(nextFraction(random) < 0.5 ? [message] : []),
  ]),
  crossing: () => crossing(),
  reciting: () => reciting(),
  mute: () => (message) => (message.kind === "leader" ? [message] : []),
  misleading:
    () =>
    (message, { self, replicas, random }) => {
      const leader = replicas[nextBetween(random, 0, replicas.length - 1)] ?? self;
      const address = nextFraction(random) < 0.5 ? `${leader}:2` : "nobody:2";
      return [{ kind: "leader", leader, address }, ...(message.kind === "leader" ? [] : [message])];
    },
};
