/**
 * The replicated sessions (Raft thesis, section 6.3; design: exactly-once).
 *
 * Owns: which number of which session may run, the replies that a retry gets, tombstones, expiry and eviction. Changed by
 * execution alone, so it is the same on every replica at the same index; others see it through `SessionView`. Leaves to others:
 * running commands (`executor.ts`), keys across sessions (`idempotency-table.ts`), bytes (`session-codec.ts`).
 *
 * Every request costs O(1) and each reply is released once. All sessions live equally long after their last use, so one order
 * by age serves both expiry and eviction. Keeps X3, X5.
 */
import type { SessionLimits } from "../api/config.js";
import type { Fingerprint, Mixer } from "../base/fingerprint.js";
import { invariant } from "../base/invariant.js";
import type { Steps } from "../base/steps.js";
import { firstRequest, firstSession, nextRequest, nextSession } from "../model/ids.js";
import type { AgreedTime, RequestNumber, SessionId } from "../model/ids.js";
import type { CommandRequest, ExecutedRefusal, Reply, Request } from "../model/request.js";
import { AgeFingerprint, mixKept, type Counted } from "./age-fingerprint.js";
import { AgeOrder } from "./age-order.js";
import type { Aged } from "./age-order.js";
import { checkSession, checkWithin } from "./invariants.js";
import { isTombstone, refused, replyBytes } from "./replies.js";
import type { Kept, Running } from "./replies.js";
import type { OpenSession, SessionView } from "./session-view.js";

export interface Session extends OpenSession, Aged<Session>, Counted {
  readonly nonce: string;
  next: RequestNumber;
  releasedBelow: RequestNumber;
  expiresAt: AgreedTime;
  /** By number: one for each from `releasedBelow` to `next`, and tombstones from `next` on. */
  readonly replies: Map<RequestNumber, Kept>;
  tombstonesAhead: number;
  replyBytes: number;
}

/** What a `resolve` found: settled, or a command of this very entry. */
export type Resolution = Reply | { readonly status: "resolving"; readonly of: Running };

export interface SessionCounts {
  readonly opened: number;
  readonly expired: number;
  readonly evicted: number;
  readonly closed: number;
}

type RequestOf<Kind extends Request["kind"]> = Extract<Request, { readonly kind: Kind }>;

export class SessionTable implements SessionView {
  readonly #limits: SessionLimits;
  #byId = new Map<SessionId, Session>();
  #byOpener = new Map<string, Session>();
  #byAge = new AgeOrder<Session>();
  #fingerprint = new AgeFingerprint<Session>(mixSession);
  #nextId: SessionId = firstSession;
  #replyBytes = 0;
  #time: AgreedTime = 0;
  #counts = { opened: 0, expired: 0, evicted: 0, closed: 0 };

  constructor(limits: SessionLimits) {
    this.#limits = limits;
  }

