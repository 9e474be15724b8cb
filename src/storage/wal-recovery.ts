/**
 * Decides what the bytes of a log mean after a crash: the decision table.
 *
 * Owns: the table, and the walk over all segments that applies it. Leaves to others: what records add up to (`log-replay.ts`),
 * carrying the decision out on disk and refusing foreign files (`wal.ts`).
 *
 * With several writes in flight a crash can leave a later record whole and an earlier one torn, so position alone does not tell
 * a tear from damage. Every record says up to where the log was synced when it was written. Damage below the largest such
 * claim is *damage*: it was promised to someone. Damage at or above it is taken for a *tail* that nobody was promised.
 * Bound: two passes over the log, one segment in memory.
 */
import { unreachable } from "../base/invariant.js";
import { LogReplay } from "./log-replay.js";
import type { LogStart } from "./log-start.js";
import type { FormatContext, RecordHeader, RecordIdentity, RecordKind } from "./wal-format.js";
import { changesLog, decodeIdentities, sameIdentity, segmentHeaderBytes } from "./wal-format.js";
import type { ScannedRecord } from "./wal-scan.js";
import { scanSegment } from "./wal-scan.js";

/** What the walk meets. */
export type Finding =
  /** A record whose checksums hold, where it belongs, continuing the chain. */
  | "whole"
  /** Its header holds, its body does not. */
  | "contentDamaged"
  /** Unreadable bytes, but the ordinals on both sides say that no record that changes the log was in them. */
  | "gapWithoutLoss"
  /** Unreadable bytes; other records name everything that was in them. */
  | "gapNamed"
  /** Unreadable bytes, and nobody knows all that was in them. */
  | "gapUnnamed"
  /** A whole record that its successor does not acknowledge: an old one, left by a write that the disk lost. */
  | "predecessorReplaced";

export type Verdict =
  | "keep"
  /** Note it as damaged, by its name; a peer is asked for the content. */
  | "name"
  /** Go on behind it: nothing is lost. */
  | "skip"
  /** The log ends before it; it and everything after it are erased. */
  | "cut"
  /** Promises are lost: this replica may not act as if its log were whole. Nothing on disk is changed. */
  | "amnesia";

/** `damage`: below what is known to be synced. `tail`: at or above it. */
export const decisions: Readonly<Record<Finding, { readonly damage: Verdict; readonly tail: Verdict }>> = {
  whole: { damage: "keep", tail: "keep" },
  contentDamaged: { damage: "name", tail: "cut" },
  gapWithoutLoss: { damage: "skip", tail: "cut" },
  gapNamed: { damage: "name", tail: "cut" },
  gapUnnamed: { damage: "amnesia", tail: "cut" },
  predecessorReplaced: { damage: "name", tail: "cut" },
};

export interface FoundSegment {
  readonly sequence: number;
  readonly base: number;
  /** A view of the whole segment, valid until the next call. */
  readonly load: () => Uint8Array;
}

export interface Recovery {
  readonly replay: LogReplay;
  /** Position behind the last record that counts. */
  readonly end: number;
  readonly syncedUpTo: number;
  /** Largest hard state's sequence that a record has seen. */
  readonly hardStateSequence: number;
  /** Why promises are lost, if they are. */
  readonly amnesia: string | undefined;
  /** What stands before the first record of each segment that has one. */
  readonly starts: readonly LogStart[];
}

export interface RecoveryOptions {
  readonly context: FormatContext;
  /** Where the first of the segments begins. */
  readonly start: LogStart;
  readonly cacheBytes: number;
}

export function recoverRecords(segments: readonly FoundSegment[], options: RecoveryOptions): Recovery {
  const walk = new RecoveryWalk(segments, options);
  return walk.run();
}

/** The largest claim; it grows along the log, so the last two segments that have records hold it. */
function largestClaim(segments: readonly FoundSegment[], context: FormatContext): number {
  let claim = 0;
  let withRecords = 0;
  for (const segment of segments.toReversed()) {
    let found = false;
    for (const { header } of scanSegment(segment.load(), segment.base, context)) {
      claim = Math.max(claim, header.syncedUpTo);
      found = true;
    }
    if (found) withRecords += 1;
    if (withRecords === 2) break;
  }
  return claim;
}

class RecoveryWalk {
  readonly #segments: readonly FoundSegment[];
  readonly #context: FormatContext;
  readonly #replay: LogReplay;
  readonly #syncedUpTo: number;
  #end: number;
  #hardStateSequence: number;
  #amnesia: string | undefined;
  readonly #starts: LogStart[];

  constructor(segments: readonly FoundSegment[], { context, start, cacheBytes }: RecoveryOptions) {
    this.#segments = segments;
    this.#context = context;
    this.#replay = new LogReplay(start, cacheBytes);
    this.#hardStateSequence = start.hardStateSequence;
    this.#starts = [start];
    this.#syncedUpTo = largestClaim(segments, context);
    this.#end = (segments[0]?.base ?? 0) + segmentHeaderBytes;
  }

  run(): Recovery {
    this.#walk();
    return {
      replay: this.#replay,
      end: this.#end,
      syncedUpTo: this.#syncedUpTo,
      hardStateSequence: this.#hardStateSequence,
      amnesia: this.#amnesia,
      starts: this.#starts,
    };
  }

