/**
 * What Raft replicas say to one another, in the words of figure 2 of the Raft paper.
 *
 * Owns: the shapes. Leaves to others: their bytes (`wire/raft-codec.ts`), who may send them (the
 * authentication gate), what they do (`step.ts`). Every message carries the sender's own current term.
 */
import type { Entry, EntryId } from "../../model/entry.js";
import type { LogIndex, Term } from "../../model/ids.js";
import type { LogSpace } from "../../model/log.js";

export type RaftMessage =
  | PreVote
  | PreVoteReply
  | RequestVote
  | RequestVoteReply
  | AppendEntries
  | AppendEntriesReply
  | ReadIndex
  | ReadIndexReply
  | TimeoutNow
  | InstallSnapshot;

/** "Would you vote for me in term + 1?" (Raft thesis, section 9.6). Changes nothing at the asked replica. */
export interface PreVote {
  readonly kind: "PreVote";
  readonly term: Term;
  /** Distinguishes the tries of one sender in one term, so that an old answer does not count for a new try. */
  readonly attempt: number;
  readonly last: EntryId;
}

export interface PreVoteReply {
  readonly kind: "PreVoteReply";
  readonly term: Term;
  readonly attempt: number;
  readonly granted: boolean;
}

/** Section 5.2. The sender stands in `term` and has voted for itself. */
export interface RequestVote {
  readonly kind: "RequestVote";
  readonly term: Term;
  readonly last: EntryId;
  /** The leader itself asked the sender to stand, and has dropped its lease: who is bound by it is free. */
  readonly transfer?: true | undefined;
}

/** Granted is a promise: it leaves only when the vote is durable. */
export interface RequestVoteReply {
  readonly kind: "RequestVoteReply";
  readonly term: Term;
  readonly granted: boolean;
}

/** Section 5.3; without entries it is a heartbeat, a probe, or the news of a commit. */
export interface AppendEntries {
  readonly kind: "AppendEntries";
  readonly term: Term;
  /** Grows within a term. A reply that echoes it proves contact after the round began (read barriers, check-quorum). */
  readonly round: number;
  /** The entry just before `entries`. */
  readonly previous: EntryId;
  readonly commit: LogIndex;
  /** Consecutive from `previous.index + 1`. */
  readonly entries: readonly Entry[];
}

export interface AppendEntriesReply {
  readonly kind: "AppendEntriesReply";
  readonly term: Term;
  /** Of the AppendEntries that this answers; 0 if it answers none in particular. */
  readonly round: number;
  readonly outcome: AppendOutcome;
  /** On the sender's disk; ample if it is not said. With none, what it was sent for clients is as if lost. */
  readonly space?: LogSpace | undefined;
  /** The sender's; 0: it cannot lead now. 1 if it is not said. */
  readonly priority?: number | undefined;
}

/** An acceptance says how far the logs surely agree on disk; a conflict says where to look next. Never both. */
export type AppendOutcome =
  /** A promise: everything up to `match` equals the leader's log and is durable here. */
  | { readonly kind: "accepted"; readonly match: LogIndex }
  /**
   * No entry as named by `previous`, whose index is `rejected`. `hint` is the sender's last entry at or before it whose term
   * is not above the previous one's: every entry between cannot match (section 5.3, end: one round for each term).
   */
  | { readonly kind: "conflict"; readonly rejected: LogIndex; readonly hint: EntryId }
  /** The AppendEntries was of an older term than the reply's. */
  | { readonly kind: "outdated" };

/**
 * Section 7. The follower lacks entries that the leader has given back. The message names the checkpoint that replaces them; its content is
 * fetched apart, from any replica that has it. Answered by an AppendEntriesReply, as a heartbeat is.
 */
export interface InstallSnapshot {
  readonly kind: "InstallSnapshot";
  readonly term: Term;
  readonly round: number;
  /** The last entry that the checkpoint covers. */
  readonly last: EntryId;
}

/** A follower asks its leader for a read index (thesis, section 6.4). `id` is new for each try. */
export interface ReadIndex {
  readonly kind: "ReadIndex";
  readonly term: Term;
  readonly id: number;
  /** The leader's lease is proof enough. */
  readonly byLease: boolean;
}

export interface ReadIndexReply {
  readonly kind: "ReadIndexReply";
  readonly term: Term;
  readonly id: number;
  /** Undefined: refused, no answer will come. */
  readonly index: LogIndex | undefined;
}

/** The leader asks a follower that has its whole log to stand at once (thesis, section 3.10). */
export interface TimeoutNow {
  readonly kind: "TimeoutNow";
  readonly term: Term;
}