  /** Moves agreed time on and expires what is due, oldest first, as many as one entry may. */
  advance(time: AgreedTime): void {
    invariant(time >= this.#time, "X2 agreed time never goes back");
    this.#time = time;
    for (let count = 0; count < this.#limits.expirationsPerEntryMax; count += 1) {
      const session = this.#byAge.oldest;
      if (session === undefined || session.expiresAt > time) return;
      this.#remove(session);
      this.#counts.expired += 1;
    }
  }

  /** The earliest agreed time at which a session expires. */
  dueAt(): AgreedTime | undefined {
    return this.#byAge.oldest?.expiresAt;
  }

  open(request: RequestOf<"open">): { readonly reply: Reply; readonly repeated: boolean } {
    const opener = openerOf(request.principal, request.nonce);
    const known = this.#live(this.#byOpener.get(opener));
    if (known !== undefined) {
      this.#touch(known);
      return { reply: { status: "opened", session: known.id }, repeated: true };
    }
    if (this.#byId.size >= this.#limits.sessionsMax) this.#evictOldest();
    const session = newSession(this.#nextId, request.principal, request.nonce);
    this.#nextId = nextSession(this.#nextId);
    this.#insert(session);
    this.#touch(session);
    this.#counts.opened += 1;
    checkWithin(this.#byId.size, this.#limits.sessionsMax);
    return { reply: { status: "opened", session: session.id }, repeated: false };
  }

  /** What this command is answered without running. `undefined`: it is the session's next, and the caller must `spend` it. */
  lookUp(command: CommandRequest): Kept | undefined {
    const session = this.#find(command.session);
    if (session === undefined) return this.#absent(command.session);
    const { number } = command;
    // Refused without any effect, so that the same request can be sent again when its time has come.
    if (number > session.next) {
      return session.replies.get(number) ?? refused({ code: "OUT_OF_ORDER", number, next: session.next });
    }
    this.#touch(session);
    this.#release(session, command.acknowledgedBelow);
    if (number < session.next) return session.replies.get(number) ?? refused({ code: "REPLY_RELEASED", number });
    const full = this.#fullness(session);
    return full === undefined ? undefined : refused(full);
  }

  /** The session's next number is used up by what is kept for it; tombstones behind it are passed over. */
  spend(id: SessionId, number: RequestNumber, kept: Kept): void {
    const session = this.#byId.get(id);
    invariant(session !== undefined && session.next === number, "X3 only a session's next number is spent");
    this.#keep(session, number, kept);
    session.next = nextRequest(number);
    while (session.tombstonesAhead > 0 && session.replies.has(session.next)) {
      session.next = nextRequest(session.next);
      session.tombstonesAhead -= 1;
    }
    checkSession(session);
  }

  /** The machine has answered: the reply takes the place of what was running, unless that was released or removed since. */
  settle(running: Running, reply: Reply): void {
    const session = this.#byId.get(running.session);
    if (session === undefined || session.replies.get(running.number) !== running) return;
    this.#keep(session, running.number, reply);
  }

  /** After an entry: bounds the bytes kept for all sessions by giving up those that were used least recently. */
  trim(): void {
    while (this.#replyBytes > this.#limits.replyBytesTotalMax && this.#byId.size > 1) this.#evictOldest();
  }

  /** A number not executed by now never will be. */
  resolve(request: RequestOf<"resolve">): Resolution {
    const session = this.#find(request.session);
    if (session === undefined) return this.#absent(request.session);
    this.#touch(session);
    const { number } = request;
    const kept = session.replies.get(number);
    if (kept !== undefined) return resolutionOf(kept);
    if (number < session.next) return refused({ code: "REPLY_RELEASED", number });
    return this.#tombstone(session, number);
  }

  keepAlive(request: RequestOf<"keepAlive">): Reply {
    const session = this.#find(request.session);
    if (session === undefined) return this.#absent(request.session);
    this.#touch(session);
    this.#release(session, request.acknowledgedBelow);
    return { status: "alive" };
  }

  close(request: RequestOf<"close">): Reply {
    const session = this.#find(request.session);
    if (session === undefined) return this.#absent(request.session);
    this.#remove(session);
    this.#counts.closed += 1;
    return { status: "closed" };
  }

  get count(): number {
    return this.#byId.size;
  }

  get counts(): SessionCounts {
    return this.#counts;
  }

  state(id: SessionId): "unknown" | "expired" | OpenSession {
    const session = this.#byId.get(id);
    if (session !== undefined && session.expiresAt > this.#time) return session;
    return id < this.#nextId ? "expired" : "unknown";
  }

  storedReply(id: SessionId, number: RequestNumber): Reply | undefined {
    const session = this.#byId.get(id);
    if (session === undefined || session.expiresAt <= this.#time || number >= session.next) return undefined;
    const kept = session.replies.get(number);
    return kept === undefined || kept.status === "running" ? undefined : kept;
  }

  /** The principal of a session that has not expired. */
  ownerOf(id: SessionId): string | undefined {
    return this.#find(id)?.principal;
  }

  openedBy(principal: string, nonce: string): SessionId | undefined {
    const session = this.#byOpener.get(openerOf(principal, nonce));
    return session !== undefined && session.expiresAt > this.#time ? session.id : undefined;
  }

  /** Equal for equal sessions, but for the order of their last use. Costs as much as what changed since it was asked for last. */
  fingerprint(): Fingerprint {
    return this.#fingerprint.of(this.#byAge);
  }

  /** Whether all that lies in memory is what was kept, in steps. */
  scrubbing(): Steps<boolean> {
    return this.#fingerprint.scrubbing(this.#byAge, this.#byId);
  }

  /** For the codec: everything that is replicated, sessions from the least recently used on. */
  contents(): { readonly nextId: SessionId; readonly time: AgreedTime; readonly sessions: AgeOrder<Session> } {
    return { nextId: this.#nextId, time: this.#time, sessions: this.#byAge };
  }

  /** A table as a codec reads it: its sessions follow, in the order of `contents`. */
  static begun(limits: SessionLimits, nextId: SessionId, time: AgreedTime): SessionTable {
    const table = new SessionTable(limits);
    table.#nextId = nextId;
    table.#time = time;
    return table;
  }

  /** The next session that a codec has read; false if it cannot be the next. */
  restore(session: Session): boolean {
    if (session.id >= this.#nextId || this.#byId.has(session.id)) return false;
    if (session.expiresAt < (this.#byAge.newest?.expiresAt ?? 0)) return false;
    checkSession(session);
    this.#insert(session);
    this.#fingerprint.restored(this.#byAge, session);
    this.#replyBytes += session.replyBytes;
    return true;
  }

  /** Takes over what the other holds. */
  become(other: SessionTable): void {
    this.#byId = other.#byId;
    this.#byOpener = other.#byOpener;
    this.#byAge = other.#byAge;
    this.#fingerprint = other.#fingerprint;
    this.#nextId = other.#nextId;
    this.#replyBytes = other.#replyBytes;
    this.#time = other.#time;
  }

  #find(id: SessionId): Session | undefined {
    return this.#live(this.#byId.get(id));
  }

  /** A session whose time has come is gone, whether or not its turn in the bounded expiry has. */
  #live(session: Session | undefined): Session | undefined {
    if (session === undefined || session.expiresAt > this.#time) return session;
    this.#remove(session);
    this.#counts.expired += 1;
    return undefined;
  }

  #absent(session: SessionId): Reply {
    return refused({ code: session < this.#nextId ? "SESSION_EXPIRED" : "SESSION_UNKNOWN", session });
  }

  #fullness(session: Session): ExecutedRefusal | undefined {
    const { repliesMax, replyBytesMax } = this.#limits;
    const kept = session.next - session.releasedBelow;
    if (kept >= repliesMax) return { code: "TOO_MANY_REPLIES", kept, limit: repliesMax };
    if (session.replyBytes < replyBytesMax) return undefined;
    return { code: "TOO_MANY_REPLIES", kept: session.replyBytes, limit: replyBytesMax };
  }

  #tombstone(session: Session, number: RequestNumber): Reply {
    const { tombstonesMax } = this.#limits;
    const tombstone = refused({ code: "TOMBSTONED", number });
    if (number === session.next) {
      const full = this.#fullness(session);
      if (full !== undefined) return refused(full);
      this.spend(session.id, number, tombstone);
      return { status: "resolved", outcome: { kind: "tombstoned" } };
    }
    if (session.tombstonesAhead >= tombstonesMax) {
      return refused({ code: "TOO_MANY_TOMBSTONES", kept: session.tombstonesAhead, limit: tombstonesMax });
    }
    this.#keep(session, number, tombstone);
    session.tombstonesAhead += 1;
    checkSession(session);
    return { status: "resolved", outcome: { kind: "tombstoned" } };
  }

  #keep(session: Session, number: RequestNumber, kept: Kept): void {
    session.replies.set(number, kept);
    if (kept.status !== "running") this.#count(session, replyBytes(kept));
  }

  /** The client has every reply below `acknowledged`. What it claims beyond `next` is nobody's reply yet. */
  #release(session: Session, acknowledged: RequestNumber): void {
    const below = acknowledged < session.next ? acknowledged : session.next;
    while (session.releasedBelow < below) {
      const kept = session.replies.get(session.releasedBelow);
      if (kept !== undefined && kept.status !== "running") this.#count(session, -replyBytes(kept));
      session.replies.delete(session.releasedBelow);
      session.releasedBelow = nextRequest(session.releasedBelow);
    }
  }

  #count(session: Session, bytes: number): void {
    session.replyBytes += bytes;
    this.#replyBytes += bytes;
  }

  #touch(session: Session): void {
    this.#byAge.makeNewest(session);
    session.expiresAt = this.#time + this.#limits.expiryMs;
  }

  #insert(session: Session): void {
    this.#byId.set(session.id, session);
    this.#byOpener.set(openerOf(session.principal, session.nonce), session);
    this.#byAge.append(session);
  }

  #remove(session: Session): void {
    this.#byId.delete(session.id);
    this.#byOpener.delete(openerOf(session.principal, session.nonce));
    this.#byAge.remove(session);
    this.#fingerprint.removed(session);
    this.#replyBytes -= session.replyBytes;
  }

  #evictOldest(): void {
    const session = this.#byAge.oldest;
    invariant(session !== undefined, "X5 a full table has an oldest session");
    this.#remove(session);
    this.#counts.evicted += 1;
  }
}

export function newSession(id: SessionId, principal: string, nonce: string): Session {
  return {
    id,
    principal,
    nonce,
    next: firstRequest,
    releasedBelow: firstRequest,
    expiresAt: 0,
    replies: new Map(),
    tombstonesAhead: 0,
    replyBytes: 0,
    older: undefined,
    newer: undefined,
    stamp: 0,
    countedHigh: 0,
    countedLow: 0,
  };
}

function mixSession(mixer: Mixer, session: Session): void {
  mixer.number(session.id).number(session.next).number(session.releasedBelow).number(session.expiresAt);
  mixer.text(session.principal).text(session.nonce);
  // Bounded by what is there (X3): a flipped bit must not make it endless.
  let { releasedBelow: number } = session;
  for (let left = session.replies.size; left > 0 && number < session.next; left -= 1, number = nextRequest(number)) {
    const kept = session.replies.get(number);
    if (kept !== undefined) mixKept(mixer, kept);
  }
  for (const number of tombstonesOf(session)) mixer.number(number);
}

/** Those ahead of the next number, growing. */
export function tombstonesOf(session: Session): RequestNumber[] {
  if (session.tombstonesAhead === 0) return [];
  return [...session.replies.keys()].filter((number) => number >= session.next).sort((left, right) => left - right);
}

function resolutionOf(kept: Kept): Resolution {
  if (kept.status === "running") return { status: "resolving", of: kept };
  const outcome = isTombstone(kept) ? ({ kind: "tombstoned" } as const) : ({ kind: "executed", reply: kept } as const);
  return { status: "resolved", outcome };
}

/** The length keeps apart ("a", "bc") and ("ab", "c"). */
function openerOf(principal: string, nonce: string): string {
  return `${principal.length}:${principal}${nonce}`;
}
