/**
 * Which requests a leader puts into the order: one function, every exit visible.
 *
 * Owns: the highest number admitted for each session in this term, so that a pipelined request which overtook another is sent back
 * (hazard C5) and a repeated one is proposed once. A filter, not a promise: the executor decides again, and alone is final. Reset
 * with each change of leader. Called by `replica/host.ts`.
 */
import { nextRequest, type RequestNumber, type SessionId } from "../model/ids.js";
import type { RequestKey } from "../model/request.js";
import type { SessionView } from "../execution/session-view.js";

export type Admission =
  | { readonly kind: "admitted" }
  /** Being ordered already, or executed: its reply comes from execution. */
  | { readonly kind: "repeated" }
  | { readonly kind: "gap"; readonly next: RequestNumber };

const admitted: Admission = { kind: "admitted" };
const repeated: Admission = { kind: "repeated" };

interface SessionProgress {
  /** The next number that closes no gap. */
  next: RequestNumber;
  /** Numbers ahead of `next` that are being settled as never to be executed. */
  readonly settled: Set<RequestNumber>;
}

export class AdmissionTable {
  readonly #sessions: SessionView;
  readonly #progress = new Map<SessionId, SessionProgress>();

  constructor(sessions: SessionView) {
    this.#sessions = sessions;
  }

  reset(): void {
    this.#progress.clear();
  }

  /** What would be done with it; nothing changes yet, since the queue may be full. */
  look(key: RequestKey): Admission {
    if (key.kind !== "command") return admitted;
    const progress = this.#progressOf(key.session, key.number);
    if (key.number === progress.next) return admitted;
    // Nothing is kept of it: execution says so in the order, whichever number asks.
    if (this.#sessions.state(key.session) === "expired") return admitted;
    if (key.number > progress.next) return { kind: "gap", next: progress.next };
    return this.#isReleased(key.session, key.number) ? admitted : repeated;
  }

  /** It goes into the order: what follows it closes no gap. Called only for what `look` admits. */
  take(key: RequestKey): void {
    if (key.kind !== "command" && key.kind !== "resolve") return;
    const progress = this.#progressOf(key.session, key.number);
    if (key.kind === "resolve") {
      if (key.number >= progress.next) progress.settled.add(key.number);
    } else if (key.number === progress.next) progress.next = nextRequest(progress.next);
    this.#passSettled(progress);
  }

  /** It was taken, and will not go into the order: whoever sends it again is no longer told that it is on its way. */
  giveBack(key: RequestKey): void {
    if (key.kind !== "command" && key.kind !== "resolve") return;
    const progress = this.#progress.get(key.session);
    if (progress === undefined) return;
    progress.settled.delete(key.number);
    if (key.number < progress.next) progress.next = key.number;
  }

  /** An executed refusal told that this session did not move: what was admitted ahead was refused as well. */
  forget(session: SessionId): void {
    this.#progress.delete(session);
  }

  /** Executed, but its reply is no longer kept: execution says so in the order, once for each time it is asked. */
  #isReleased(session: SessionId, number: RequestNumber): boolean {
    const state = this.#sessions.state(session);
    if (typeof state === "string") return false;
    return number < state.next && this.#sessions.storedReply(session, number) === undefined;
  }

  #progressOf(session: SessionId, number: RequestNumber): SessionProgress {
    const state = this.#sessions.state(session);
    const executedNext = typeof state === "string" ? undefined : state.next;
    const present = this.#progress.get(session);
    if (present !== undefined) {
      if (executedNext !== undefined && executedNext > present.next) present.next = executedNext;
      return present;
    }
    // A session not executed here (yet): the executor tells what it is, whichever number comes first.
    const progress = { next: executedNext ?? number, settled: new Set<RequestNumber>() };
    if (this.#progress.size >= 2 * this.#sessions.count + 1024) this.#progress.clear();
    this.#progress.set(session, progress);
    return progress;
  }

  #passSettled(progress: SessionProgress): void {
    while (progress.settled.delete(progress.next)) progress.next = nextRequest(progress.next);
  }
}
