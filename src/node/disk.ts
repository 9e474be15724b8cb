/**
 * The `Disk` port on a file system.
 *
 * Owns: the operating system's calls, their errors as `DiskError`, the order of completions. Leaves to others: what is in the
 * files. Files of the hot path are opened with O_DSYNC, so one call writes and flushes: the fewest hops through the thread
 * pool (docs/internals/storage.md has the figures). The lock is in `disk-lock.ts`.
 */
import {
  closeSync,
  constants,
  existsSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  open,
  openSync,
  read,
  readdirSync,
  readSync,
  rename,
  renameSync,
  rmSync,
  statSync,
  write,
  writeSync,
  close,
  fsync,
} from "node:fs";
import { dirname } from "node:path";
import type { Disk, DiskErrorCode, DiskFile, Done } from "../ports/disk.js";
import { DiskError } from "../ports/disk.js";
import { lockDirectory } from "./disk-lock.js";

const fileMode = 0o600;
const directoryMode = 0o700;

export const nodeDisk: Disk = {
  list: (directory) => guarded(() => readdirSync(directory).sort()),
  exists: (path) => existsSync(path),
  isWritableByOthers: (path) => guarded(() => (statSync(path).mode & 0o022) !== 0),
  makeDirectory: (path) => guarded(() => makeDirectory(path)),
  readFile: (path, bytesMax) => guarded(() => readWhole(path, bytesMax)),
  writeFileAtomically: (path, bytes) => guarded(() => writeAtomically(path, bytes)),
  rename: (from, to) => guarded(() => renameSync(from, to)),
  remove: (path) => guarded(() => rmSync(path)),
  syncDirectory: (directory) => guarded(() => syncDirectory(directory)),
  lock: (directory) => guarded(() => lockDirectory(directory)),
  openFile: (path, mode) => guarded(() => new NodeFile(openSync(path, flagsOf(mode), fileMode), path)),
  openLater: (path, mode, done) => {
    open(path, flagsOf(mode), fileMode, (error, descriptor) => {
      done(error === null ? new NodeFile(descriptor, path) : diskErrorOf(error));
    });
  },
  publish: (from, to, done) => {
    rename(from, to, (error) => {
      if (error !== null) return done(diskErrorOf(error));
      syncDirectoryLater(dirname(to), done);
    });
  },
};

/** The same, only looked at: whatever would change something is refused, and files need not be writable. */
export const readingDisk: Disk = {
  ...nodeDisk,
  makeDirectory: (path) => {
    if (!existsSync(path)) refuseChange(path);
  },
  writeFileAtomically: refuseChange,
  rename: refuseChange,
  remove: refuseChange,
  syncDirectory: refuseChange,
  lock: refuseChange,
  openFile: (path) => guarded(() => new NodeFile(openSync(path, "r"), path)),
  openLater: (path, _mode, done) => {
    open(path, "r", (error, descriptor) => {
      done(error === null ? new NodeFile(descriptor, path) : diskErrorOf(error));
    });
  },
  publish: refuseChange,
};

function refuseChange(path: string): never {
  throw new DiskError("denied", `${path} is only read`);
}

function flagsOf(mode: "create" | "existing"): number {
  return constants.O_RDWR | constants.O_DSYNC | (mode === "create" ? constants.O_CREAT : 0);
}

function makeDirectory(path: string): void {
  if (existsSync(path)) return;
  const parent = dirname(path);
  makeDirectory(parent);
  try {
    mkdirSync(path, { mode: directoryMode });
  } catch (error) {
    // Another process may have been a moment faster, as when replicas start together below one folder that is new.
    if (!existsSync(path)) throw error;
  }
  syncDirectory(parent);
}

function readWhole(path: string, bytesMax: number): Uint8Array {
  const descriptor = openSync(path, "r");
  try {
    const { size } = fstatSync(descriptor);
    if (size > bytesMax) throw new DiskError("failed", `${path} has ${size} bytes, and the limit is ${bytesMax}`);
    const bytes = new Uint8Array(size);
    return bytes.subarray(0, readFully(descriptor, 0, bytes));
  } finally {
    closeSync(descriptor);
  }
}

