/**
 * What an ordering core knows of its log without asking the disk: the term of every entry, and the newest entries.
 *
 * Owns: runs of terms for all indexes and a cache bounded by bytes. Leaves to others: durability (`storage/`), what may be
 * dropped (the core says up to where), reading evicted entries (the engine). Called by `raft/` alone.
 *
 * The cache is a ring addressed by log index: entry i lies in slot i mod capacity, so neither appending nor evicting moves
 * another entry, and memory stays flat however long the log grows.
 */
import { invariant } from "../base/invariant.js";
import { entryBytes, type Entry, type EntryId } from "../model/entry.js";
import { after, before, minIndex, noIndex, noTerm, type AgreedTime, type LogIndex, type Term } from "../model/ids.js";
import type { TermRun } from "../model/log.js";

/** The part of what was found on disk that ordering needs; `storage`'s recovered log is one. */
export interface RecoveredEntries {
  /** The entry before the first one: what came before it was given back. Index and term 0 if nothing was. */
  readonly start: EntryId;
  /** Agreed time of `start`, if it is known and `start` is the last entry. */
  readonly startTime?: AgreedTime | undefined;
  readonly lastIndex: LogIndex;
  /** The terms of all entries as runs, growing. */
  readonly terms: readonly TermRun[];
  /** The newest entries, ending with the last. Empty if the log is, or if the content of its last entry is damaged. */
  readonly tail: readonly Entry[];
}

const slotsMin = 64;

export class MemoryLog {
  #runs: TermRun[];
  /** The entry before the first: a checkpoint covers it and all before it. */
  #start: EntryId;
  #last: LogIndex;
  #lastTime: AgreedTime;
  /** False while the last entry is one whose content was damaged at the start. */
  #isTimeKnown: boolean;
  #slots: (Entry | undefined)[] = new Array<Entry | undefined>(slotsMin).fill(undefined);
  /** First index in the cache; `#last + 1` if it is empty. */
  #cachedFrom: LogIndex;
  #cachedBytes = 0;

