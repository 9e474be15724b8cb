/**
 * The content of a simulated disk: what a read gives, and what a power cut leaves of it.
 *
 * Owns: names and files, each twice (the system's cache, the platter), which writes have not reached the platter, what becomes of
 * them when the power goes. Leaves to others: time, failures and the `Disk` port (`sim-disk.ts`), which bytes may be damaged
 * (`disk-history.ts`). Called by `sim-disk.ts` and `disk-faults.ts`.
 *
 * The device writes whole sectors, each all or nothing (but for a rare torn one), in any order. Within one sector writes arrive in
 * their order, since they pass through one page of the cache. Changes of names become durable in their order too: syncing a
 * directory takes along every earlier change, and a power cut leaves a beginning of what was not synced.
 */
import { invariant } from "../base/invariant.js";
import { DiskError } from "../ports/disk.js";
import type { ByteRange, WritePlace, WriteRecord } from "./disk-history.js";
import { WriteHistory, WriteLedger } from "./disk-history.js";
import type { Draw } from "./draw.js";

export const sectorBytes = 512;
/** One surviving sector in this many is half old and half new. */
const tornSectorOneIn = 64;

export interface Inode {
  readonly history: WriteHistory;
  /** What a read gives. The buffers are longer than the file, with zeros behind its end. */
  cache: Uint8Array;
  size: number;
  /** What the power does not take. */
  platter: Uint8Array;
  platterSize: number;
  /** Writes that are not on the platter as far as anyone knows, in their order. */
  dirty: WriteRecord[];
  /** Where a failed sync left the cache and the platter apart, with nobody left who knows. */
  doubtful: ByteRange[];
}

interface Names {
  readonly files: Map<string, Inode>;
  readonly directories: Set<string>;
}

interface NameChange {
  readonly directories: readonly string[];
  readonly apply: (names: Names) => void;
}

/** What a power cut took. */
interface CutReport {
  /** Writes of which something is lost. */
  readonly lost: number;
  /** Writes of which one part is lost and another is not, and torn sectors. */
  readonly torn: number;
  /** Writes of which something is lost although something of a later one is not. */
  readonly reordered: number;
  /** Changes of names. */
  readonly namesLost: number;
}

/** A disk's durable content at one moment; nothing can change it any more. */
export interface DiskSnapshot {
  readonly bytes: number;
  /** A copy of its own for whoever asks. */
  readonly open: () => {
    readonly files: ReadonlyMap<string, Inode>;
    readonly directories: ReadonlySet<string>;
  };
}

interface WriteFate {
  readonly beganAt: number;
  readonly kept: number;
  readonly lost: number;
}

export class DiskImage {
  readonly ledger = new WriteLedger();
  #names: Names = { files: new Map(), directories: new Set() };
  #durable: Names = { files: new Map(), directories: new Set() };
  #changes: NameChange[] = [];

  isDirectory(path: string): boolean {
    return path === "." || path === "/" || this.#names.directories.has(path);
  }

  find(path: string): Inode | undefined {
    return this.#names.files.get(path);
  }

  get(path: string): Inode {
    const inode = this.#names.files.get(path);
    if (inode === undefined) throw new DiskError("notFound", `no such file: ${path}`);
    return inode;
  }

  /** Names in a directory, sorted. */
  list(directory: string): readonly string[] {
    this.requireDirectory(directory);
    const names: string[] = [];
    const add = (path: string): void => {
      if (parentOf(path) === directory) names.push(path.slice(path.lastIndexOf("/") + 1));
    };
    for (const path of this.#names.files.keys()) add(path);
    for (const path of this.#names.directories) add(path);
    return names.sort();
  }

  requireDirectory(directory: string): void {
    if (!this.isDirectory(directory)) throw new DiskError("notFound", `no such directory: ${directory}`);
  }

  makeDirectory(path: string): void {
    this.#change([path], (names) => names.directories.add(path));
  }

  /** A new, empty file under this name. */
  create(path: string): Inode {
    const inode = emptyInode();
    this.#change([path], (names) => names.files.set(path, inode));
    inode.history.named(path);
    return inode;
  }

  rename(from: string, to: string): void {
    const inode = this.get(from);
    this.#change([from, to], (names) => {
      names.files.delete(from);
      names.files.set(to, inode);
    });
    inode.history.named(to);
  }

