/**
 * The `Disk` port as one process of a simulated host sees it.
 *
 * Owns: the contract of `ports/disk.ts`: what each operation changes, how it fails, that what failed in a file stays failed.
 * Leaves to others: when an operation completes (`disk-device.ts`), content (`disk-image.ts`), what was planned to fail
 * (`disk-faults.ts`). Made by `sim-disk.ts`; the production log runs on it. It mimics `node/disk.ts`.
 */
import type { DirectoryHeld, DirectoryLock, Disk, DiskFile, Done } from "../ports/disk.js";
import { DiskError } from "../ports/disk.js";
import type { DiskDevice, Holder, Operation } from "./disk-device.js";
import type { Opener, WriteRecord } from "./disk-history.js";
import type { DiskImage, Inode } from "./disk-image.js";
import { parentOf } from "./disk-image.js";
import type { SimProcess } from "./process.js";

export class ProcessDisk implements Disk, Opener {
  readonly #device: DiskDevice;
  readonly #image: DiskImage;
  readonly #holder: Holder;
  readonly #process: SimProcess;

  constructor(device: DiskDevice, holder: Holder) {
    this.#device = device;
    this.#image = device.image;
    this.#holder = holder;
    this.#process = holder.process;
  }

  get isAlive(): boolean {
    return this.#process.isAlive;
  }

  list(directory: string): readonly string[] {
    this.#device.requireAlive(this.#process);
    return this.#image.list(directory);
  }

  exists(path: string): boolean {
    this.#device.requireAlive(this.#process);
    return this.#image.find(path) !== undefined || this.#image.isDirectory(path);
  }

  isWritableByOthers(path: string): boolean {
    if (!this.exists(path)) throw new DiskError("notFound", `no such file or directory: ${path}`);
    return false;
  }

  makeDirectory(path: string): void {
    if (this.exists(path)) return;
    const parent = parentOf(path);
    this.makeDirectory(parent);
    this.#device.beginChange(this.#process);
    this.#requireSpace(path);
    this.#image.makeDirectory(path);
    this.syncDirectory(parent);
  }

  readFile(path: string, bytesMax: number): Uint8Array {
    this.#device.requireAlive(this.#process);
    const { cache, size } = this.#image.get(path);
    if (size > bytesMax) throw new DiskError("failed", `${path} has ${size} bytes, and the limit is ${bytesMax}`);
    const failure = this.#device.plan.readFailure(path);
    if (failure !== undefined) throw failure;
    return cache.slice(0, size);
  }

  /** Each step may be the one at which the process ends. */
  writeFileAtomically(path: string, bytes: Uint8Array): void {
    const aside = `${path}.new`;
    this.#device.beginChange(this.#process);
    this.#requireSpace(path);
    const inode = this.#image.create(aside);
    this.#device.beginChange(this.#process);
    const write = this.#image.write(inode, [bytes], { at: 0, opener: this, isNow: true });
    this.#device.beginChange(this.#process);
    // Patterns name the file that is meant, not the one aside.
    const failure = this.#device.plan.syncFailure(path);
    if (failure !== undefined) {
      this.#image.forget(inode, [write], this.#device.draw);
      throw failure;
    }
    this.#image.sync(inode, write);
    this.#image.ledger.end(write);
    this.rename(aside, path);
    this.syncDirectory(parentOf(path));
  }

  rename(from: string, to: string): void {
    this.#device.beginChange(this.#process);
    this.#image.rename(from, to);
  }

  remove(path: string): void {
    this.#device.beginChange(this.#process);
    this.#image.remove(path);
  }

  syncDirectory(directory: string): void {
    this.#device.beginChange(this.#process);
    this.#image.requireDirectory(directory);
    const failure = this.#device.plan.syncFailure(directory);
    if (failure !== undefined) throw failure;
    this.#image.syncNames(directory);
  }