  constructor(recovered: RecoveredEntries) {
    const { lastIndex, terms, tail } = recovered;
    const newest = tail.at(-1);
    invariant((newest?.index ?? lastIndex) === lastIndex, "a recovered tail ends with the last entry");
    this.#start = recovered.start;
    this.#runs = [...terms];
    this.#last = lastIndex;
    const isEmpty = lastIndex === recovered.start.index;
    this.#lastTime = newest?.time ?? (isEmpty ? (recovered.startTime ?? 0) : 0);
    this.#cachedFrom = tail[0]?.index ?? after(lastIndex);
    for (const [offset, entry] of tail.entries()) {
      invariant(entry.index === this.#cachedFrom + offset, "a recovered tail has no gaps");
      this.#cache(entry);
    }
    const isStartKnown = lastIndex === noIndex || (isEmpty && recovered.startTime !== undefined);
    this.#isTimeKnown = newest !== undefined || isStartKnown;
    const lastTerm = this.termAt(lastIndex);
    invariant((newest?.term ?? lastTerm) === lastTerm, "a recovered tail agrees with the runs of terms");
  }

  get lastIndex(): LogIndex {
    return this.#last;
  }

  /** The last entry that is no longer here: what it names and all before it is decided. */
  get start(): EntryId {
    return this.#start;
  }

  /** Agreed time of the last entry; 0 before the first, and while it is not known. */
  get lastTime(): AgreedTime {
    return this.#lastTime;
  }

  /** Only then an entry may be made that follows the last one: agreed time never goes back. */
  get isTimeKnown(): boolean {
    return this.#isTimeKnown;
  }

  get last(): EntryId {
    return { index: this.#last, term: this.termAt(this.#last) };
  }

  /** First index whose entry is in memory. */
  get cachedFrom(): LogIndex {
    return this.#cachedFrom;
  }

  get cachedBytes(): number {
    return this.#cachedBytes;
  }

  /** Of an entry of the log, or of the one before the first; 0 for index 0. */
  termAt(index: LogIndex): Term {
    invariant(index <= this.#last && index >= this.#start.index, "only an entry of the log has a term");
    if (index === this.#start.index) return this.#start.term;
    return this.#runs[this.#runAt(index)]?.term ?? noTerm;
  }

  /** What was given back was decided, so whoever names an entry there names the one that was here. */
  has(id: EntryId): boolean {
    if (id.index < this.#start.index) return true;
    return id.index <= this.#last && this.termAt(id.index) === id.term;
  }

  /** The last entry at or before `index` whose term is at most `term`, or the one before the first: where two logs can agree at best (section 5.3). */
  lastNotAbove(index: LogIndex, term: Term): EntryId {
    let from = minIndex(index, this.#last);
    let run = from <= this.#start.index ? -1 : this.#runAt(from);
    for (; run >= 0; run -= 1) {
      const { firstIndex, term: found } = this.#runs[run] ?? { firstIndex: noIndex, term: noTerm };
      if (found <= term) return { index: from, term: found };
      from = before(firstIndex);
    }
    return this.#start;
  }

  /** What was damaged is whole again; `newest` of it may be the last entry, whose time is known then. */
  repaired(newest: Entry): void {
    if (this.#isTimeKnown || newest.index !== this.#last || !this.has(newest)) return;
    this.#lastTime = newest.time;
    this.#isTimeKnown = true;
  }

  /** At least one entry, then as many as fit; `undefined` if `from` is no longer in memory; empty past the end. */
  entriesFrom(from: LogIndex, bytesMax: number): readonly Entry[] | undefined {
    if (from > this.#last) return [];
    if (from < this.#cachedFrom || from <= this.#start.index) return undefined;
    const entries: Entry[] = [];
    let bytes = 0;
    for (let index = from; index <= this.#last; index = after(index)) {
      const entry = this.#at(index);
      bytes += entryBytes(entry);
      if (entries.length > 0 && bytes > bytesMax) break;
      entries.push(entry);
    }
    return entries;
  }

  append(entry: Entry): void {
    invariant(entry.index === this.#last + 1, "an entry is appended at the end");
    const lastRun = this.#runs.at(-1);
    invariant(lastRun === undefined || entry.term >= lastRun.term, "terms never go back along a log");
    if (lastRun === undefined || lastRun.term !== entry.term)
      this.#runs.push({ firstIndex: entry.index, term: entry.term });
    this.#last = entry.index;
    this.#lastTime = entry.time;
    this.#isTimeKnown = true;
    this.#cache(entry);
  }

  /** Drops this entry and all after it. Entries are appended in the same step, so the time of the last is known again then. */
  truncateFrom(index: LogIndex): void {
    invariant(index > this.#start.index && index <= this.#last, "only entries of the log are dropped");
    for (let at = this.#last; at >= index && at >= this.#cachedFrom; at = before(at)) this.#drop(at);
    while ((this.#runs.at(-1)?.firstIndex ?? noIndex) >= index && this.#runs.length > 0) this.#runs.pop();
    this.#last = before(index);
    if (this.#cachedFrom > index) this.#cachedFrom = index;
    // Evicted entries keep no time here; what is appended next in this step brings one.
    this.#lastTime = this.#cachedFrom <= this.#last ? this.#at(this.#last).time : 0;
  }

  /** Gives back everything up to this entry, which is decided and covered by a checkpoint. */
  compactTo(index: LogIndex): void {
    invariant(index <= this.#last, "only entries of the log are given back");
    if (index <= this.#start.index) return;
    const term = this.termAt(index);
    while (this.#cachedFrom <= index) {
      this.#drop(this.#cachedFrom);
      this.#cachedFrom = after(this.#cachedFrom);
    }
    const kept = this.#runs.findLastIndex(({ firstIndex }) => firstIndex <= index + 1);
    this.#runs = this.#runs.slice(Math.max(0, kept));
    this.#start = { index, term };
  }

  /** Drops everything: the log goes on behind this entry, which a checkpoint covers. */
  reset(start: EntryId, time: AgreedTime): void {
    this.#slots = new Array<Entry | undefined>(slotsMin).fill(undefined);
    this.#cachedBytes = 0;
    this.#runs = [];
    this.#start = start;
    this.#last = start.index;
    this.#cachedFrom = after(start.index);
    this.#lastTime = time;
    this.#isTimeKnown = true;
  }

  /** Forgets the oldest entries up to `upTo` while the cache holds more than `bytesMax`. */
  evict(upTo: LogIndex, bytesMax: number): void {
    while (this.#cachedBytes > bytesMax && this.#cachedFrom <= upTo && this.#cachedFrom <= this.#last) {
      this.#drop(this.#cachedFrom);
      this.#cachedFrom = after(this.#cachedFrom);
    }
  }

  #at(index: LogIndex): Entry {
    const entry = this.#slots[index % this.#slots.length];
    invariant(entry !== undefined && entry.index === index, "a cached entry lies in its slot");
    return entry;
  }

  #cache(entry: Entry): void {
    if (entry.index - this.#cachedFrom >= this.#slots.length) this.#widen(entry.index);
    this.#slots[entry.index % this.#slots.length] = entry;
    this.#cachedBytes += entryBytes(entry);
  }

  #widen(next: LogIndex): void {
    const wider = new Array<Entry | undefined>(this.#slots.length * 2).fill(undefined);
    for (let index = this.#cachedFrom; index < next; index = after(index))
      wider[index % wider.length] = this.#at(index);
    this.#slots = wider;
  }

  #drop(index: LogIndex): void {
    this.#cachedBytes -= entryBytes(this.#at(index));
    this.#slots[index % this.#slots.length] = undefined;
  }

  /** Position of the run that holds `index`: the last one that starts at or before it. */
  #runAt(index: LogIndex): number {
    const newest = this.#runs.length - 1;
    if ((this.#runs[newest]?.firstIndex ?? noIndex) <= index) return newest;
    let low = 0;
    let high = newest;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.#runs[middle]?.firstIndex ?? noIndex) <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