  remove(path: string): void {
    this.get(path);
    this.#change([path], (names) => names.files.delete(path));
  }

  /** Makes durable what was changed in this directory, and with it every change before. */
  syncNames(directory: string): void {
    this.requireDirectory(directory);
    const last = this.#changes.findLastIndex((change) => change.directories.includes(directory));
    for (const change of this.#changes.splice(0, last + 1)) change.apply(this.#durable);
  }

  /** Writes into the cache. */
  write(
    inode: Inode,
    chunks: readonly Uint8Array[],
    { at, opener, isNow }: Pick<WritePlace, "at" | "opener" | "isNow">,
  ): WriteRecord {
    const { history, size } = inode;
    let end = at;
    for (const chunk of chunks) end += chunk.length;
    const overlaps = at < history.writtenEnd && end > at;
    if (overlaps) {
      keepOwn(inode, at, end);
      history.overwrite(at, end);
    }
    const before = overlaps ? inode.cache.slice(at, Math.min(end, size)) : undefined;
    const isFill = !overlaps && end > size && chunks.every(areZeros);
    inode.cache = grown(inode.cache, end, history);
    // Zeros are there already.
    if (!isFill) placeAll(inode.cache, at, chunks);
    if (end > at) inode.size = Math.max(size, end);
    const write = this.ledger.begin(history, { at, end, opener, isNow }, { before, isFill });
    inode.dirty.push(write);
    return write;
  }

  /** The device writes the sectors of this write, as they are in the cache by now. */
  sync(inode: Inode, write: WriteRecord): void {
    if (write.isDurable) return;
    flush(inode, write);
    const at = inode.dirty[0] === write ? 0 : inode.dirty.indexOf(write);
    if (at >= 0) inode.dirty.splice(at, 1);
    this.ledger.durable(write);
  }

  /** The same for everything that was written to the file. */
  syncAll(inode: Inode): void {
    for (const write of inode.dirty) {
      flush(inode, write);
      this.ledger.durable(write);
    }
    inode.dirty = [];
  }

  /** A failed sync: some of the sectors were written, and the system takes all of them for written. */
  forget(inode: Inode, writes: readonly WriteRecord[], draw: Draw): void {
    for (const write of writes) {
      for (let at = sectorStart(write.at); at < write.end; at += sectorBytes) {
        if (draw.chance(0.5)) copySector(inode, at);
      }
      inode.doubtful.push({ from: write.at, to: write.end });
    }
    inode.dirty = inode.dirty.filter((write) => !writes.includes(write));
  }

  /** The power goes and comes back. Nothing is open any more. */
  powerCut(draw: Draw): CutReport {
    const namesKept = draw.between(0, this.#changes.length);
    const namesLost = this.#changes.length - namesKept;
    for (const change of this.#changes.slice(0, namesKept)) change.apply(this.#durable);
    const fates: WriteFate[] = [];
    let tornSectors = 0;
    for (const inode of this.#durable.files.values()) tornSectors += cutInode(inode, draw, fates);
    this.#startFrom(this.#durable);
    return { ...reportOf(fates, tornSectors), namesLost };
  }

  snapshot(): DiskSnapshot {
    const kept = copyOf(this.#durable);
    let bytes = 0;
    for (const inode of kept.files.values()) bytes += inode.platterSize;
    return Object.freeze({ bytes, open: () => copyOf(kept) });
  }

  /** Puts another disk in; without one an empty disk. */
  replace(snapshot: DiskSnapshot | undefined): void {
    const { files, directories } = snapshot?.open() ?? {
      files: new Map<string, Inode>(),
      directories: new Set<string>(),
    };
    this.#startFrom({ files: new Map(files), directories: new Set(directories) });
  }

  #startFrom(durable: Names): void {
    this.ledger.forgetUnreported();
    this.#changes = [];
    this.#durable = durable;
    this.#names = { files: new Map(durable.files), directories: new Set(durable.directories) };
    for (const [path, inode] of durable.files) inode.history.named(path);
  }

  #change(paths: readonly string[], apply: NameChange["apply"]): void {
    const directories = paths.map(parentOf);
    for (const directory of directories) this.requireDirectory(directory);
    apply(this.#names);
    this.#changes.push({ directories, apply });
  }
}

export function parentOf(path: string): string {
  const at = path.lastIndexOf("/");
  return at > 0 ? path.slice(0, at) : at === 0 ? "/" : ".";
}

/**
 * `buffer` or a larger one with the same content, in which `length` bytes have room. Only what was ever written is copied, so that
 * a new segment full of zeros costs next to nothing.
 */
export function grown(buffer: Uint8Array, length: number, history: WriteHistory): Uint8Array {
  if (length <= buffer.length) return buffer;
  const larger = new Uint8Array(Math.max(length, 2 * buffer.length));
  larger.set(buffer.subarray(0, history.writtenEnd));
  return larger;
}

function placeAll(buffer: Uint8Array, at: number, chunks: readonly Uint8Array[]): void {
  let to = at;
  for (const chunk of chunks) {
    buffer.set(chunk, to);
    to += chunk.length;
  }
}

function emptyInode(): Inode {
  const nothing = new Uint8Array(0);
  const history = new WriteHistory();
  return { history, cache: nothing, size: 0, platter: nothing, platterSize: 0, dirty: [], doubtful: [] };
}

function copyOf(names: Names): Names {
  const files = new Map<string, Inode>();
  for (const [path, { history, platter, platterSize }] of names.files) {
    const twin = emptyInode();
    twin.cache = platter.slice(0, platterSize);
    twin.platter = platter.slice(0, platterSize);
    twin.size = platterSize;
    twin.platterSize = platterSize;
    twin.history.adopt(history.settled, Math.min(history.writtenEnd, platterSize));
    files.set(path, twin);
  }
  return { files, directories: new Set(names.directories) };
}

function sectorStart(at: number): number {
  return at - (at % sectorBytes);
}

/** By words if they are aligned: it is asked for every slice of a new segment. */
function areZeros(bytes: Uint8Array): boolean {
  let at = 0;
  if (bytes.byteOffset % 4 === 0) {
    const words = new Int32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / 4));
    let word = 0;
    for (; word + 4 <= words.length; word += 4) {
      const four = (words[word] ?? 0) | (words[word + 1] ?? 0) | (words[word + 2] ?? 0) | (words[word + 3] ?? 0);
      if (four !== 0) return false;
    }
    at = 4 * word;
  }
  for (; at < bytes.length; at += 1) if (bytes[at] !== 0) return false;
  return true;
}

/** Writes in flight whose bytes are about to be replaced in the cache keep them: a power cut may leave just these. */
function keepOwn(inode: Inode, from: number, to: number): void {
  for (const write of inode.dirty) {
    if (write.at < to && write.end > from) write.own ??= inode.cache.slice(write.at, write.end);
  }
}

/** The sectors of a write go to the platter, and with them whatever else is in these sectors. */
function flush(inode: Inode, write: WriteRecord): void {
  if (write.end === write.at) return;
  const from = sectorStart(write.at);
  const to = Math.min(inode.size, sectorStart(write.end + sectorBytes - 1));
  inode.platter = grown(inode.platter, to, inode.history);
  if (!write.isFill) inode.platter.set(inode.cache.subarray(from, to), from);
  inode.platterSize = Math.max(inode.platterSize, to);
}

function copySector(inode: Inode, at: number): void {
  const to = Math.min(inode.size, at + sectorBytes);
  inode.platter = grown(inode.platter, to, inode.history);
  inode.platter.set(inode.cache.subarray(at, to), at);
  inode.platterSize = Math.max(inode.platterSize, to);
}

/** Settles what was not synced sector by sector; afterwards the cache equals the platter. How many sectors were torn. */
function cutInode(inode: Inode, draw: Draw, fates: WriteFate[]): number {
  const { dirty } = inode;
  /** By sector the newest write that arrived there: those before it are there with it. */
  const newest = new Map<number, number>();
  for (let index = dirty.length - 1; index >= 0; index -= 1) {
    const write = dirty[index];
    for (const sector of write === undefined ? [] : arrivalsOf(write, draw)) {
      if (!newest.has(sector)) newest.set(sector, index);
    }
  }
  for (const [index, write] of dirty.entries()) {
    fates.push(fateOf(write, (sector) => (newest.get(sector) ?? -1) >= index));
    write.live = [];
  }
  let torn = 0;
  for (const [sector, index] of newest) if (writeSector(inode, sector, index, draw)) torn += 1;
  const apart = [...inode.doubtful, ...dirty.map(({ at, end }) => ({ from: at, to: end }))];
  for (const { from, to } of apart) {
    inode.platter = grown(inode.platter, to, inode.history);
    inode.cache.set(inode.platter.subarray(from, to), from);
  }
  inode.size = inode.platterSize;
  inode.dirty = [];
  inode.doubtful = [];
  return torn;
}

/** The sectors of a write that arrive: of some writes all, of some none, and of the others each sector by itself. */
function arrivalsOf(write: WriteRecord, draw: Draw): readonly number[] {
  const sectors: number[] = [];
  const fate = draw.between(0, 3);
  if (fate === 0) return sectors;
  for (let at = sectorStart(write.at); at < write.end; at += sectorBytes) {
    if (fate === 1 || draw.chance(0.5)) sectors.push(at / sectorBytes);
  }
  return sectors;
}

function fateOf(write: WriteRecord, isThere: (sector: number) => boolean): WriteFate {
  let kept = 0;
  let lost = 0;
  for (let at = sectorStart(write.at); at < write.end; at += sectorBytes) {
    if (isThere(at / sectorBytes)) kept += 1;
    else lost += 1;
  }
  return { beganAt: write.beganAt, kept, lost };
}

const scratch = new Uint8Array(sectorBytes);

/** The sector as it was after the write `newest`, or, rarely, one part of it so and the other as it was before. */
function writeSector(inode: Inode, sector: number, newest: number, draw: Draw): boolean {
  const start = sector * sectorBytes;
  inode.platter = grown(inode.platter, start + sectorBytes, inode.history);
  scratch.set(inode.platter.subarray(start, start + sectorBytes));
  let end = inode.platterSize;
  for (let index = 0; index <= newest; index += 1) {
    const write = inode.dirty[index];
    invariant(write !== undefined, "a sector's newest write is one of the dirty ones");
    const from = Math.max(start, write.at);
    const to = Math.min(start + sectorBytes, write.end);
    if (from >= to) continue;
    if (write.isFill) scratch.fill(0, from - start, to - start);
    else if (write.own === undefined) scratch.set(inode.cache.subarray(from, to), from - start);
    else scratch.set(write.own.subarray(from - write.at, to - write.at), from - start);
    end = Math.max(end, to);
  }
  inode.platterSize = end;
  if (draw.between(1, tornSectorOneIn) > 1) {
    inode.platter.set(scratch, start);
    return false;
  }
  const cut = draw.between(1, sectorBytes - 1);
  if (draw.chance(0.5)) inode.platter.set(scratch.subarray(0, cut), start);
  else inode.platter.set(scratch.subarray(cut), start + cut);
  return true;
}

function reportOf(fates: WriteFate[], tornSectors: number): Omit<CutReport, "namesLost"> {
  let lost = 0;
  let torn = tornSectors;
  let reordered = 0;
  let laterIsThere = false;
  for (const fate of fates.sort((left, right) => right.beganAt - left.beganAt)) {
    if (fate.lost > 0) lost += 1;
    if (fate.lost > 0 && fate.kept > 0) torn += 1;
    if (fate.lost > 0 && laterIsThere) reordered += 1;
    if (fate.kept > 0) laterIsThere = true;
  }
  return { lost, torn, reordered };
}
