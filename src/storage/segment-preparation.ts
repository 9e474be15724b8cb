/**
 * Makes the next segment of the log, in the background and ahead of need.
 *
 * Owns: the file named `preparing` until it has become a segment. Blocks that were written before are flushed up to twice as
 * fast as new ones, so the file is filled with zeros first, in slices; one slice is in flight at a time, and slices are asked
 * for in step with the log's use, so an idle log leaves the disk alone. Order: zeros, header, rename, directory sync; a crash
 * before the rename leaves a file that recovery removes, after it an empty segment that recovery accepts (hazards D5, D15).
 * Without space for a whole segment what was taken is given back, so that a checkpoint, which frees log, finds it; `hurry` tries
 * again (hazard D12).
 */
import { invariant } from "../base/invariant.js";
import type { Disk, DiskFile } from "../ports/disk.js";
import { DiskError } from "../ports/disk.js";
import type { FormatContext } from "./wal-format.js";
import { encodeSegmentHeader, formatVersion } from "./wal-format.js";

export const preparingName = "preparing";
const sliceBytes = 256 * 1024;
const zeros = new Uint8Array(sliceBytes);

export interface PreparationTarget {
  readonly segment: { readonly sequence: number; readonly base: number; readonly bytes: number };
  readonly name: string;
  /** A freed segment of the same size to use again, by its file's name. */
  readonly spare: string | undefined;
}

export type PreparationResult =
  | { readonly kind: "ready"; readonly file: DiskFile }
  /** The preparation stands; `hurry` goes on where it stopped. */
  | { readonly kind: "failed"; readonly failure: DiskError };

export class SegmentPreparation {
  readonly #parts: { readonly disk: Disk; readonly context: FormatContext; readonly directory: string };
  readonly #target: PreparationTarget;
  readonly #done: (result: PreparationResult) => void;
  #file: DiskFile | undefined;
  #filled: number;
  #wanted = 0;
  #hasHeader = false;
  #busy = false;
  #failed = false;
  #abandoned = false;

  constructor(
    parts: { readonly disk: Disk; readonly context: FormatContext; readonly directory: string },
    target: PreparationTarget,
    done: (result: PreparationResult) => void,
  ) {
    this.#parts = parts;
    this.#target = target;
    this.#done = done;
    this.#filled = target.spare === undefined ? 0 : target.segment.bytes;
  }

  /** A step of it is in flight. */
  get isBusy(): boolean {
    return this.#busy;
  }

  /** Fills up to `bytes`; once all is filled the segment is published. After a failure only `hurry` goes on. */
  fillUpTo(bytes: number): void {
    this.#wanted = Math.max(this.#wanted, Math.min(bytes, this.#target.segment.bytes));
    if (!this.#failed) this.#next();
  }

  /** A write waits for this segment: fills all of it, also after a failure. */
  hurry(): void {
    this.#failed = false;
    this.#wanted = this.#target.segment.bytes;
    this.#next();
  }

  /** The log is closed, or a better one is begun: what is in flight ends, nothing more begins. */
  abandon(): void {
    this.#abandoned = true;
    if (!this.#busy) this.#file?.close(ignore);
  }

  /** One step at a time; each goes on here once it is durable. */
  #next(): void {
    if (this.#busy || this.#abandoned) return;
    const { bytes } = this.#target.segment;
    if (this.#filled >= this.#wanted && this.#filled < bytes) return;
    this.#busy = true;
    const file = this.#file;
    if (file === undefined) return this.#open();
    if (this.#filled < bytes) return this.#fillSlice(file);
    if (!this.#hasHeader) return this.#writeHeader(file);
    this.#publish(file);
  }

  #open(): void {
    const { disk, directory } = this.#parts;
    const path = `${directory}/${preparingName}`;
    const open = (): void =>
      disk.openLater(path, "create", (result) => {
        if (result instanceof DiskError) return this.#failStep(result);
        this.#file = result;
        this.#goOn();
      });
    if (this.#target.spare === undefined) return open();
    disk.publish(`${directory}/${this.#target.spare}`, path, (failure) => (failure ? this.#failStep(failure) : open()));
  }

  #fillSlice(file: DiskFile): void {
    const length = Math.min(sliceBytes, this.#target.segment.bytes - this.#filled);
    file.write(this.#filled, [zeros.subarray(0, length)], (failure) => {
      if (failure !== undefined) return this.#failStep(failure);
      this.#filled += length;
      this.#goOn();
    });
  }

  #writeHeader(file: DiskFile): void {
    const header = encodeSegmentHeader({ version: formatVersion, ...this.#target.segment }, this.#parts.context);
    file.write(0, [header], (failure) => {
      if (failure !== undefined) return this.#failStep(failure);
      this.#hasHeader = true;
      this.#goOn();
    });
  }

  #publish(file: DiskFile): void {
    const { disk, directory } = this.#parts;
    disk.publish(`${directory}/${preparingName}`, `${directory}/${this.#target.name}`, (failure) => {
      if (failure !== undefined) return this.#failStep(failure);
      invariant(this.#hasHeader, "a segment is whole before it has its name");
      this.#busy = false;
      if (this.#abandoned) file.close(ignore);
      else this.#done({ kind: "ready", file });
    });
  }

  #goOn(): void {
    this.#busy = false;
    if (this.#abandoned) this.#file?.close(ignore);
    else this.#next();
  }

  #failStep(failure: DiskError): void {
    this.#busy = false;
    this.#failed = true;
    if (failure.code === "full") this.#giveBack();
    if (this.#abandoned) this.#file?.close(ignore);
    else this.#done({ kind: "failed", failure });
  }

  /** A file that has all its space keeps it. */
  #giveBack(): void {
    if (this.#file === undefined || this.#filled === this.#target.segment.bytes) return;
    this.#file.close(ignore);
    this.#file = undefined;
    this.#filled = 0;
    removeIfThere(this.#parts.disk, `${this.#parts.directory}/${preparingName}`);
  }
}

/** A name that stays is removed at the next start, or used by the next try. */
function removeIfThere(disk: Disk, path: string): void {
  try {
    disk.remove(path);
  } catch (cause) {
    if (!(cause instanceof DiskError)) throw cause;
  }
}

function ignore(): void {
  // The file of an abandoned preparation holds nothing; recovery removes it.
}