function writeAtomically(path: string, bytes: Uint8Array): void {
  const aside = `${path}.new`;
  const descriptor = openSync(aside, "w", fileMode);
  try {
    writeFully(descriptor, 0, bytes);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(aside, path);
  syncDirectory(dirname(path));
}

function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function syncDirectoryLater(directory: string, done: Done): void {
  open(directory, "r", (failure, descriptor) => {
    if (failure !== null) return done(diskErrorOf(failure));
    fsync(descriptor, (notSynced) => {
      close(descriptor, () => done(notSynced === null ? undefined : diskErrorOf(notSynced)));
    });
  });
}

function readFully(descriptor: number, at: number, into: Uint8Array): number {
  let length = 0;
  while (length < into.length) {
    const count = readSync(descriptor, into, length, into.length - length, at + length);
    if (count === 0) break;
    length += count;
  }
  return length;
}

function writeFully(descriptor: number, at: number, bytes: Uint8Array): void {
  let length = 0;
  while (length < bytes.length) length += writeSync(descriptor, bytes, length, bytes.length - length, at + length);
}

/** One operation of a file, kept until all before it are done. */
interface Pending {
  complete: (() => void) | undefined;
}

class NodeFile implements DiskFile {
  readonly #descriptor: number;
  readonly #path: string;
  readonly #pending: Pending[] = [];
  #failure: DiskError | undefined;
  #closing: Done | undefined;

  constructor(descriptor: number, path: string) {
    this.#descriptor = descriptor;
    this.#path = path;
  }

  size(): number {
    return guarded(() => fstatSync(this.#descriptor).size);
  }

  readNow(at: number, into: Uint8Array): number {
    return guarded(() => readFully(this.#descriptor, at, into));
  }

  writeNow(at: number, bytes: Uint8Array): void {
    guarded(() => writeFully(this.#descriptor, at, bytes));
  }

  syncNow(): void {
    guarded(() => fdatasyncSync(this.#descriptor));
  }

  write(at: number, chunks: readonly Uint8Array[], done: Done): void {
    const pending = this.#begin();
    const bytes = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
    const report = (failure: DiskError | undefined): void => {
      if (failure !== undefined && failure.code !== "full") this.#failure ??= failure;
      this.#end(pending, () => done(this.#failure ?? failure));
    };
    const failed = this.#failure;
    if (bytes === undefined || failed !== undefined) return void setImmediate(() => report(failed));
    this.#writeRest(at, bytes, report);
  }

  read(at: number, length: number, done: (result: Uint8Array | DiskError) => void): void {
    const pending = this.#begin();
    const bytes = new Uint8Array(length);
    read(this.#descriptor, bytes, 0, length, at, (error, count) => {
      const result = error === null ? bytes.subarray(0, count) : diskErrorOf(error);
      this.#end(pending, () => done(result));
    });
  }

  close(done: Done): void {
    this.#closing = done;
    if (this.#pending.length === 0) this.#closeNow(done);
  }

  /** The system may take less than it was offered; the rest is then offered again, and the reason comes up if there is one. */
  #writeRest(at: number, bytes: Uint8Array, report: Done): void {
    write(this.#descriptor, bytes, 0, bytes.length, at, (error, count) => {
      if (error !== null) return report(diskErrorOf(error));
      if (count === bytes.length) return report(undefined);
      if (count === 0) return report(new DiskError("failed", `nothing more could be written to ${this.#path}`));
      this.#writeRest(at + count, bytes.subarray(count), report);
    });
  }

  #begin(): Pending {
    const pending: Pending = { complete: undefined };
    this.#pending.push(pending);
    return pending;
  }

  /** Completions are handed out in the order of the calls, whatever order the thread pool finished in. */
  #end(pending: Pending, complete: () => void): void {
    pending.complete = complete;
    for (;;) {
      const next = this.#pending[0]?.complete;
      if (next === undefined) break;
      this.#pending.shift();
      next();
    }
    if (this.#closing !== undefined && this.#pending.length === 0) this.#closeNow(this.#closing);
  }

  #closeNow(done: Done): void {
    this.#closing = undefined;
    close(this.#descriptor, (error) => done(error === null || error === undefined ? undefined : diskErrorOf(error)));
  }
}

const codes: Readonly<Record<string, DiskErrorCode>> = {
  ENOENT: "notFound",
  EACCES: "denied",
  EPERM: "denied",
  EROFS: "denied",
  ENOSPC: "full",
  EDQUOT: "full",
};

function diskErrorOf(error: NodeJS.ErrnoException): DiskError {
  return new DiskError(codes[error.code ?? ""] ?? "failed", error.message);
}

function guarded<Result>(call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    if (error instanceof DiskError || !(error instanceof Error)) throw error;
    throw diskErrorOf(error);
  }
}
