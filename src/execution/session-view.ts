/**
 * What others may see of the replicated sessions.
 *
 * Owns: the read-only contract between execution and admission. Everything here is as of the last executed entry, so a replica
 * that lags may answer "unknown" or an old `next`: only a reply of execution is final.
 */
import type { RequestNumber, SessionId } from "../model/ids.js";
import type { Reply } from "../model/request.js";

export interface SessionView {
  /** "unknown": no such session was given yet, here. "expired": it was given, and is expired, evicted or closed. */
  state(session: SessionId): "unknown" | "expired" | OpenSession;
  /** The reply to a number that was executed (or tombstoned) and is not acknowledged. */
  storedReply(session: SessionId, number: RequestNumber): Reply | undefined;
  /** The session that an `open` with this nonce gave, while it is open. */
  openedBy(principal: string, nonce: string): SessionId | undefined;
  /** Sessions open now. */
  readonly count: number;
}

/** A live view: it changes as entries are executed. */
export interface OpenSession {
  readonly id: SessionId;
  /** Whose it is, in its opener's words. Compared where requests are signed; elsewhere clients are not authenticated (hazard C7). */
  readonly principal: string;
  /** The only number that would be executed now. */
  readonly next: RequestNumber;
  /** Replies below this number are released. */
  readonly releasedBelow: RequestNumber;
}
