/**
 * The numbers and names of replication, branded so that two of them cannot be mixed.
 *
 * Owns: the only doors from a plain number to an id; casts live here and in codecs. Used by every folder.
 */

declare const brand: unique symbol;
type Brand<Name extends string> = number & { readonly [brand]: Name };

/** Raft's term (section 5.1), from 0: none yet. */
export type Term = Brand<"Term">;
/** PBFT's view (section 4), from 0: who is primary follows from it. */
export type View = Brand<"View">;
/** A position in the order, from 1; 0 is the position before the first entry. */
export type LogIndex = Brand<"LogIndex">;
/** A session's number, from 1, given by the replicated session table and never given twice. */
export type SessionId = Brand<"SessionId">;
/** A request's number within its session, from 1. */
export type RequestNumber = Brand<"RequestNumber">;
/** Names a replica within its cluster: 1 to 32 of `a-z A-Z 0-9 _ -`. */
export type ReplicaId = string;
/** Milliseconds since 1970 as agreed in the log, never a replica's own clock. */
export type AgreedTime = number;

export function term(value: number): Term | undefined {
  return isCount(value) ? (value as Term) : undefined;
}

export function logIndex(value: number): LogIndex | undefined {
  return isCount(value) ? (value as LogIndex) : undefined;
}

export function sessionId(value: number): SessionId | undefined {
  return isCount(value) && value > 0 ? (value as SessionId) : undefined;
}

export function requestNumber(value: number): RequestNumber | undefined {
  return isCount(value) && value > 0 ? (value as RequestNumber) : undefined;
}

/**
 * Terms and indexes stay below this: far from 2^53, where numbers stop being exact, so that adding a batch to a counter is
 * always exact too. A decoder refuses larger ones; a replica that reaches it stops growing and says so.
 */
export const counterMax = 2 ** 52;

export const noTerm = 0 as Term;
export const firstView = 0 as View;
export const noIndex = 0 as LogIndex;
export const firstRequest = 1 as RequestNumber;
export const firstSession = 1 as SessionId;

export const after = (index: LogIndex): LogIndex => (index + 1) as LogIndex;
export const before = (index: LogIndex): LogIndex => (index - 1) as LogIndex;
export const nextTerm = (value: Term): Term => (value + 1) as Term;
export const nextView = (value: View): View => (value + 1) as View;
export const nextRequest = (value: RequestNumber): RequestNumber => (value + 1) as RequestNumber;
export const nextSession = (value: SessionId): SessionId => (value + 1) as SessionId;
export const minIndex = (left: LogIndex, right: LogIndex): LogIndex => (left < right ? left : right);
export const maxIndex = (left: LogIndex, right: LogIndex): LogIndex => (left > right ? left : right);
/** The position `count` after `index`. */
export const advance = (index: LogIndex, count: number): LogIndex => (index + count) as LogIndex;

export function isReplicaId(text: string): boolean {
  return /^[A-Za-z0-9_-]{1,32}$/.test(text);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
