/**
 * Replies: how they are made of outcomes, and what is kept while one is still being made.
 *
 * Owns: the translation of a machine's outcome, its limits, and the bytes that a kept reply counts for. Called by the executor and
 * the tables. Everything here is deterministic, since replies are replicated state.
 */
import type { Outcome } from "../api/low-level.js";
import { utf8Length } from "../base/utf8.js";
import { invariant } from "../base/invariant.js";
import { requestLimits } from "../model/request-limits.js";
import { EncodedCommand, type ExecutedRefusal, type Reply, type RequestKey } from "../model/request.js";

/**
 * A command of an entry: one object from its bytes to its reply, since each replica makes one for every command.
 *
 * While its entry is being executed it stands in for its reply, so that a repeat within the same entry finds it; when the machine has answered, `reply` is
 * set and takes its place. It is also what the machine is given, and what is told of it afterwards.
 */
export class Running extends EncodedCommand {
  /** Place in the entry, from 0. */
  ordinal = 0;
  /** Of other sessions, which wait for the same reply, since they came under the same idempotency key. */
  twins: Running[] | undefined = undefined;
  reply: Reply | undefined = undefined;

  get status(): "running" {
    return "running";
  }

  /** It ran for itself. */
  get repeated(): false {
    return false;
  }

  get key(): RequestKey {
    return this;
  }

  get answer(): this {
    return this;
  }
}

/** What is kept for a request: its reply, or who will give it before the entry ends. */
export type Kept = Reply | Running;

/** A cut message stays below its limit whatever its letters: three bytes for each unit. */
const messageUnitsMax = Math.floor(requestLimits.messageBytesMax / 3);

export function replyOf(outcome: Outcome, expiresAt: number | undefined): Reply {
  switch (outcome.status) {
    case "ok": {
      const { output } = outcome;
      if (output.length > requestLimits.replyBytesMax) return tooLarge(output.length, expiresAt);
      return { status: "ok", output, expiresAt };
    }
    case "rejected": {
      const { code, data } = outcome;
      const bytes = data.length + utf8Length(code);
      if (bytes > requestLimits.replyBytesMax) return tooLarge(bytes, expiresAt);
      if (utf8Length(code) > requestLimits.codeBytesMax) return tooLarge(utf8Length(code), expiresAt);
      return { status: "rejected", code, data, expiresAt };
    }
    case "failed":
      return { status: "failed", message: outcome.message.slice(0, messageUnitsMax), expiresAt };
  }
}

export function refused(refusal: ExecutedRefusal): Reply {
  return { status: "refused", refusal };
}

export function isTombstone(reply: Reply): boolean {
  return reply.status === "refused" && reply.refusal.code === "TOMBSTONED";
}

/** Called once the machine has answered: whatever was running has its reply by then. */
export function settledReply(kept: Kept): Reply {
  if (kept.status !== "running") return kept;
  invariant(kept.reply !== undefined, "X7 nothing is still running between two entries");
  return kept.reply;
}

/** Memory of a kept reply besides its content: objects, views and table places, measured and rounded up. */
const allowanceBytes = 256;

/** What a kept reply counts for in every limit on bytes. */
export function replyBytes(reply: Reply): number {
  switch (reply.status) {
    case "ok":
      return allowanceBytes + reply.output.length;
    case "rejected":
      return allowanceBytes + reply.data.length + reply.code.length;
    case "failed":
      return allowanceBytes + reply.message.length;
    default:
      return allowanceBytes;
  }
}

/** The machine did execute it; only the answer cannot be carried. A machine that limits its own outputs never comes here. */
function tooLarge(bytes: number, expiresAt: number | undefined): Reply {
  const message = `Cannot answer: the command was executed, but its output has ${bytes} bytes and the limit is ${requestLimits.replyBytesMax}.`;
  return { status: "failed", message, expiresAt };
}
