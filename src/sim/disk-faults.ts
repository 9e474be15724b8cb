/**
 * Faults of a simulated disk: those that its operations meet, and damage to what lies on it.
 *
 * Owns: the plan of failures to come, the ways in which settled bytes are damaged, the count of everything that went wrong. Leaves
 * to others: the content itself (`disk-image.ts`), when something fails or is damaged (the nemesis, by way of `sim-disk.ts`).
 * Damage reaches the platter and the cache, so the next read sees it, and so does every process after a restart.
 */
import { DiskError } from "../ports/disk.js";
import type { ByteRange, WriteRecord } from "./disk-history.js";
import { without } from "./disk-history.js";
import type { Inode } from "./disk-image.js";
import { sectorBytes } from "./disk-image.js";
import type { Draw } from "./draw.js";

/** What a fault did, for a line of the trace. */
export interface FaultOutcome {
  /** False if there was nothing that it could be done to. */
  readonly applied: boolean;
  readonly detail: string;
}

export function applied(detail: string): FaultOutcome {
  return { applied: true, detail };
}

export function notApplied(detail: string): FaultOutcome {
  return { applied: false, detail };
}

/** How often something happened. */
export interface DiskCounts {
  /** Writes of which a power cut took something, and changes of names that it took. */
  unsyncedLost: number;
  /** Writes of which a power cut took one part and left another, and sectors half old and half new. */
  tornWrites: number;
  /** Writes of which a power cut took something although it left something of a later one. */
  reordered: number;
  bitsFlipped: number;
  writesMisdirected: number;
  writesLost: number;
  readErrors: number;
  syncErrors: number;
  /** Operations that found no space. */
  fullWrites: number;
  /** Operations that took longer than an undisturbed disk ever takes. */
  slowed: number;
  /** How often the disk got stuck. */
  stuck: number;
  powerCuts: number;
  // A list of numbers under names, for whoever adds them up.
  [name: string]: number;
}

export function noCounts(): DiskCounts {
  return {
    unsyncedLost: 0,
    tornWrites: 0,
    reordered: 0,
    bitsFlipped: 0,
    writesMisdirected: 0,
    writesLost: 0,
    readErrors: 0,
    syncErrors: 0,
    fullWrites: 0,
    slowed: 0,
    stuck: 0,
    powerCuts: 0,
  };
}

interface PlannedFailure {
  readonly path: RegExp;
  left: number;
}

/** Failures that operations are going to meet. */
export class FaultPlan {
  readonly #counts: DiskCounts;
  readonly #syncs: PlannedFailure[] = [];
  readonly #reads: PlannedFailure[] = [];
  isFull = false;

  constructor(counts: DiskCounts) {
    this.#counts = counts;
  }

