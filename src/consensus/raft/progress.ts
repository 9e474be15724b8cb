/**
 * What a leader knows about one follower, and how replies change it.
 *
 * Owns: the modes of replication and their window. Leaves to others: making messages (`replication.ts`), counting
 * (`commitment.ts`). Called by the leader's side alone. Keeps R7: match < next, and match never goes back within a term.
 *
 *            accepted: the logs agree up to match
 *   probe ------------------------------------------> replicate   many messages in flight, next runs ahead
 *     ^                                                   |
 *     '------- conflict, or the link broke <--------------'       one message in flight, next searches
 *
 * From both a follower whose next entry is no longer in the log goes to `snapshot`, and from there to `replicate` once it has the checkpoint.
 */
import { invariant } from "../../base/invariant.js";
import type { LogSpace } from "../../model/log.js";
import { after, maxIndex, noIndex, type LogIndex, type ReplicaId } from "../../model/ids.js";

export interface Follower {
  readonly id: ReplicaId;
  progress: Progress;
  /** A reply of this term came last at this time; when leadership began, if none did. */
  contactAt: number;
  /** The highest round that a reply has echoed. */
  round: number;
  /** The commit index that was last sent. */
  commitSent: LogIndex;
  /** On its disk, by its last reply. */
  space: LogSpace;
  /** By its last reply; 0: it cannot lead now. */
  priority: number;
  /** What the engine is reading from disk for this follower, and when it was asked to. */
  loading: { readonly from: LogIndex; readonly askedAt: number } | undefined;
}

/** A mode has only the fields that mean something in it. */
export type Progress = Probe | Replicate | Snapshot;

/** Looking for the place where the logs agree; `paused` while an answer is awaited, until the next heartbeat at most. */
export interface Probe {
  readonly mode: "probe";
  readonly match: LogIndex;
  readonly next: LogIndex;
  paused: boolean;
}

/** Streaming: `next` is what will be sent, as if everything in flight arrived. */
export interface Replicate {
  readonly mode: "replicate";
  match: LogIndex;
  next: LogIndex;
  readonly inflight: Inflight;
}

/** What comes next was given back here: nothing but heartbeats that name the checkpoint, until the follower has it. */
export interface Snapshot {
  readonly mode: "snapshot";
  readonly match: LogIndex;
  readonly next: LogIndex;
  /** It was told of the checkpoint on this link. */
  told: boolean;
}

/** Messages with entries that are not acknowledged yet, oldest first. */
export interface Inflight {
  readonly messages: { readonly last: LogIndex; readonly bytes: number }[];
  bytes: number;
}

export function newFollower(id: ReplicaId, next: LogIndex, now: number): Follower {
  return {
    id,
    progress: { mode: "probe", match: noIndex, next, paused: false },
    contactAt: now,
    round: 0,
    commitSent: noIndex,
    space: "ample",
    priority: 1,
    loading: undefined,
  };
}

/** The follower's log equals ours up to `match`, durably. A late or repeated reply teaches nothing. */
export function onAccepted(follower: Follower, match: LogIndex): void {
  const { progress } = follower;
  // A checkpoint that is not installed yet: its answers are those to heartbeats.
  if (progress.mode === "snapshot" && match < progress.next) return;
  if (progress.mode !== "replicate") {
    // What it holds up to next - 1 is verified even if only a part of it is durable, and sending that again would be waste.
    const known = maxIndex(match, progress.match);
    if (match < progress.match) return;
    follower.progress = {
      mode: "replicate",
      match: known,
      next: maxIndex(progress.next, after(known)),
      inflight: noInflight(),
    };
    return;
  }
  if (match > progress.match) progress.match = match;
  if (progress.next <= progress.match) progress.next = after(progress.match);
  const { inflight } = progress;
  let done = 0;
  for (const message of inflight.messages) {
    if (message.last > progress.match) break;
    inflight.bytes -= message.bytes;
    done += 1;
  }
  if (done > 0) inflight.messages.splice(0, done);
  invariant(progress.match < progress.next, "R7 a follower matches only what comes before its next entry");
}

/** Search again from `next`, or right after what surely matches. */
export function backToProbe(follower: Follower, next: LogIndex): void {
  const { match } = follower.progress;
  follower.progress = { mode: "probe", match, next: maxIndex(next, after(match)), paused: false };
  follower.loading = undefined;
}

/** Only a checkpoint of `last` brings it on; what follows is sent from there. */
export function toSnapshot(follower: Follower, last: LogIndex): void {
  const { match } = follower.progress;
  follower.progress = { mode: "snapshot", match, next: last, told: false };
  follower.loading = undefined;
}

/** The reply is about a message that the leader has already drawn its conclusion from. */
export function isStaleConflict({ progress }: Follower, rejected: LogIndex): boolean {
  if (progress.mode === "snapshot") return true;
  if (progress.mode === "probe") return rejected + 1 !== progress.next;
  return rejected <= progress.match || rejected >= progress.next;
}

export function onSent(follower: Follower, last: LogIndex, bytes: number): void {
  const { progress } = follower;
  if (progress.mode === "probe") progress.paused = true;
  if (progress.mode !== "replicate") return;
  progress.inflight.messages.push({ last, bytes });
  progress.inflight.bytes += bytes;
  progress.next = after(last);
}

const noInflight = (): Inflight => ({ messages: [], bytes: 0 });
