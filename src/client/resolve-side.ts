/**
 * Questions after the fate of commands whose outcome was unknown: `resolve(token)`.
 *
 * Owns: who asks, the fates learnt in the background (kept for those who ask later), and the `resolve` requests for numbers that
 * are not in the window any more or belong to another session. Numbers in the window are settled by `command-side.ts`, which
 * tells their fate here. Called by `client-core.ts` and `command-side.ts`.
 */
import type { Random } from "../base/random.js";
import type { LogIndex } from "../model/ids.js";
import type { Reply } from "../model/request.js";
import type { Desk } from "./desk.js";
import type { ClientLimits } from "./limits.js";
import type { AskRefusal, Completion, ExecutedReply, OutcomeToken, Resolution } from "./outcome.js";
import { backOffDelay } from "./pace.js";

export interface ResolveAsk {
  readonly token: OutcomeToken;
  readonly deadline: number;
  readonly completion: Completion<Resolution>;
}

export class PendingResolve {
  readonly ask: ResolveAsk;
  readonly askedAt: number;
  sentAt: number | undefined;
  retryAt = 0;
  failures = 0;
  refusal: AskRefusal | undefined;

  constructor(ask: ResolveAsk, now: number) {
    this.ask = ask;
    this.askedAt = now;
  }
}

export class ResolveSide {
  readonly #desk: Desk;
  readonly #limits: ClientLimits;
  readonly #random: Random;
  /** Few: people ask this by hand or once after a failure. */
  #pending: PendingResolve[] = [];
  readonly #settled = new Map<string, Resolution>();

  constructor(desk: Desk, limits: ClientLimits, random: Random) {
    this.#desk = desk;
    this.#limits = limits;
    this.#random = random;
  }

  get count(): number {
    return this.#pending.length;
  }

  add(pending: PendingResolve): void {
    const known = this.#settled.get(textOf(pending.ask.token));
    if (known !== undefined) this.#desk.answer(pending.ask.completion, known);
    else this.#pending.push(pending);
  }

  /** Sends what may be sent. The link is ready; `isInWindow` tells what is settled without us. */
  pump(now: number, isInWindow: (token: OutcomeToken) => boolean): void {
    for (const pending of this.#pending) {
      if (pending.sentAt !== undefined || pending.retryAt > now || isInWindow(pending.ask.token)) continue;
      pending.sentAt = now;
      const { session, number } = pending.ask.token;
      this.#desk.send({ kind: "request", request: { kind: "resolve", session, number } });
    }
  }