  failSyncs(path: RegExp, times: number): void {
    plan(this.#syncs, path, times);
  }

  failReads(path: RegExp, times: number): void {
    plan(this.#reads, path, times);
  }

  syncFailure(path: string): DiskError | undefined {
    if (this.#syncs.length === 0 || !takeFrom(this.#syncs, path)) return undefined;
    this.#counts.syncErrors += 1;
    return new DiskError("failed", `${path} could not be synced: input/output error`);
  }

  readFailure(path: string): DiskError | undefined {
    if (this.#reads.length === 0 || !takeFrom(this.#reads, path)) return undefined;
    this.#counts.readErrors += 1;
    return new DiskError("failed", `${path} could not be read: input/output error`);
  }

  /** For an operation that needs more space than the disk has given out so far. */
  spaceFailure(path: string): DiskError | undefined {
    if (!this.isFull) return undefined;
    this.#counts.fullWrites += 1;
    return new DiskError("full", `no space is left for ${path}`);
  }
}

/** Takes the place of what was planned for the same pattern. */
function plan(failures: PlannedFailure[], path: RegExp, times: number): void {
  const at = failures.findIndex((failure) => failure.path.source === path.source);
  if (at >= 0) failures.splice(at, 1);
  if (times > 0) failures.push({ path, left: times });
}

function takeFrom(failures: PlannedFailure[], path: string): boolean {
  const at = failures.findIndex((failure) => path.search(failure.path) >= 0);
  const failure = failures[at];
  if (failure === undefined) return false;
  failure.left -= 1;
  if (failure.left <= 0) failures.splice(at, 1);
  return true;
}

/** `offset` counts from the beginning of the file. */
export function flipBit(inode: Inode, offset: number, bit: number): FaultOutcome {
  const { path } = inode.history;
  if (offset >= inode.size) return notApplied(`${path} has no byte ${offset}`);
  const mask = 1 << (bit & 7);
  change(inode, offset, new Uint8Array([(inode.cache[offset] ?? 0) ^ mask]));
  return applied(`bit ${bit & 7} of byte ${offset} of ${path} is flipped`);
}

/** A bit of a settled byte. */
export function flipRandomBit(inode: Inode, draw: Draw): FaultOutcome {
  const { settled, path } = inode.history;
  const total = lengthOf(settled);
  if (total === 0) return notApplied(`${path} has no settled byte`);
  let rest = draw.between(0, total - 1);
  const bit = draw.between(0, 7);
  for (const { from, to } of settled) {
    if (rest < to - from) return flipBit(inode, from + rest, bit);
    rest -= to - from;
  }
  return notApplied(`${path} has no settled byte`);
}

/** The device did not do a settled write, though it said so: what was there before is there again. */
export function loseWrite(inode: Inode, draw: Draw): FaultOutcome {
  const { path } = inode.history;
  const writes = undoable(inode);
  if (writes.length === 0) return notApplied(`${path} has no settled write`);
  const write = draw.pick(writes);
  undo(inode, write);
  return applied(`the write of bytes ${write.at} to ${write.end} of ${path} is lost`);
}

/** The device did a settled write at another settled place of the file instead of its own. */
export function misdirectWrite(inode: Inode, draw: Draw): FaultOutcome {
  const { path, settled } = inode.history;
  const writes = undoable(inode);
  const first = writes.length === 0 ? 0 : draw.between(0, writes.length - 1);
  for (let step = 0; step < writes.length; step += 1) {
    const write = writes[(first + step) % writes.length];
    if (write === undefined) continue;
    const from = Math.floor(write.at / sectorBytes) * sectorBytes;
    const to = Math.ceil(write.end / sectorBytes) * sectorBytes;
    const place = placeFor(without(settled, from, to), to - from, draw);
    if (place === undefined) continue;
    // Behind the end of the file the sector holds zeros.
    const sectors = new Uint8Array(to - from);
    sectors.set(inode.cache.subarray(from, Math.min(to, inode.size)));
    undo(inode, write);
    change(inode, place, sectors);
    return applied(`the write of bytes ${write.at} to ${write.end} of ${path} went to byte ${place}`);
  }
  return notApplied(`${path} has no settled write with room for it elsewhere`);
}

function undoable(inode: Inode): readonly WriteRecord[] {
  return inode.history.recent.filter((write) => write.isSettled && write.live.length > 0);
}

/** Puts back what was there before the write, where no later write has been. */
function undo(inode: Inode, write: WriteRecord): void {
  for (const { from, to } of write.live) {
    const old = new Uint8Array(to - from);
    if (write.before !== undefined) old.set(write.before.subarray(from - write.at, to - write.at));
    change(inode, from, old);
  }
  write.live = [];
}

/** The start of a run of whole sectors within one of the ranges. */
function placeFor(ranges: readonly ByteRange[], length: number, draw: Draw): number | undefined {
  const starts: number[] = [];
  for (const range of ranges) {
    const first = Math.ceil(range.from / sectorBytes) * sectorBytes;
    for (let at = first; at + length <= range.to; at += sectorBytes) starts.push(at);
  }
  return starts.length === 0 ? undefined : draw.pick(starts);
}

function lengthOf(ranges: readonly ByteRange[]): number {
  return ranges.reduce((sum, { from, to }) => sum + to - from, 0);
}

/** In the cache and, as far as the file reaches there, on the platter. */
function change(inode: Inode, at: number, bytes: Uint8Array): void {
  inode.cache.set(bytes, at);
  inode.history.writtenEnd = Math.max(inode.history.writtenEnd, at + bytes.length);
  if (at < inode.platterSize) inode.platter.set(bytes.subarray(0, inode.platterSize - at), at);
}
