/**
 * The files of the log: which there are, which is written to, which comes next.
 *
 * Owns: names, creation, the roll from one segment to the next, the recycling of freed ones. Leaves to others: what is in
 * them (`wal-format.ts`), filling the next one ahead of need (`segment-preparation.ts`). A roll itself touches no directory:
 * the next segment was filled, given its header, renamed to its name and its directory synced before (hazard D5).
 * Segments are numbered without gaps, and each begins where the one before ends.
 */
import { invariant } from "../base/invariant.js";
import type { Disk, DiskError, DiskFile, Done } from "../ports/disk.js";
import { preparingName, SegmentPreparation } from "./segment-preparation.js";
import type { FormatContext } from "./wal-format.js";
import { encodeSegmentHeader, formatVersion, segmentHeaderBytes } from "./wal-format.js";

export const logDirectoryName = "log";
const segmentPattern = /^(\d{10})\.segment$/;
const sparePattern = /^spare-\d{10}$/;
/** More freed segments than this are removed: the next one is needed once, the other absorbs a burst. */
const sparesMax = 2;

export interface Segment {
  readonly sequence: number;
  readonly base: number;
  readonly bytes: number;
}

export interface SegmentParts {
  readonly disk: Disk;
  readonly context: FormatContext;
  /** The directory of the segments, not the data directory. */
  readonly directory: string;
  /** Of segments made from now on; those that exist keep their size. */
  readonly segmentBytes: number;
}

export function segmentName(sequence: number): string {
  return `${String(sequence).padStart(10, "0")}.segment`;
}

export function sequenceOf(name: string): number | undefined {
  const match = segmentPattern.exec(name);
  return match === null ? undefined : Number(match[1]);
}

/** Makes the directory with an empty first segment; only for a new data directory. */
export function createLog(parts: SegmentParts): void {
  const { disk, directory } = parts;
  disk.makeDirectory(directory);
  for (const name of disk.list(directory)) disk.remove(`${directory}/${name}`);
  const first: Segment = { sequence: 1, base: 0, bytes: parts.segmentBytes };
  const file = disk.openFile(`${directory}/${preparingName}`, "create");
  const slice = new Uint8Array(1024 * 1024);
  for (let at = 0; at < first.bytes; at += slice.length) file.writeNow(at, slice.subarray(0, first.bytes - at));
  file.writeNow(0, encodeSegmentHeader({ version: formatVersion, ...first }, parts.context));
  file.syncNow();
  file.close(ignore);
  disk.rename(`${directory}/${preparingName}`, `${directory}/${segmentName(1)}`);
  disk.syncDirectory(directory);
}

/** A segment with the file to write to. */
interface OpenSegment {
  readonly segment: Segment;
  readonly file: DiskFile;
}

export interface Place {
  readonly file: DiskFile;
  /** Offset in the file. */
  readonly at: number;
  readonly position: number;
}

export class Segments {
  readonly #parts: SegmentParts;
  /** All that exist and may hold records, in order; the last is the active one. */
  readonly #known: Segment[];
  readonly #spares: string[];
  readonly #onChange: (failure: DiskError | undefined) => void;
  #active: OpenSegment;
  #used: number;
  #next: OpenSegment | undefined;
  #preparation: SegmentPreparation | undefined;
  #full: DiskError | undefined;
  /** Bytes of the active segment that were used when the preparation of the next one began. */
  #preparedFrom = 0;

  /** `onChange` is called later whenever the next segment has become ready, or could not. */
  constructor(
    parts: SegmentParts,
    found: { readonly known: readonly Segment[]; readonly next: Segment | undefined; readonly end: number },
    onChange: (failure: DiskError | undefined) => void,
  ) {
    const active = found.known.at(-1);
    invariant(active !== undefined, "there is a segment to write to");
    this.#parts = parts;
    this.#known = [...found.known];
    this.#onChange = onChange;
    this.#active = { segment: active, file: this.#open(active) };
    this.#used = found.end - active.base;
    this.#next = found.next === undefined ? undefined : { segment: found.next, file: this.#open(found.next) };
    this.#spares = parts.disk.list(parts.directory).filter((name) => sparePattern.test(name));
  }

  /** Bytes left in the active segment. */
  get remaining(): number {
    return this.#active.segment.bytes - this.#used;
  }

  get directory(): string {
    return this.#parts.directory;
  }

  get active(): Segment {
    return this.#active.segment;
  }

  /** Why there is no next segment, if the disk had no space for it when it was last tried. */
  get full(): DiskError | undefined {
    return this.#full;
  }

