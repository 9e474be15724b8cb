/**
 * Commands: one session, many in flight, executed once each in the order of the calls.
 *
 * Owns: the session and its window; what each answer, refusal, silence and loss of a link means for them. Leaves to others: the
 * choice of a replica (`routes.ts`, asked by `complaint`), time-outs of callers (`client-core.ts` tells `expire`), the fates that
 * somebody asks for later (`resolve-side.ts`). Called by `client-core.ts`.
 *
 * Invariants
 *  A4 only what is surely without effect is called refused: a command of which a copy may still be anywhere ends as unknown
 *     (hazard C4).
 *  A6 nothing that was sent under one session is ever sent under another (hazard C6).
 *  A7 the number of a command given up is closed by a `resolve`, so that later numbers run.
 */
import { invariant } from "../base/invariant.js";
import type { Random } from "../base/random.js";
import type { LogIndex, RequestNumber, SessionId } from "../model/ids.js";
import {
  executedRefusalCodes,
  type AdmissionRefusal,
  type ExecutedRefusal,
  type Reply,
  type RequestKey,
} from "../model/request.js";
import type { Desk } from "./desk.js";
import type { ClientLimits } from "./limits.js";
import type { AskRefusal, CommandOutcome, OutcomeToken, UnknownCause } from "./outcome.js";
import { Pace } from "./pace.js";
import { meaningOf, remedyFor } from "./refusals.js";
import { isExecuted, resolutionOf, type ResolveSide } from "./resolve-side.js";
import { forgetAsked, isAsking, noSession, type ClientSession } from "./session.js";
import { Window, type PendingCommand } from "./window.js";

export interface CommandSideParts {
  readonly desk: Desk;
  readonly limits: ClientLimits;
  readonly random: Random;
  readonly resolves: ResolveSide;
  readonly principal: string;
  /** A text that no other opening ever has. */
  readonly drawNonce: () => string;
  /** Replicas may lie: one that refuses what it was sent may have passed it on all the same, and proves nothing. */
  readonly mayBeDeceived: boolean;
}

/** A replica that may lie is left after so many refusals in a row. */
const refusalsMax = 3;

export class CommandSide {
  readonly #parts: CommandSideParts;
  readonly #window: Window;
  readonly #pace: Pace;
  #session: ClientSession = noSession;
  /** Since when what was sent over this link has not moved on. */
  #silentSince = 0;
  #complaint: string | undefined;
  #lastRefusal: AskRefusal | undefined;

  constructor(parts: CommandSideParts) {
    this.#parts = parts;
    this.#window = new Window(parts.limits);
    this.#pace = new Pace(parts.limits, parts.random);
  }

  get inFlight(): number {
    return this.#window.inFlight;
  }

  get waiting(): number {
    return this.#window.waiting;
  }

  get session(): ClientSession {
    return this.#session;
  }

  /** The last refusal since something was answered: why those who wait still do. */
  get lastRefusal(): AskRefusal | undefined {
    return this.#lastRefusal;
  }

  /** Why another replica should be asked; told once. */
  takeComplaint(): string | undefined {
    const complaint = this.#complaint;
    this.#complaint = undefined;
    return complaint;
  }

  refusalFor(bytes: number): AskRefusal | undefined {
    return this.#window.refusalFor(bytes);
  }

  add(command: PendingCommand): void {
    this.#window.enqueue(command);
  }