  /** The fate of a number is known, from whichever answer. */
  settle(token: OutcomeToken, resolution: Resolution): void {
    const text = textOf(token);
    this.#settled.set(text, resolution);
    if (this.#settled.size > this.#limits.settledMax) {
      for (const oldest of this.#settled.keys()) {
        this.#settled.delete(oldest);
        break;
      }
    }
    this.#answer(
      ({ ask }) => textOf(ask.token) === text,
      () => resolution,
    );
  }

  onReply(token: OutcomeToken, reply: Reply, index: LogIndex, now: number): void {
    const resolution = resolutionOf(reply, index);
    if (resolution === undefined) return this.onRefused(token, undefined, now);
    if (this.#pending.some(({ ask }) => isSame(ask.token, token))) this.settle(token, resolution);
  }

  onRefused(token: OutcomeToken, refusal: AskRefusal | undefined, now: number): void {
    for (const pending of this.#pending) {
      if (!isSame(pending.ask.token, token)) continue;
      pending.sentAt = undefined;
      pending.failures += 1;
      pending.refusal = refusal ?? pending.refusal;
      pending.retryAt = now + backOffDelay(this.#limits, pending.failures, this.#random);
    }
  }

  loseTries(): void {
    for (const pending of this.#pending) {
      pending.sentAt = undefined;
      pending.retryAt = 0;
    }
  }

  dropStalled(now: number, attemptMs: number): boolean {
    let stalled = false;
    for (const pending of this.#pending) {
      if (pending.sentAt === undefined || now < pending.sentAt + attemptMs) continue;
      pending.sentAt = undefined;
      stalled = true;
    }
    return stalled;
  }

  /** Refuses what is out of time; answers the earliest deadline of the others. */
  expire(now: number, refusalOf: (askedAt: number, last: AskRefusal | undefined) => AskRefusal): number {
    this.#answer(
      ({ ask }) => ask.deadline <= now,
      ({ askedAt, refusal }) => ({ status: "refused", refusal: refusalOf(askedAt, refusal) }),
    );
    return this.#pending.reduce((earliest, { ask }) => Math.min(earliest, ask.deadline), Infinity);
  }

  refuse(pending: PendingResolve, refusal: AskRefusal): void {
    this.#answer(
      (other) => other === pending,
      () => ({ status: "refused", refusal }),
    );
  }

  refuseAll(refusal: AskRefusal): void {
    this.#answer(
      () => true,
      () => ({ status: "refused", refusal }),
    );
  }

  /** When something is to be done, given that a link is ready. */
  wakeAt(attemptMs: number): number {
    let earliest = Infinity;
    for (const { sentAt, retryAt } of this.#pending) {
      earliest = Math.min(earliest, sentAt === undefined ? retryAt || Infinity : sentAt + attemptMs);
    }
    return earliest;
  }

  #answer(isMeant: (pending: PendingResolve) => boolean, resolutionFor: (pending: PendingResolve) => Resolution): void {
    if (this.#pending.length === 0) return;
    const meant = this.#pending.filter(isMeant);
    if (meant.length === 0) return;
    this.#pending = this.#pending.filter((pending) => !meant.includes(pending));
    for (const pending of meant) this.#desk.answer(pending.ask.completion, resolutionFor(pending));
  }
}

/** `undefined`: settled nothing, ask again. */
export function resolutionOf(reply: Reply, index: LogIndex): Resolution | undefined {
  switch (reply.status) {
    case "ok":
    case "rejected":
    case "failed":
      return { status: "executed", reply, index };
    case "resolved":
      return resolvedOf(reply.outcome.kind === "executed" ? reply.outcome.reply : "tombstoned", index);
    case "refused":
      return refusedOf(reply);
    case "opened":
    case "alive":
    case "closed":
      return undefined;
  }
}

function resolvedOf(reply: Reply | "tombstoned" | undefined, index: LogIndex): Resolution | undefined {
  if (reply === "tombstoned") return { status: "notExecuted" };
  if (reply === undefined) return { status: "executed", reply: undefined, index };
  // The stored reply of a number may itself say that nothing was executed (an idempotency conflict).
  return reply.status === "resolved" ? undefined : resolutionOf(reply, index);
}

function refusedOf(reply: Extract<Reply, { readonly status: "refused" }>): Resolution | undefined {
  switch (reply.refusal.code) {
    case "TOMBSTONED":
    case "IDEMPOTENCY_CONFLICT":
    case "IDEMPOTENCY_FULL":
      return { status: "notExecuted" };
    case "SESSION_UNKNOWN":
    case "SESSION_EXPIRED":
    // Executed or tombstoned, and released since: nobody kept which.
    case "REPLY_RELEASED":
      return { status: "lost" };
    case "OUT_OF_ORDER":
    case "TOO_MANY_REPLIES":
    case "TOO_MANY_TOMBSTONES":
      return undefined;
  }
}

export function isExecuted(reply: Reply): reply is ExecutedReply {
  return reply.status === "ok" || reply.status === "rejected" || reply.status === "failed";
}

function isSame(left: OutcomeToken, right: OutcomeToken): boolean {
  return left.session === right.session && left.number === right.number;
}

function textOf(token: OutcomeToken): string {
  return `${token.session}:${token.number}`;
}