  lock(directory: string): DirectoryLock | DirectoryHeld {
    this.#device.requireAlive(this.#process);
    this.#image.requireDirectory(directory);
    const { locks } = this.#device;
    const held = locks.get(directory);
    if (held?.process.isAlive === true) return { kind: "held", pid: held.pid };
    locks.set(directory, this.#holder);
    const release = (): void => {
      if (locks.get(directory) === this.#holder) locks.delete(directory);
    };
    return { kind: "locked", release };
  }

  openFile(path: string, mode: "create" | "existing"): DiskFile {
    this.#device.requireAlive(this.#process);
    if (mode === "create" && this.#image.find(path) === undefined) this.#device.beginChange(this.#process);
    return this.#open(path, mode);
  }

  openLater(path: string, mode: "create" | "existing", done: (result: DiskFile | DiskError) => void): void {
    this.#device.requireAlive(this.#process);
    const result = attempt(() => this.#open(path, mode));
    this.#device.submit([], () => this.#process.run(() => done(result)));
  }

  publish(from: string, to: string, done: Done): void {
    this.#device.requireAlive(this.#process);
    const renamed = attempt(() => this.#image.rename(from, to));
    this.#device.submit([], () => {
      const failure = renamed instanceof DiskError ? renamed : this.#device.plan.syncFailure(to);
      if (failure === undefined) this.#image.syncNames(parentOf(to));
      this.#process.run(() => done(failure));
    });
  }

  #open(path: string, mode: "create" | "existing"): DiskFile {
    const found = mode === "create" ? this.#image.find(path) : this.#image.get(path);
    if (found === undefined) this.#requireSpace(path);
    return new OpenFile(this.#device, this.#process, found ?? this.#image.create(path));
  }

  #requireSpace(path: string): void {
    const failure = this.#device.plan.spaceFailure(path);
    if (failure !== undefined) throw failure;
  }
}

class OpenFile implements DiskFile, Opener {
  readonly #device: DiskDevice;
  readonly #process: SimProcess;
  readonly #inode: Inode;
  readonly #queue: Operation[] = [];
  #failure: DiskError | undefined;
  #isClosed = false;

  constructor(device: DiskDevice, process: SimProcess, inode: Inode) {
    this.#device = device;
    this.#process = process;
    this.#inode = inode;
  }

  get isAlive(): boolean {
    return this.#process.isAlive;
  }

  get #path(): string {
    return this.#inode.history.path;
  }

  size(): number {
    this.#device.requireAlive(this.#process);
    return this.#inode.size;
  }

  readNow(at: number, into: Uint8Array): number {
    this.#device.requireAlive(this.#process);
    const failure = this.#device.plan.readFailure(this.#path);
    if (failure !== undefined) throw failure;
    const bytes = this.#read(at, into.length);
    into.set(bytes);
    return bytes.length;
  }

  writeNow(at: number, bytes: Uint8Array): void {
    this.#device.beginChange(this.#process);
    const full = at + bytes.length > this.#inode.size ? this.#device.plan.spaceFailure(this.#path) : undefined;
    if (full !== undefined) throw full;
    this.#device.image.write(this.#inode, [bytes], { at, opener: this, isNow: true });
  }

  syncNow(): void {
    this.#device.beginChange(this.#process);
    const { image, plan, draw } = this.#device;
    const writes = this.#inode.dirty;
    const failure = plan.syncFailure(this.#path);
    if (failure === undefined) image.syncAll(this.#inode);
    else image.forget(this.#inode, writes, draw);
    // Those of the hot path end when they complete.
    for (const write of writes) if (write.opener === this && write.isNow) this.#end(write, failure);
    if (failure !== undefined) throw failure;
  }

  write(at: number, chunks: readonly Uint8Array[], done: Done): void {
    this.#device.requireAlive(this.#process);
    const refused = this.#failure ?? this.#refusal(at, chunks);
    const place = { at, opener: this, isNow: false };
    const write = refused === undefined ? this.#device.image.write(this.#inode, chunks, place) : undefined;
    this.#device.submit(this.#queue, () => {
      const failure = write === undefined ? refused : this.#device.sync(this.#inode, write);
      if (failure !== undefined && failure.code !== "full") this.#failure ??= failure;
      const answer = this.#failure ?? failure;
      this.#process.run(() => {
        if (write !== undefined) this.#end(write, answer);
        done(answer);
      });
    });
  }

  read(at: number, length: number, done: (result: Uint8Array | DiskError) => void): void {
    this.#device.requireAlive(this.#process);
    const closed = this.#isClosed ? this.#closedFailure() : undefined;
    this.#device.submit(this.#queue, () => {
      const result = closed ?? this.#device.plan.readFailure(this.#path) ?? this.#read(at, length).slice();
      this.#process.run(() => done(result));
    });
  }

  close(done: Done): void {
    this.#device.requireAlive(this.#process);
    const failure = this.#isClosed ? this.#closedFailure() : undefined;
    this.#isClosed = true;
    this.#device.submit(this.#queue, () => this.#process.run(() => done(failure)));
  }

  /** Why a write is not even begun. */
  #refusal(at: number, chunks: readonly Uint8Array[]): DiskError | undefined {
    if (this.#isClosed) return this.#closedFailure();
    if (!this.#device.plan.isFull) return undefined;
    const end = chunks.reduce((sum, chunk) => sum + chunk.length, at);
    return end > this.#inode.size ? this.#device.plan.spaceFailure(this.#path) : undefined;
  }

  #end(write: WriteRecord, failure: DiskError | undefined): void {
    const { ledger } = this.#device.image;
    if (failure === undefined) ledger.report(write);
    else ledger.end(write);
  }

  #closedFailure(): DiskError {
    return new DiskError("failed", `${this.#path} is used after it was closed`);
  }

  #read(at: number, length: number): Uint8Array {
    const { cache, size } = this.#inode;
    return cache.subarray(Math.min(at, size), Math.min(at + length, size));
  }
}

function attempt<Result>(call: () => Result): Result | DiskError {
  try {
    return call();
  } catch (error) {
    if (error instanceof DiskError) return error;
    throw error;
  }
}
