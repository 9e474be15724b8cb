/**
 * What a client asks and what it is answered: the nouns of sessions (Raft thesis, section 6.3).
 *
 * Owns: the shapes. Leaves to others: their bytes (`wire/`), their rules (`execution/session-table.ts`), who sends them.
 */
import type { EventsQuestion } from "./events.js";
import type { LogIndex, ReplicaId, RequestNumber, SessionId } from "./ids.js";

/** An Input that is put into the order. All of them are executed by `execution/executor.ts`, and only there. */
export type Request =
  /** Opens a session. `nonce` is drawn by the asker, so that it recognises the reply. */
  | { readonly kind: "open"; readonly nonce: string; readonly principal: string }
  | CommandRequest
  /** Settles an unknown outcome: if `number` has not been executed, it never will be. */
  | { readonly kind: "resolve"; readonly session: SessionId; readonly number: RequestNumber }
  /** Keeps an idle session from expiring and releases replies below `acknowledgedBelow`. */
  | { readonly kind: "keepAlive"; readonly session: SessionId; readonly acknowledgedBelow: RequestNumber }
  | { readonly kind: "close"; readonly session: SessionId };

export interface CommandRequest {
  readonly kind: "command";
  readonly session: SessionId;
  readonly number: RequestNumber;
  /** The client has every reply below this number and will not ask for one again. */
  readonly acknowledgedBelow: RequestNumber;
  /** The machine's command. */
  readonly name: string;
  /** Canonical form of the input (`wire/canonical.ts`). */
  readonly input: Uint8Array;
  /** Given by the HTTP door for an `Idempotency-Key`: replicated, so that a retry at any replica finds it. */
  readonly idempotency: IdempotencyKey | undefined;
}

/** A command as it lies in a batch: no view of its input is made before somebody asks for one. */
export class EncodedCommand implements CommandRequest {
  session = 0 as SessionId;
  number = 0 as RequestNumber;
  acknowledgedBelow = 0 as RequestNumber;
  name = "";
  idempotency: IdempotencyKey | undefined = undefined;
  readonly bytes: Uint8Array;
  /** In `bytes`. */
  inputFrom = 0;
  inputEnd = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get kind(): "command" {
    return "command";
  }

  get input(): Uint8Array {
    return this.bytes.subarray(this.inputFrom, this.inputEnd);
  }
}

export interface IdempotencyKey {
  readonly principal: string;
  readonly key: string;
  /** SHA-256 of the command's name and input: another body under the same key is a conflict. */
  readonly digest: Uint8Array;
}

/**
 * What executing a request gave. Final: the same on every replica and after every retry.
 *
 * `refused` here is an outcome of execution, surely without effect, unlike a refusal by an overloaded or lagging replica,
 * which another replica may not share.
 */
export type Reply =
  | { readonly status: "ok"; readonly output: Uint8Array; readonly expiresAt: number | undefined }
  | {
      readonly status: "rejected";
      readonly code: string;
      readonly data: Uint8Array;
      readonly expiresAt: number | undefined;
    }
  /** The command threw, was rolled back, and did so on every replica. */
  | { readonly status: "failed"; readonly message: string; readonly expiresAt: number | undefined }
  | { readonly status: "refused"; readonly refusal: ExecutedRefusal }
  | { readonly status: "opened"; readonly session: SessionId }
  | { readonly status: "resolved"; readonly outcome: ResolvedOutcome }
  | { readonly status: "alive" }
  | { readonly status: "closed" };

/**
 * Why execution itself said no. Nothing was executed now. TOMBSTONED, REPLY_RELEASED and the two of idempotency come with a
 * number that is spent (the next request uses another); after any other the number is free to be used again.
 */
