/**
 * What was written to a simulated disk, as far as damage must know it: which bytes are settled, and what lay there before.
 *
 * Owns: the rule of when a write is settled, the settled ranges of each file, its last writes with what they replaced. Leaves to
 * others: the bytes (`disk-image.ts`), doing damage to them (`disk-faults.ts`). Called for every write by `disk-image.ts`.
 *
 * A settled write is one that a later write stands behind: it was reported to the process before that later one began, with all
 * writes to the same file or series of numbered files that had begun before it, and the later one is durable. So whoever reads the
 * disk can know that the settled one was promised. Not every later write says so: the later one went through the same open file,
 * or lies further on in the same file, or lies in a later file of the same series. Zeros that only make a file longer promise
 * nothing, neither about themselves nor about others, and what a start-up writes anew says nothing about others.
 */

export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

/** Writes of one file that are kept to be undone. */
const recentMax = 64;
/** Reported writes that wait for one to stand behind them; of a file that is never written again the last one waits for ever. */
const unsettledMax = 64;

/** An open file, or whoever else writes. */
export interface Opener {
  /** Its process lives. */
  readonly isAlive: boolean;
}

export interface WritePlace {
  readonly at: number;
  readonly end: number;
  readonly opener: Opener;
  /** Synchronous, as at start-up. */
  readonly isNow: boolean;
}

export interface WriteRecord extends WritePlace {
  readonly history: WriteHistory;
  /** What lay there before; where it is shorter than the write, or undefined, there were zeros. */
  readonly before: Uint8Array | undefined;
  /** Zeros that only make the file longer. */
  readonly isFill: boolean;
  readonly beganAt: number;
  /** It and all related writes that began before it have been reported. */
  reportedAt: number;
  isDurable: boolean;
  isSettled: boolean;
  /** Its bytes, once a later write has replaced some of them in the cache before it was durable. */
  own: Uint8Array | undefined;
  /** What no later write has touched. */
  live: readonly ByteRange[];
}

/** What is left of `ranges` without [`from`, `to`). */
export function without(ranges: readonly ByteRange[], from: number, to: number): ByteRange[] {
  const rest: ByteRange[] = [];
  for (const range of ranges) {
    if (range.to <= from || range.from >= to) {
      rest.push(range);
      continue;
    }
    if (range.from < from) rest.push({ from: range.from, to: from });
    if (range.to > to) rest.push({ from: to, to: range.to });
  }
  return rest;
}

/** `ranges`, which are sorted and apart, and [`from`, `to`). Mostly the new one continues the last. */
function withRange(ranges: readonly ByteRange[], from: number, to: number): ByteRange[] {
  const sorted = [...without(ranges, from, to), { from, to }].sort((left, right) => left.from - right.from);
  const joined: ByteRange[] = [];
  for (const range of sorted) {
    const last = joined.at(-1);
    if (last?.to === range.from) joined[joined.length - 1] = { from: last.from, to: range.to };
    else joined.push(range);
  }
  return joined;
}

/** Drops those behind them, of which there are few: to set the length of a list is a call of the engine. */
function keepFirst(list: unknown[], count: number): void {
  while (list.length > count) list.pop();
}

export class WriteHistory {
  /** Oldest first. Twice as many as are kept at most, since to drop one from the front moves all others. */
  readonly #recent: WriteRecord[] = [];
  /** Behind this byte nothing was ever written but zeros that made the file longer. */
  writtenEnd = 0;
  #settled: ByteRange[] = [];
  #path = "";
  #name = "";
  #series: string | undefined;

  /** Sorted and apart. */
  get settled(): readonly ByteRange[] {
    return this.#settled;
  }

  /** The last writes but for fills, oldest first. */
  get recent(): readonly WriteRecord[] {
    return this.#recent.slice(-recentMax);
  }

  began(write: WriteRecord): void {
    const recent = this.#recent;
    this.writtenEnd = Math.max(this.writtenEnd, write.end);
    recent.push(write);
    const left = recent.at(-1 - recentMax);
    // What is not followed any more cannot become settled, since nobody would see it overwritten.
    if (left?.isSettled === false) left.live = [];
    if (recent.length >= 2 * recentMax) recent.splice(0, recent.length - recentMax);
  }

  /** Where the file is now. */
  get path(): string {
    return this.#path;
  }

