/**
 * One position of the order: what it holds and how it is named.
 *
 * Owns: the kinds of entries. Leaves to others: what a payload means (`execution/`), how an entry lies on disk (`storage/`).
 */
import { noIndex, noTerm, type AgreedTime, type LogIndex, type Term } from "./ids.js";

/**
 * `noop` opens a leader's term; `batch` holds client requests; `time` only moves the agreed time on, so that what is due
 * happens while no client writes; `configuration` says who the members are; `report` what a replica's checkpoint is;
 * `checkpoint` that one is to be taken now; `version` changes the version of the machine. `record` is no position of the order: the log of a
 * PBFT replica holds nothing else, what it must remember (`replica/bft-journal.ts`).
 */
export type EntryKind = "noop" | "batch" | "time" | "configuration" | "report" | "version" | "checkpoint" | "record";

/** Names an entry: two logs that agree on it agree on everything before it (Log Matching, Raft section 5.3). */
export interface EntryId {
  readonly index: LogIndex;
  readonly term: Term;
}

/** The place before the first entry. */
export const noEntry: EntryId = { index: noIndex, term: noTerm };

export interface Entry extends EntryId {
  readonly kind: EntryKind;
  /** Agreed time, never less than that of the entry before. */
  readonly time: AgreedTime;
  /** Opaque to everything between the batcher and the executor. */
  readonly payload: Uint8Array;
}

/** What a leader makes an entry of: all but its position. */
export interface Proposal {
  readonly kind: EntryKind;
  readonly time: AgreedTime;
  readonly payload: Uint8Array;
}

/** Bytes that an entry counts for in every limit: its payload and a fixed allowance for the rest. */
export function entryBytes(entry: Entry): number {
  return entry.payload.length + 64;
}

/** What clients and timers ask for. All others are few and small, and a group needs them to go on. */
export function isForClients({ kind }: { readonly kind: EntryKind }): boolean {
  return kind === "batch" || kind === "time";
}

/** A core's own entries repeat the time of the entry before them; all others were offered one. */
export function isMadeByCore({ kind }: Entry): boolean {
  return kind === "noop" || kind === "configuration";
}