  isInWindow({ session, number }: OutcomeToken): boolean {
    if (this.#session.kind !== "open" || this.#session.id !== session) return false;
    const stage = this.#window.at(number)?.stage;
    return stage === "sent" || stage === "settling";
  }

  /** Sends what may be sent. The link is ready. */
  pump(now: number): void {
    if (this.#pace.isHeld(now)) return;
    const session = this.#usableSession(now);
    if (session === undefined) return;
    for (;;) {
      const wasOutstanding = this.#window.isOutstanding;
      const command = this.#window.takeToSend();
      if (command === undefined) return;
      if (!wasOutstanding) this.#silentSince = now;
      this.#send(command, session);
    }
  }

  onReply(key: RequestKey, reply: Reply, index: LogIndex, now: number): void {
    const session = this.#session;
    if (key.kind === "open") return this.#onOpenReply(key.nonce, reply, now);
    if (session.kind !== "open" || session.id !== key.session) return this.#countLate();
    if (reply.status === "refused" && meaningOf(reply.refusal) === "session") return this.#loseSession(reply.refusal);
    session.provenAt = now;
    if (key.kind === "keepAlive") {
      session.isProbed = false;
      return this.#progressed(now);
    }
    const command = this.#find(key);
    if (command === undefined) return this.#countLate();
    this.#onCommandReply(command, reply, index, now);
  }

  onRefused(key: RequestKey, refusal: AdmissionRefusal, now: number): void {
    const session = this.#session;
    if (key.kind === "open") {
      if (session.kind !== "opening" || session.nonce !== key.nonce) return this.#countLate();
      session.isAsked = false;
      return this.#hold(refusal, now);
    }
    if (session.kind !== "open" || session.id !== key.session) return this.#countLate();
    if (key.kind === "keepAlive") {
      session.isProbed = false;
      return this.#hold(refusal, now);
    }
    const command = this.#find(key);
    if (command === undefined) return this.#countLate();
    this.#onCopyRefused(command, refusal, now);
  }

  /** The link is gone: what was sent may be anywhere, and is sent again over the next one, in order. */
  loseTries(now: number): void {
    this.#window.loseAllCopies();
    forgetAsked(this.#session);
    this.#pace.release();
    this.#silentSince = now;
  }

  /**
   * Another leader, or another term: the replica may have sent what waits there to both, so that a refusal by one of them says
   * nothing of the other.
   */
  leaderChanged(): void {
    for (const command of this.#window.numbered()) if (command.copies > 0) command.doubtful = true;
  }

  /** Nothing has moved for the length of an attempt. */
  isStalled(now: number, attemptMs: number): boolean {
    return this.#isOutstanding() && now >= this.#silentSince + attemptMs;
  }

  keepAlive(now: number): void {
    const session = this.#session;
    if (session.kind !== "open" || session.isProbed || this.#pace.isHeld(now)) return;
    if (now < session.provenAt + this.#parts.limits.keepAliveMs) return;
    this.#probe(session, now);
  }

  /** Gives up on what is out of time; answers the earliest deadline of the others. */
  expire(now: number, refusalOf: (askedAt: number, last: AskRefusal | undefined) => AskRefusal): number {
    let earliest = Infinity;
    for (const command of [...this.#window.numbered(), ...this.#window.unnumbered()]) {
      if (command.completion === undefined) continue;
      if (command.ask.deadline > now) earliest = Math.min(earliest, command.ask.deadline);
      else this.giveUp(command, "timed out", refusalOf(command.askedAt, command.refusal ?? this.#lastRefusal));
    }
    return earliest;
  }

  /** The caller waits no longer; then the number of what was sent is closed (A7). */
  giveUp(command: PendingCommand, cause: UnknownCause, refusal: AskRefusal): void {
    if (command.completion === undefined) return;
    this.#answerWithoutReply(command, cause, refusal);
    if (command.stage === "sent") this.#close(command);
  }

  /** The client ends: everybody is answered. Numbers stay open, since nobody will use this session again. */
  giveUpAll(cause: UnknownCause, refusal: AskRefusal): void {
    for (const command of [...this.#window.unnumbered(), ...this.#window.numbered()]) {
      if (command.completion !== undefined) this.#answerWithoutReply(command, cause, refusal);
    }
  }

  /** When something is to be done, given that a link is ready. */
  wakeAt(attemptMs: number): number {
    const stalledAt = this.#isOutstanding() ? this.#silentSince + attemptMs : Infinity;
    if (this.#pace.isWaiting) return Math.min(stalledAt, this.#pace.resumeAt);
    const session = this.#session;
    if (session.kind !== "open" || session.isProbed) return stalledAt;
    return Math.min(stalledAt, session.provenAt + this.#parts.limits.keepAliveMs);
  }

  /** The session that commands may be sent under now; asks for what is missing. */
  #usableSession(now: number): SessionId | undefined {
    const session = this.#session;
    switch (session.kind) {
      case "none":
        if (this.#window.waiting > 0) this.#open(now);
        return undefined;
      case "opening":
        if (!session.isAsked) this.#askOpen(session, now);
        return undefined;
      case "open": {
        const isSuspect = this.#window.inFlight === 0 && now >= session.provenAt + this.#parts.limits.suspectMs;
        if (!isSuspect) return session.id;
        if (!session.isProbed && this.#window.waiting > 0) this.#probe(session, now);
        return undefined;
      }
    }
  }

  #open(now: number): void {
    invariant(this.#window.inFlight === 0, "A6 nothing is in flight when a session is opened");
    const opening = { kind: "opening", nonce: this.#parts.drawNonce(), isAsked: false } as const;
    this.#session = opening;
    this.#askOpen(opening, now);
  }

  #askOpen(opening: Extract<ClientSession, { readonly kind: "opening" }>, now: number): void {
    opening.isAsked = true;
    this.#silentSince = now;
    const { desk, principal } = this.#parts;
    desk.send({ kind: "request", request: { kind: "open", nonce: opening.nonce, principal } });
  }

  #probe(session: Extract<ClientSession, { readonly kind: "open" }>, now: number): void {
    if (!this.#isOutstanding()) this.#silentSince = now;
    session.isProbed = true;
    const acknowledgedBelow = this.#window.lowest;
    this.#parts.desk.send({ kind: "request", request: { kind: "keepAlive", session: session.id, acknowledgedBelow } });
  }

  #send(command: PendingCommand, session: SessionId): void {
    const { number, ask } = command;
    invariant(number !== undefined, "A2 what is sent has a number");
    const { desk } = this.#parts;
    const isRepeated = command.copies > 0 || command.doubtful || command.refusal !== undefined;
    command.copies += 1;
    command.session = session;
    if (command.stage === "settling") {
      desk.counters.resolves += 1;
      return desk.send({ kind: "request", request: { kind: "resolve", session, number } });
    }
    if (isRepeated) desk.counters.retries += 1;
    const { name, input, idempotency } = ask;
    const acknowledgedBelow = this.#window.lowest;
    desk.send({
      kind: "request",
      request: { kind: "command", session, number, acknowledgedBelow, name, input, idempotency },
    });
  }

  #onOpenReply(nonce: string, reply: Reply, now: number): void {
    const session = this.#session;
    if (session.kind !== "opening" || session.nonce !== nonce) return this.#countLate();
    if (reply.status === "opened") {
      this.#parts.desk.counters.sessionsOpened += 1;
      this.#window.restart();
      this.#session = { kind: "open", id: reply.session, provenAt: now, isProbed: false };
      return this.#progressed(now);
    }
    session.isAsked = false;
    if (reply.status === "refused") this.#hold(reply.refusal, now);
  }

  #onCommandReply(command: PendingCommand, reply: Reply, index: LogIndex, now: number): void {
    if (reply.status === "refused" && meaningOf(reply.refusal) === "free") {
      // A replica may have passed several copies on: that one of them came too early proves nothing of the others.
      command.doubtful = true;
      return this.#onCopyRefused(command, reply.refusal, now);
    }
    const resolution = resolutionOf(reply, index);
    if (resolution === undefined) return;
    if (command.stage === "settling") this.#parts.resolves.settle(this.#tokenOf(command), resolution);
    if (command.completion !== undefined) this.#answer(command, this.#outcomeOf(command, reply, index));
    this.#window.finish(command);
    this.#progressed(now);
  }

  #outcomeOf(command: PendingCommand, reply: Reply, index: LogIndex): CommandOutcome {
    if (isExecuted(reply)) return { status: "answered", reply, index };
    if (reply.status === "resolved") {
      const { outcome } = reply;
      if (outcome.kind === "executed" && outcome.reply !== undefined && outcome.reply.status !== "resolved") {
        return this.#outcomeOf(command, outcome.reply, index);
      }
      const refusal = command.refusal ?? { code: "TOMBSTONED", number: this.#tokenOf(command).number };
      if (outcome.kind === "tombstoned") return { status: "refused", refusal };
    }
    if (reply.status === "refused" && meaningOf(reply.refusal) === "spent") {
      return { status: "refused", refusal: command.refusal ?? reply.refusal };
    }
    return { status: "unknown", cause: "reply no longer kept", token: this.#tokenOf(command) };
  }

  /** One copy had no effect. Others may still be on their way. */
  #onCopyRefused(command: PendingCommand, refusal: AdmissionRefusal | ExecutedRefusal, now: number): void {
    command.copies = Math.max(0, command.copies - 1);
    if (this.#parts.mayBeDeceived) command.doubtful = true;
    // Answers come in the order of the questions, so this one is to an older copy: the newer decides.
    if (command.copies > 0) return;
    command.refusal = refusal;
    const number = this.#tokenOf(command).number;
    if (command.stage === "sent" && isAdmission(refusal) && remedyFor(refusal, 0) === "final") {
      this.#parts.desk.countRefusal(refusal.code);
      if (!command.doubtful) this.#answer(command, { status: "refused", refusal });
      else if (this.#parts.mayBeDeceived) this.#complaint = `refused: ${refusal.code}`;
      // In doubt the caller waits for the resolve, which tells whether another copy was executed.
      command.stage = "settling";
      return this.#window.goBackTo(number);
    }
    if (refusal.code === "GAP" && !this.#pace.isHeld(now)) {
      // What lies between has not arrived either.
      this.#window.loseCopies(refusal.next, number);
      this.#window.goBackTo(refusal.next);
    }
    this.#window.goBackTo(number);
    this.#hold(refusal, now);
  }

  /** Nothing is sent for a while; a whole window that is refused counts as one refusal. */
  #hold(refusal: AdmissionRefusal | ExecutedRefusal, now: number): void {
    this.#parts.desk.countRefusal(refusal.code);
    this.#lastRefusal = refusal;
    this.#silentSince = now;
    if (this.#pace.isHeld(now)) return;
    this.#pace.hold(now);
    const { failures } = this.#pace;
    const isTooOften = this.#parts.mayBeDeceived && failures >= refusalsMax;
    if (!isAdmission(refusal) || (remedyFor(refusal, failures) !== "elsewhere" && !isTooOften)) return;
    this.#complaint = `refused: ${refusal.code}`;
  }

  /** A6: what was sent under it stays unknown; what was not waits for the next session. */
  #loseSession(refusal: ExecutedRefusal): void {
    const { desk, resolves } = this.#parts;
    desk.counters.sessionsLost += 1;
    desk.countRefusal(refusal.code);
    for (const command of this.#window.numbered()) {
      const token = this.#tokenOf(command);
      if (command.completion !== undefined) {
        this.#answer(command, { status: "unknown", cause: "session lost", token });
      }
      command.stage = "done";
      resolves.settle(token, { status: "lost" });
    }
    this.#session = noSession;
    this.#window.restart();
  }

  /** Refused if that is certain, unknown if it is not (A4). */
  #answerWithoutReply(command: PendingCommand, cause: UnknownCause, refusal: AskRefusal): void {
    if (command.stage === "waiting") this.#window.abandonWaiting(command);
    else if (!command.isSurelyRefused) {
      return this.#answer(command, { status: "unknown", cause, token: this.#tokenOf(command) });
    }
    this.#answer(command, { status: "refused", refusal });
  }

  #close(command: PendingCommand): void {
    invariant(command.stage === "sent", "A7 only the number of what was sent is left to be closed");
    command.stage = "settling";
    const session = this.#session;
    const { number } = this.#tokenOf(command);
    if (session.kind !== "open" || !this.#window.hasPassed(number)) return;
    // Sent again from here if its link is gone or its copy was refused; a resolve beside a copy on its way costs nothing.
    if (command.copies === 0) return this.#window.goBackTo(number);
    this.#send(command, session.id);
  }

  #progressed(now: number): void {
    this.#silentSince = now;
    this.#lastRefusal = undefined;
    this.#pace.progressed();
  }

  #isOutstanding(): boolean {
    return this.#window.isOutstanding || isAsking(this.#session);
  }

  #find(key: RequestKey): PendingCommand | undefined {
    if (key.kind !== "command" && key.kind !== "resolve") return undefined;
    const command = this.#window.at(key.number);
    return command?.stage === "done" ? undefined : command;
  }

  #answer(command: PendingCommand, outcome: CommandOutcome): void {
    const { completion } = command;
    invariant(completion !== undefined, "A4 a command is answered once");
    command.completion = undefined;
    this.#parts.desk.answer(completion, outcome);
  }

  #tokenOf(command: PendingCommand): { readonly session: SessionId; readonly number: RequestNumber } {
    const session = this.#session;
    invariant(session.kind === "open", "A2 what has a number has a session");
    invariant(command.number !== undefined, "A2 what was sent has a number");
    return { session: session.id, number: command.number };
  }

  #countLate(): void {
    this.#parts.desk.counters.lateAnswers += 1;
  }
}

const executedCodes: ReadonlySet<string> = new Set(executedRefusalCodes);

function isAdmission(refusal: AdmissionRefusal | ExecutedRefusal): refusal is AdmissionRefusal {
  return !executedCodes.has(refusal.code);
}