export type ExecutedRefusal =
  | { readonly code: "SESSION_UNKNOWN"; readonly session: SessionId }
  | { readonly code: "SESSION_EXPIRED"; readonly session: SessionId }
  | { readonly code: "OUT_OF_ORDER"; readonly number: RequestNumber; readonly next: RequestNumber }
  | { readonly code: "TOMBSTONED"; readonly number: RequestNumber }
  | { readonly code: "REPLY_RELEASED"; readonly number: RequestNumber }
  | { readonly code: "TOO_MANY_REPLIES"; readonly kept: number; readonly limit: number }
  | { readonly code: "TOO_MANY_TOMBSTONES"; readonly kept: number; readonly limit: number }
  | { readonly code: "IDEMPOTENCY_CONFLICT"; readonly key: string }
  | { readonly code: "IDEMPOTENCY_FULL"; readonly limit: number };

/** In the order of their numbers on the wire. What is not among them is a refusal by admission. */
export const executedRefusalCodes = [
  "SESSION_UNKNOWN",
  "SESSION_EXPIRED",
  "OUT_OF_ORDER",
  "TOMBSTONED",
  "REPLY_RELEASED",
  "TOO_MANY_REPLIES",
  "TOO_MANY_TOMBSTONES",
  "IDEMPOTENCY_CONFLICT",
  "IDEMPOTENCY_FULL",
] as const satisfies readonly ExecutedRefusal["code"][];

/** `executed` with its reply if that is still kept; `tombstoned`: it was not executed and never will be. */
export type ResolvedOutcome =
  { readonly kind: "executed"; readonly reply: Reply | undefined } | { readonly kind: "tombstoned" };

/** Why a replica did not take a request or a query: it was surely not executed on behalf of this message. */
export type AdmissionRefusal =
  | { readonly code: "OVERLOADED"; readonly queued: number; readonly limit: number }
  | { readonly code: "NO_LEADER" }
  | { readonly code: "STOPPING" }
  /** What this replica has executed is not what the others have, and is made again: ask another. */
  | { readonly code: "QUARANTINED" }
  /** The disks of the leader, or of so many others that nothing can be decided, are full: commands are taken again when there is space. */
  | { readonly code: "DISK_FULL" }
  | { readonly code: "TOO_LARGE"; readonly bytes: number; readonly limit: number }
  /** Resend from `next`: an earlier number of this session has not arrived here. */
  | { readonly code: "GAP"; readonly next: RequestNumber }
  /** This replica has not executed far enough to know: try elsewhere or later. */
  | { readonly code: "SESSION_NOT_HERE"; readonly session: SessionId }
  | { readonly code: "UNKNOWN_COMMAND"; readonly name: string }
  | { readonly code: "INVALID_INPUT"; readonly message: string }
  /** A query asked for a state that this replica has not executed in time. */
  | { readonly code: "INDEX_NOT_REACHED"; readonly asked: LogIndex; readonly executed: LogIndex }
  /** Nobody could confirm in time that what this replica has is as fresh as asked; infinite if nobody ever has. */
  | { readonly code: "TOO_STALE"; readonly ageMs: number; readonly limitMs: number };

/** How fresh a query's answer must be (docs/guides/reads.md). */
export type ReadLevel =
  /** Reflects everything that was answered before it was asked: proved by a round of messages to a majority. */
  | { readonly kind: "linearizable" }
  /** The same, proved by the leader's lease where leases are on, which rests on clocks. */
  | { readonly kind: "lease" }
  /** Reflects everything up to this index. */
  | { readonly kind: "atLeast"; readonly index: LogIndex }
  /** Reflects everything that was answered more than `ms`, a whole number, before it was asked. */
  | { readonly kind: "maxStaleness"; readonly ms: number }
  /** Whatever the replica has executed. */
  | { readonly kind: "local" };