  /** Nothing is written to the active segment yet. */
  get isFresh(): boolean {
    return this.#used <= segmentHeaderBytes;
  }

  /** Where the next byte goes. */
  get position(): number {
    return this.#active.segment.base + this.#used;
  }

  /** The largest record that a segment of this log can hold. */
  get recordBytesMax(): number {
    return this.#parts.segmentBytes - segmentHeaderBytes;
  }

  /** The place of the next `bytes` bytes. */
  take(bytes: number): Place {
    invariant(bytes <= this.remaining, "a group fits into its segment");
    const at = this.#used;
    this.#used += bytes;
    return { file: this.#active.file, at, position: this.#active.segment.base + at };
  }

  /** Goes on to the next segment if it is ready. If not, its preparation is hurried and `onChange` tells. */
  roll(): boolean {
    if (this.#next === undefined) {
      this.prepareNow();
      return false;
    }
    this.#active.file.close(ignore);
    this.#active = this.#next;
    this.#known.push(this.#next.segment);
    this.#used = segmentHeaderBytes;
    this.#next = undefined;
    return true;
  }

  /** Called after each write: the next segment is full of zeros once half of what is left of this one is used. */
  prepareAhead(): void {
    if (this.#next !== undefined) return;
    const preparation = this.#prepare();
    const left = this.#active.segment.bytes - this.#preparedFrom;
    const share = left === 0 ? 1 : Math.min(1, (2 * (this.#used - this.#preparedFrom)) / left);
    preparation.fillUpTo(Math.ceil(share * this.#parts.segmentBytes));
  }

  /** Makes the next segment at once, also after a failure; `onChange` tells. */
  prepareNow(): void {
    if (this.#next !== undefined) return;
    // A segment that was freed since has its space already.
    if (this.#full !== undefined && this.#spares.length > 0 && this.#preparation?.isBusy === false) {
      this.#preparation.abandon();
      this.#preparation = undefined;
    }
    this.#prepare().hurry();
  }

  /** The segment that holds `position`. */
  locate(position: number): Segment | undefined {
    let low = 0;
    let high = this.#known.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#known[middle]?.base ?? 0) <= position) low = middle + 1;
      else high = middle;
    }
    const segment = this.#known[low - 1];
    return segment !== undefined && position < segment.base + segment.bytes ? segment : undefined;
  }

  /** The segment after the one given, if it may hold records. */
  following(segment: Segment): Segment | undefined {
    return this.#known.find((other) => other.sequence === segment.sequence + 1);
  }

  pathOf(segment: Segment): string {
    return `${this.#parts.directory}/${segmentName(segment.sequence)}`;
  }

  /**
   * Gives back the segments that lie wholly before `position`; freed ones become the next ones without being filled again.
   * Their old records carry lower positions and are never taken for new ones. What would begin behind `position` is
   * durable before.
   */
  freeBefore(position: number): void {
    while (this.#known.length > 1) {
      const oldest = this.#known[0];
      if (oldest === undefined || oldest.base + oldest.bytes > position) return;
      this.#known.shift();
      const reusable = oldest.bytes === this.#parts.segmentBytes && this.#spares.length < sparesMax;
      if (!reusable) {
        this.#parts.disk.remove(this.pathOf(oldest));
        continue;
      }
      const spare = `spare-${String(oldest.sequence).padStart(10, "0")}`;
      this.#parts.disk.rename(this.pathOf(oldest), `${this.#parts.directory}/${spare}`);
      this.#spares.push(spare);
    }
  }

  close(done: Done): void {
    this.#preparation?.abandon();
    this.#next?.file.close(ignore);
    this.#active.file.close(done);
  }

  #prepare(): SegmentPreparation {
    if (this.#preparation !== undefined) return this.#preparation;
    const { segment } = this.#active;
    this.#preparedFrom = this.#used;
    const next = {
      sequence: segment.sequence + 1,
      base: segment.base + segment.bytes,
      bytes: this.#parts.segmentBytes,
    };
    const target = { segment: next, name: segmentName(next.sequence), spare: this.#spares.shift() };
    this.#preparation = new SegmentPreparation(this.#parts, target, (result) => {
      this.#full = result.kind === "failed" && result.failure.code === "full" ? result.failure : undefined;
      if (result.kind === "failed") return this.#onChange(result.failure);
      this.#preparation = undefined;
      this.#next = { segment: next, file: result.file };
      this.#onChange(undefined);
    });
    return this.#preparation;
  }

  #open(segment: Segment): DiskFile {
    return this.#parts.disk.openFile(this.pathOf(segment), "existing");
  }
}

function ignore(): void {
  // Nothing depends on the close of a file whose writes have all been reported.
}
