/**
 * Files and directories, as little of them as a durable log needs.
 *
 * Owns: the contract of a disk. `node/disk.ts` keeps it on a file system, `test-support/memory-disk.ts` in memory with faults.
 * Two kinds of operations. Those of start-up are synchronous and throw `DiskError`. Those of the hot path (`DiskFile.write`,
 * `DiskFile.read`, `DiskFile.close`, `Disk.openLater`, `Disk.publish`) take a callback, which is called exactly once, never from within the
 * call, and for one file in the order of the calls. Paths use "/"; a relative one starts where the process was started.
 */

export interface Disk {
  /** Names in a directory, sorted; throws `notFound`. */
  list(directory: string): readonly string[];
  exists(path: string): boolean;
  /** Someone but the owner may write there. */
  isWritableByOthers(path: string): boolean;
  /** Creates a directory (mode 0700) and missing parents, and syncs the parents; nothing happens if it is there. */
  makeDirectory(path: string): void;
  /** The whole file; throws `notFound`, and `failed` if it is longer than `bytesMax`. */
  readFile(path: string, bytesMax: number): Uint8Array;
  /** Writes aside, syncs, renames over `path`, syncs the directory: afterwards the new content is durable. A crash leaves the old or the new content, never a mixture. */
  writeFileAtomically(path: string, bytes: Uint8Array): void;
  /** Not durable before `syncDirectory` of the directory. */
  rename(from: string, to: string): void;
  /** Not durable before `syncDirectory`. */
  remove(path: string): void;
  syncDirectory(directory: string): void;
  /** Keeps every other process out of a directory until it is released or this process ends, however it ends. */
  lock(directory: string): DirectoryLock | DirectoryHeld;
  /** Opens for reading and writing; throws `notFound` unless `create`, then makes an empty file (mode 0600). */
  openFile(path: string, mode: "create" | "existing"): DiskFile;
  /** Hot path: as `openFile`, but answers later and never throws. */
  openLater(path: string, mode: "create" | "existing", done: (result: DiskFile | DiskError) => void): void;
  /** Hot path: renames a file and syncs the directory; durable when `done` is called without a failure. */
  publish(from: string, to: string, done: Done): void;
}

/**
 * An open file. Writes may be in flight together; each completes when it *and every write before it* is durable. After one has
 * failed, all later ones fail too, with the first failure's code unless that was `full` (a write beyond the end that found no
 * space changes nothing that was durable, so later writes may succeed).
 */
export interface DiskFile {
  /** Start-up: bytes in the file. */
  size(): number;
  /** Start-up: reads into `into`; answers how many bytes there were. */
  readNow(at: number, into: Uint8Array): number;
  /** Start-up: writes; not durable before `syncNow`. */
  writeNow(at: number, bytes: Uint8Array): void;
  syncNow(): void;
  /** Writes the chunks one after the other from `at` on. The owner must not change them before `done`. */
  write(at: number, chunks: readonly Uint8Array[], done: Done): void;
  /** Up to `length` bytes, fewer at the end of the file. */
  read(at: number, length: number, done: (result: Uint8Array | DiskError) => void): void;
  /** Waits for what is in flight. */
  close(done: Done): void;
}

export type Done = (failure: DiskError | undefined) => void;

export interface DirectoryLock {
  readonly kind: "locked";
  release(): void;
}

export interface DirectoryHeld {
  readonly kind: "held";
  /** The process that holds the lock, if it could be told. */
  readonly pid: number | undefined;
}

/** `full`: no space, may pass. `failed`: everything else, a failed sync above all: it is final, since the kernel forgets. */
export type DiskErrorCode = "notFound" | "denied" | "full" | "failed";

export class DiskError extends Error {
  override readonly name = "DiskError";
  readonly code: DiskErrorCode;

  constructor(code: DiskErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