/** What a client sends to a replica. */
export type ClientMessage =
  | { readonly kind: "request"; readonly request: Request }
  /** A request under the client's own signature (`wire/signed-batch.ts`): under Byzantine faults nobody else can ask in its name. */
  | { readonly kind: "signed"; readonly bundle: Uint8Array }
  | {
      readonly kind: "query";
      readonly id: number;
      readonly name: string;
      readonly input: Uint8Array;
      readonly read: ReadLevel;
    }
  /** Answered like a query, at once or as soon as there is something, with the events from a position on (`wire/events-codec.ts`). */
  | { readonly kind: "events"; readonly id: number; readonly question: EventsQuestion; readonly waitMs: number }
  /** Answered by a `vote` as soon as this replica has executed the request, whoever it was sent to. */
  | { readonly kind: "confirm"; readonly key: RequestKey }
  /**
   * Answered by `votes`: at once by one without any, and from then on whenever this replica has executed commands of the session. One session for
   * each connection, the last that is asked for.
   */
  | { readonly kind: "follow"; readonly session: SessionId };

/** Names the request that a reply belongs to. */
export type RequestKey =
  | { readonly kind: "open"; readonly nonce: string }
  | NumberedKey
  | { readonly kind: "keepAlive" | "close"; readonly session: SessionId };

export interface NumberedKey {
  readonly kind: "command" | "resolve";
  readonly session: SessionId;
  readonly number: RequestNumber;
}

/** What a replica sends to a client. */
export type ReplicaMessage =
  | { readonly kind: "reply"; readonly key: RequestKey; readonly index: LogIndex; readonly reply: Reply }
  | { readonly kind: "requestRefused"; readonly key: RequestKey; readonly refusal: AdmissionRefusal }
  | {
      readonly kind: "queryReply";
      readonly id: number;
      readonly index: LogIndex;
      readonly ageMs: number;
      readonly outcome: QueryOutcome;
    }
  | { readonly kind: "queryRefused"; readonly id: number; readonly refusal: AdmissionRefusal }
  /** What this replica answers to a request, by its digest (`wire/client-codec.ts`). */
  | {
      readonly kind: "vote";
      readonly replica: ReplicaId;
      /** How many there are, as it has executed that. */
      readonly voters: number;
      readonly key: RequestKey;
      /** It has executed the request, and everything up to here. */
      readonly index: LogIndex;
      readonly digest: Uint8Array;
    }
  /** The same for commands of one session in one entry. */
  | {
      readonly kind: "votes";
      readonly replica: ReplicaId;
      readonly voters: number;
      readonly session: SessionId;
      readonly index: LogIndex;
      readonly said: readonly SaidOfCommand[];
    }
  /** Sent after the handshake and whenever it changes: where requests travel least. */
  | { readonly kind: "leader"; readonly leader: ReplicaId | undefined; readonly address: string | undefined };

export interface SaidOfCommand {
  readonly number: RequestNumber;
  readonly digest: Uint8Array;
}

export type QueryOutcome =
  | { readonly status: "ok"; readonly output: Uint8Array }
  | { readonly status: "rejected"; readonly code: string; readonly data: Uint8Array }
  | { readonly status: "failed"; readonly message: string };

/** Another one for each key. */
export function keyText(key: RequestKey): string {
  switch (key.kind) {
    case "open":
      return `open ${key.nonce}`;
    case "command":
    case "resolve":
      return `${key.kind} ${key.session} ${key.number}`;
    case "keepAlive":
    case "close":
      return `${key.kind} ${key.session}`;
  }
}

export function keyOf(request: Request): RequestKey {
  switch (request.kind) {
    case "open":
      return { kind: "open", nonce: request.nonce };
    case "command":
    case "resolve":
      return { kind: request.kind, session: request.session, number: request.number };
    case "keepAlive":
    case "close":
      return { kind: request.kind, session: request.session };
  }
}

/** Whether a session with this principal is opened and used by this signer: in its own name, or for one of its own clients. */
export function isInNameOf(signer: string, principal: string): boolean {
  return principal === signer || principal.startsWith(`${signer}/`);
}