  #walk(): void {
    for (const [at, segment] of this.#segments.entries()) {
      for (const record of scanSegment(segment.load(), segment.base, this.#context)) {
        // A record that counts lower than what we have is an old one: as good as unreadable.
        if (this.#lostBefore(record.header) < 0) continue;
        if (!this.#crossGap(record.header, at)) return;
        if (!this.#acceptPredecessor(record.header)) return;
        this.#noteStart(segment);
        if (!this.#accept(record)) return;
      }
    }
  }

  #noteStart({ sequence, base }: FoundSegment): void {
    if ((this.#starts.at(-1)?.segment ?? 0) >= sequence) return;
    const { previous, lastPosition } = this.#replay;
    const hardStateSequence = this.#hardStateSequence;
    this.#starts.push({ segment: sequence, base, lastPosition, previous, hardStateSequence });
  }

  /** Records that change the log, missing between the last one and `header`. */
  #lostBefore(header: RecordHeader): number {
    return header.previous.ordinal - this.#replay.previous.ordinal;
  }

  /** Whether to go on with the record. */
  #crossGap(header: RecordHeader, segmentAt: number): boolean {
    const lost = this.#lostBefore(header);
    const isChained = header.previousPosition === this.#replay.lastPosition && lost === 0;
    // Also a whole chain may lead over unreadable bytes: a repaired record does not know of a marker that was lost before it.
    if (!isChained || header.position !== this.#end) this.#replay.breakRun();
    if (isChained) return true;
    const isDamage = this.#end < this.#syncedUpTo;
    const names = lost > 0 && isDamage ? this.#namesBefore(header, segmentAt) : undefined;
    const verdict = this.#verdict(
      lost === 0 ? "gapWithoutLoss" : names === undefined ? "gapUnnamed" : "gapNamed",
      isDamage,
    );
    switch (verdict) {
      case "keep":
      case "skip":
        return true;
      case "cut":
        return false;
      case "amnesia":
        return this.#forget(
          `${lost} records between the positions ${this.#end} and ${header.position} are lost with their names`,
        );
      case "name":
        for (const name of names ?? []) this.#replay.name(name, this.#replay.lastPosition);
        return true;
      default:
        return unreachable(verdict);
    }
  }

  /** The successor's chain names the record before it; another record there is an old one. */
  #acceptPredecessor(header: RecordHeader): boolean {
    const { previous } = this.#replay;
    if (sameIdentity(header.previous, previous)) return true;
    const verdict = this.#verdict("predecessorReplaced", previous.position < this.#syncedUpTo);
    if (verdict === "cut") return false;
    if (this.#replay.renamePrevious(header.previous)) return true;
    return this.#forget(`the record at position ${previous.position} is an old one and cannot be named`);
  }

  #accept({ header, body, end }: ScannedRecord): boolean {
    const isDamage = header.position < this.#syncedUpTo;
    const verdict = this.#verdict(body === undefined ? "contentDamaged" : "whole", isDamage);
    if (verdict === "cut") return false;
    if (!this.#replay.continues(header)) {
      return this.#forget(`the record at position ${header.position} does not continue the log`);
    }
    if (!changesLog(header.kind)) this.#replay.pass(header);
    else if (body === undefined) this.#replay.name(header, header.previousPosition);
    else this.#replay.keep(header, body);
    this.#end = end;
    this.#hardStateSequence = Math.max(this.#hardStateSequence, header.hardStateSequence);
    return true;
  }

  #verdict(finding: Finding, isDamage: boolean): Verdict {
    const row = decisions[finding];
    return isDamage ? row.damage : row.tail;
  }

  #forget(reason: string): false {
    this.#amnesia = reason;
    return false;
  }

  /** The names of everything missing before `header`: from its chain, and from tables that follow. Undefined unless all are found. */
  #namesBefore(header: RecordHeader, segmentAt: number): readonly RecordIdentity[] | undefined {
    const first = this.#replay.previous.ordinal + 1;
    const last = header.previous.ordinal;
    const found = new Map<number, RecordIdentity>();
    const note = (name: RecordIdentity): void => {
      const isMissing = name.ordinal >= first && name.ordinal <= last;
      if (isMissing && name.position >= this.#end && name.position < header.position) found.set(name.ordinal, name);
    };
    note(header.previous);
    this.#searchNames(note, header.position, segmentAt, () => found.size === last - first + 1);
    const names: RecordIdentity[] = [];
    for (let ordinal = first; ordinal <= last; ordinal += 1) {
      const name = found.get(ordinal);
      if (name === undefined) break;
      names.push(name);
    }
    // The segment at hand was replaced in memory while others were searched.
    this.#segments[segmentAt]?.load();
    return names.length === last - first + 1 && chains(names, this.#replay.lastIndex) ? names : undefined;
  }

  #searchNames(note: (name: RecordIdentity) => void, from: number, segmentAt: number, isDone: () => boolean): void {
    for (const segment of this.#segments.slice(segmentAt)) {
      if (isDone()) return;
      for (const { header, body } of scanSegment(segment.load(), segment.base, this.#context)) {
        if (header.position < from || header.kind !== "identities" || body === undefined) continue;
        for (const name of decodeIdentities(body) ?? []) note(name);
        if (isDone()) return;
      }
    }
  }
}

function follows(kind: RecordKind, index: number, last: number): boolean {
  if (kind === "reset") return true;
  return kind === "truncate" ? index <= last : index === last + 1;
}

/** Whether records with these names can follow an entry at `lastIndex`. */
function chains(names: readonly RecordIdentity[], lastIndex: number): boolean {
  let last = lastIndex;
  let before = 0;
  for (const { kind, index, position } of names) {
    if (!changesLog(kind) || !follows(kind, index, last)) return false;
    if (position <= before) return false;
    last = index;
    before = position;
  }
  return true;
}