  /** The file got a name, or another one. */
  named(path: string): void {
    const nameAt = path.lastIndexOf("/") + 1;
    this.#path = path;
    this.#name = path.slice(nameAt);
    const pattern = this.#name.replace(/\d+/g, "#");
    this.#series = pattern === this.#name ? undefined : path.slice(0, nameAt) + pattern;
  }

  /** Something is written over these bytes: they are what they were no more. */
  overwrite(from: number, to: number): void {
    this.#settled = without(this.#settled, from, to);
    for (const write of this.recent) {
      if (write.at < to && write.end > from) write.live = without(write.live, from, to);
    }
  }

  settle(write: WriteRecord): void {
    write.isSettled = true;
    for (const { from, to } of write.live) this.#addSettled(from, to);
  }

  /** For a copy of the disk. */
  adopt(settled: readonly ByteRange[], writtenEnd: number): void {
    this.#settled = [...settled];
    this.writtenEnd = writtenEnd;
  }

  /** Whether `later` says that `earlier` was promised, given that it began after that was reported. */
  static standsBehind(later: WriteRecord, earlier: WriteRecord): boolean {
    const [one, other] = [earlier.history, later.history];
    if (one === other) return later.opener === earlier.opener || later.at >= earlier.end;
    return one.isRelatedTo(other) && other.#name > one.#name;
  }

  /** The same file, or another one of the same series. */
  isRelatedTo(other: WriteHistory): boolean {
    return this === other || (this.#series !== undefined && this.#series === other.#series);
  }

  #addSettled(from: number, to: number): void {
    const last = this.#settled.at(-1);
    if (last?.to === from) this.#settled[this.#settled.length - 1] = { from: last.from, to };
    else this.#settled = withRange(this.#settled, from, to);
  }
}

/** The order of all writes of one disk, and which of them are settled. */
export class WriteLedger {
  #moment = 0;
  /** Not reported yet, in their order. */
  #unreported: WriteRecord[] = [];
  #unsettled: WriteRecord[] = [];

  begin(
    history: WriteHistory,
    place: WritePlace,
    content: { readonly before: Uint8Array | undefined; readonly isFill: boolean },
  ): WriteRecord {
    this.#moment += 1;
    const { at, end, opener, isNow } = place;
    const write: WriteRecord = {
      history,
      at,
      end,
      opener,
      isNow,
      before: content.before,
      isFill: content.isFill,
      beganAt: this.#moment,
      reportedAt: Number.POSITIVE_INFINITY,
      isDurable: false,
      isSettled: false,
      own: undefined,
      live: end > at ? [{ from: at, to: end }] : [],
    };
    if (content.isFill) return write;
    this.#unreported.push(write);
    history.began(write);
    return write;
  }

  /** It is on the platter: whatever it stands behind is settled. */
  durable(write: WriteRecord): void {
    write.isDurable = true;
    if (write.isFill || write.isNow) return;
    const waiting = this.#unsettled;
    let left = 0;
    for (const earlier of waiting) {
      const isSettled = earlier.reportedAt < write.beganAt && WriteHistory.standsBehind(write, earlier);
      if (isSettled) earlier.history.settle(earlier);
      else waiting[left++] = earlier;
    }
    keepFirst(waiting, left);
  }

  /** The process has been told that it is durable. */
  report(write: WriteRecord): void {
    if (write.isFill) return;
    this.#unsettled.push(write);
    if (this.#unsettled.length > unsettledMax) this.#unsettled.shift();
    this.end(write);
  }

  /** It is not under way any more, reported or not. */
  end(write: WriteRecord): void {
    this.#moment += 1;
    const waiting = this.#unreported;
    let left = 0;
    for (const other of waiting) if (other !== write && other.opener.isAlive) waiting[left++] = other;
    keepFirst(waiting, left);
    for (const told of this.#unsettled) {
      if (told.reportedAt < this.#moment || this.#isPreceded(told)) continue;
      told.reportedAt = this.#moment;
    }
  }

  /** Another disk is put in, or the power went. */
  forgetUnreported(): void {
    this.#unreported = [];
  }

  #isPreceded(write: WriteRecord): boolean {
    return this.#unreported.some(
      ({ beganAt, history }) => beganAt < write.beganAt && history.isRelatedTo(write.history),
    );
  }
}
