/**
 * A disk in memory that keeps what is synced apart from what is not, and that fails on request.
 *
 * Owns: the `Disk` port for tests. Hot-path operations complete only when the test says so (`step`, `settle`). A crash takes
 * un-synced bytes and directory changes as a seed says: kept, lost, or torn at any byte, each for itself, so in any order.
 */
import type { Disk, DirectoryHeld, DirectoryLock, DiskErrorCode, DiskFile, Done } from "../src/ports/disk.js";
import { DiskError } from "../src/ports/disk.js";
import type { Random } from "../src/base/random.js";
import { nextBetween, randomStream } from "../src/base/random.js";

/** Thrown by the operation at which a test wants the process to end. */
export class ProcessEnded extends Error {
  override readonly name = "ProcessEnded";
}

export type Survival = "nothing" | "everything" | { readonly seed: number };

interface Inode {
  /** What a read gives. */
  cached: Uint8Array;
  /** What the power does not take. */
  durable: Uint8Array;
  unsynced: { readonly at: number; readonly bytes: Uint8Array }[];
}

interface NameChange {
  readonly directory: string;
  readonly apply: (names: Map<string, Inode>) => void;
}

interface Operation {
  readonly complete: () => void;
}

export class MemoryDisk implements Disk {
  readonly directories = new Set<string>();
  readonly #names = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();
  #nameChanges: NameChange[] = [];
  #operations: Operation[] = [];
  #locked = new Set<string>();
  #count = 0;
  #endAt = Number.POSITIVE_INFINITY;
  #failures: { readonly path: RegExp; readonly code: DiskErrorCode; left: number }[] = [];
  writableByOthers = false;
  /** Durable writes completed, by path. */
  readonly writes: { readonly path: string; readonly at: number; readonly bytes: number }[] = [];

  /** Operations that change the disk, so far. */
  get operationCount(): number {
    return this.#count;
  }

  get pendingCount(): number {
    return this.#operations.length;
  }

  /** The process ends at the operation after the next `count` ones: it throws, and nothing completes any more. */
  endProcessAfter(count: number): void {
    this.#endAt = this.#count + count;
  }

  /** The next `times` writes of matching files fail. */
  fail(path: RegExp, code: DiskErrorCode, times: number): void {
    this.#failures.push({ path, code, left: times });
  }

  heal(): void {
    this.#failures = [];
  }

  /** Completes the oldest operation in flight; false if there is none. */
  step(): boolean {
    const operation = this.#operations.shift();
    operation?.complete();
    return operation !== undefined;
  }

  settle(): void {
    for (let count = 0; count < 1_000_000; count += 1) if (!this.step()) return;
    throw new Error("Cannot settle: a million operations are not the end");
  }

  /** The power goes and comes back. */
  crash(survival: Survival): void {
    const random = randomStream(typeof survival === "object" ? survival.seed : 0, "crash");
    const keeps = (): boolean =>
      survival === "everything" || (survival !== "nothing" && nextBetween(random, 0, 1) === 1);
    // A file system writes its changes of names in order, so what survives is a beginning of them.
    for (const change of this.#nameChanges) {
      if (!keeps()) break;
      change.apply(this.#durableNames);
    }
    for (const inode of new Set(this.#durableNames.values())) {
      for (const write of inode.unsynced)
        if (survival !== "nothing") survive(inode, write, survival === "everything" ? undefined : random);
      inode.unsynced = [];
      inode.cached = inode.durable.slice();
    }
    this.#reset();
  }

  /** The process ends; the system and its cache live on. */
  kill(): void {
    this.#operations = [];
    this.#locked.clear();
    this.#endAt = Number.POSITIVE_INFINITY;
  }

  /** The bytes of a file as a read gives them; changing them is damage that reached the disk. */
  damage(path: string, change: (bytes: Uint8Array) => void): void {
    const inode = this.#inode(path);
    change(inode.cached);
    inode.durable = inode.cached.slice();
    inode.unsynced = [];
  }

  bytesOf(path: string): Uint8Array {
    return this.#inode(path).cached.slice();
  }

  /** A disk of its own with the same durable content. */
  copy(): MemoryDisk {
    const other = new MemoryDisk();
    for (const directory of this.directories) other.directories.add(directory);
    for (const [path, inode] of this.#names) {
      const twin = { cached: inode.cached.slice(), durable: inode.cached.slice(), unsynced: [] };
      other.#names.set(path, twin);
      other.#durableNames.set(path, twin);
    }
    return other;
  }

  list(directory: string): readonly string[] {
    if (!this.directories.has(directory)) throw new DiskError("notFound", `no directory ${directory}`);
    const inside = [...this.#names.keys(), ...this.directories].filter((path) => parentOf(path) === directory);
    return inside.map((path) => path.slice(directory.length + 1)).sort();
  }

  exists(path: string): boolean {
    return this.#names.has(path) || this.directories.has(path);
  }

  isWritableByOthers(): boolean {
    return this.writableByOthers;
  }

  makeDirectory(path: string): void {
    this.#operate();
    this.directories.add(path);
  }

  readFile(path: string, bytesMax: number): Uint8Array {
    const { cached } = this.#inode(path);
    if (cached.length > bytesMax) throw new DiskError("failed", `${path} is too long`);
    return cached.slice();
  }

  writeFileAtomically(path: string, bytes: Uint8Array): void {
    this.#operate();
    const inode = { cached: bytes.slice(), durable: new Uint8Array(0), unsynced: [{ at: 0, bytes: bytes.slice() }] };
    this.#change(`${path}.new`, (names) => names.set(`${path}.new`, inode));
    this.#operate();
    syncInode(inode);
    this.rename(`${path}.new`, path);
    this.syncDirectory(parentOf(path));
  }

  rename(from: string, to: string): void {
    this.#operate();
    const inode = this.#inode(from);
    this.#change(to, (names) => {
      names.delete(from);
      names.set(to, inode);
    });
  }

  remove(path: string): void {
    this.#operate();
    this.#inode(path);
    this.#change(path, (names) => names.delete(path));
  }

  syncDirectory(directory: string): void {
    this.#operate();
    // One journal for all: syncing one directory makes all earlier changes durable.
    void directory;
    for (const change of this.#nameChanges) change.apply(this.#durableNames);
    this.#nameChanges = [];
  }

  lock(directory: string): DirectoryLock | DirectoryHeld {
    if (this.#locked.has(directory)) return { kind: "held", pid: 4711 };
    const failure = this.failureFor(`${directory}/lock-1`);
    if (failure !== undefined) throw failure;
    this.#locked.add(directory);
    return { kind: "locked", release: () => void this.#locked.delete(directory) };
  }

  openFile(path: string, mode: "create" | "existing"): DiskFile {
    if (!this.#names.has(path)) {
      if (mode === "existing") throw new DiskError("notFound", `no file ${path}`);
      this.#operate();
      const inode: Inode = { cached: new Uint8Array(0), durable: new Uint8Array(0), unsynced: [] };
      this.#change(path, (names) => names.set(path, inode));
    }
    return new MemoryFile(this, this.#inode(path), path);
  }

  openLater(path: string, mode: "create" | "existing", done: (result: DiskFile | DiskError) => void): void {
    this.submit(() => {
      done(this.#attempt(() => this.openFile(path, mode)));
    });
  }

  publish(from: string, to: string, done: Done): void {
    this.submit(() => {
      const result = this.#attempt(() => {
        this.rename(from, to);
        this.syncDirectory(parentOf(to));
      });
      done(result instanceof DiskError ? result : undefined);
    });
  }

  /** For files: an operation that completes when the test lets it. */
  submit(complete: () => void): void {
    this.#operations.push({ complete });
  }

  /** For files: counts an operation that changes the disk, and ends the process if it is the one. */
  begin(): void {
    this.#operate();
  }

  failureFor(path: string): DiskError | undefined {
    const failure = this.#failures.find((candidate) => candidate.left > 0 && candidate.path.test(path));
    if (failure === undefined) return undefined;
    failure.left -= 1;
    return new DiskError(
      failure.code,
      `${path}: ${failure.code === "full" ? "no space is left" : "input/output error"}`,
    );
  }

  #operate(): void {
    if (this.#count >= this.#endAt) throw new ProcessEnded("the test ends the process here");
    this.#count += 1;
  }

  #attempt<Result>(call: () => Result): Result | DiskError {
    try {
      return call();
    } catch (error) {
      if (error instanceof DiskError) return error;
      throw error;
    }
  }

  #change(path: string, apply: NameChange["apply"]): void {
    apply(this.#names);
    this.#nameChanges.push({ directory: parentOf(path), apply });
  }

  #inode(path: string): Inode {
    const inode = this.#names.get(path);
    if (inode === undefined) throw new DiskError("notFound", `no file ${path}`);
    return inode;
  }

  #reset(): void {
    this.kill();
    this.#nameChanges = [];
    this.#names.clear();
    for (const [path, inode] of this.#durableNames) this.#names.set(path, inode);
    this.#durableNames = new Map(this.#names);
  }
}

class MemoryFile implements DiskFile {
  readonly #disk: MemoryDisk;
  readonly #inode: Inode;
  readonly #path: string;
  #failure: DiskError | undefined;

  constructor(disk: MemoryDisk, inode: Inode, path: string) {
    this.#disk = disk;
    this.#inode = inode;
    this.#path = path;
  }

  size(): number {
    return this.#inode.cached.length;
  }

  readNow(at: number, into: Uint8Array): number {
    const bytes = this.#inode.cached.subarray(at, at + into.length);
    into.set(bytes);
    return bytes.length;
  }

  writeNow(at: number, bytes: Uint8Array): void {
    this.#disk.begin();
    writeCached(this.#inode, at, bytes);
  }

  syncNow(): void {
    this.#disk.begin();
    const failure = this.#disk.failureFor(this.#path);
    if (failure !== undefined) throw failure;
    syncInode(this.#inode);
  }

  write(at: number, chunks: readonly Uint8Array[], done: Done): void {
    this.#disk.begin();
    const failure = this.#failure ?? this.#disk.failureFor(this.#path);
    if (failure !== undefined && failure.code !== "full") this.#failure = failure;
    const isFull = failure?.code === "full";
    let to = at;
    for (const chunk of isFull ? [] : chunks) {
      writeCached(this.#inode, to, chunk);
      to += chunk.length;
    }
    this.#disk.submit(() => {
      if (failure === undefined) {
        syncInode(this.#inode);
        this.#disk.writes.push({ path: this.#path, at, bytes: to - at });
      }
      done(failure);
    });
  }

  read(at: number, length: number, done: (result: Uint8Array | DiskError) => void): void {
    this.#disk.submit(() => done(this.#inode.cached.slice(at, at + length)));
  }

  close(done: Done): void {
    this.#disk.submit(() => done(undefined));
  }
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

function place(target: Uint8Array, at: number, bytes: Uint8Array): Uint8Array {
  const end = at + bytes.length;
  let grown = target;
  if (end > target.length) {
    grown = new Uint8Array(end);
    grown.set(target);
  }
  grown.set(bytes, at);
  return grown;
}

function writeCached(inode: Inode, at: number, bytes: Uint8Array): void {
  inode.cached = place(inode.cached, at, bytes);
  inode.unsynced.push({ at, bytes: bytes.slice() });
}

function syncInode(inode: Inode): void {
  for (const { at, bytes } of inode.unsynced) inode.durable = place(inode.durable, at, bytes);
  inode.unsynced = [];
}

/** A third each: kept, lost, torn into a kept and a lost part at any byte, either of them first. */
function survive(
  inode: Inode,
  write: { readonly at: number; readonly bytes: Uint8Array },
  random: Random | undefined,
): void {
  const fate = random === undefined ? 0 : nextBetween(random, 0, 2);
  if (fate === 1) return;
  if (fate === 0 || random === undefined) {
    inode.durable = place(inode.durable, write.at, write.bytes);
    return;
  }
  const cut = nextBetween(random, 0, write.bytes.length);
  const keepsStart = nextBetween(random, 0, 1) === 1;
  if (keepsStart) inode.durable = place(inode.durable, write.at, write.bytes.subarray(0, cut));
  else inode.durable = place(inode.durable, write.at + cut, write.bytes.subarray(cut));
}
