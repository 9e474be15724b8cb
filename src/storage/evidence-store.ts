/**
 * Evidence of differences between replicas, as files in `evidence/` of the data directory.
 *
 * Owns: the files: one for each position at which something was found, and that they are few. Leaves to others: what is in them, and their
 * pace (`replica/evidence-keeper.ts`). One is written at a time; what a crash leaves behind of it goes at the next start. Nothing here is
 * needed by a replica, so whatever the disk refuses is only said.
 *
 *   <position>.jsonl     see `replica/evidence-keeper.ts`
 */
import type { LogIndex } from "../model/ids.js";
import { DiskError, type Disk, type DiskFile, type Done } from "../ports/disk.js";

/** The oldest go. */
const filesMax = 4;
const directoryName = "evidence";
const filePattern = /^\d{16}\.jsonl$/;

export interface EvidenceStoreParts {
  readonly disk: Disk;
  /** The data directory. */
  readonly directory: string;
}

interface Writing {
  readonly name: string;
  readonly file: DiskFile;
  at: number;
}

export class EvidenceStore {
  readonly #disk: Disk;
  readonly #path: string;
  /** Of whole files, oldest first. */
  #names: readonly string[] = [];
  #writing: Writing | undefined;
  #inFlight = 0;
  #closing: (() => void) | undefined;

  constructor({ disk, directory }: EvidenceStoreParts) {
    this.#disk = disk;
    this.#path = `${directory}/${directoryName}`;
    if (!disk.exists(this.#path)) return;
    const names = disk.list(this.#path);
    for (const name of names) if (name.endsWith(".new")) this.#remove(name);
    this.#keepNewest(names.filter((name) => filePattern.test(name)));
  }

  /** Oldest first. */
  get paths(): readonly string[] {
    return this.#names.map((name) => `${this.#path}/${name}`);
  }

  /** What was found there first is kept: whatever is executed again later may be right. */
  has(position: LogIndex): boolean {
    return this.#names.includes(nameOf(position));
  }

  begin(position: LogIndex, then: Done): void {
    const name = nameOf(position);
    const done = this.#hold(then);
    const failure = this.#makeDirectory();
    if (failure !== undefined) return done(failure);
    this.#disk.openLater(`${this.#path}/${name}.new`, "create", (file) => {
      if (file instanceof DiskError) return done(file);
      this.#writing = { name, file, at: 0 };
      done(undefined);
    });
  }

  append(bytes: Uint8Array, then: Done): void {
    const writing = this.#writing;
    if (writing === undefined) return;
    const { at } = writing;
    writing.at += bytes.length;
    writing.file.write(at, [bytes], this.#hold(then));
  }

  /** The file is whole, and has its name once `then` is called without a failure. */
  end(then: Done): void {
    const writing = this.#writing;
    if (writing === undefined) return;
    this.#writing = undefined;
    const { name, file } = writing;
    const done = this.#hold(then);
    file.close((notClosed) => {
      if (notClosed !== undefined) return done(notClosed);
      this.#disk.publish(`${this.#path}/${name}.new`, `${this.#path}/${name}`, (failure) => {
        if (failure === undefined) this.#keepNewest([...this.#names, name].sort());
        done(failure);
      });
    });
  }

  /** What was begun is removed. */
  giveUp(): void {
    const writing = this.#writing;
    if (writing === undefined) return;
    this.#writing = undefined;
    const done = this.#hold(() => undefined);
    writing.file.close((failure) => {
      this.#remove(`${writing.name}.new`);
      done(failure);
    });
  }

  /** Nothing is begun from now on; `done` once nothing is in flight. */
  close(done: () => void): void {
    this.giveUp();
    this.#closing = done;
    if (this.#inFlight === 0) done();
  }

  /** After `close` nobody is told any more. */
  #hold(then: Done): Done {
    this.#inFlight += 1;
    return (failure) => {
      this.#inFlight -= 1;
      if (this.#closing === undefined) return then(failure);
      this.giveUp();
      if (this.#inFlight === 0) this.#closing();
    };
  }

  #keepNewest(names: readonly string[]): void {
    for (const old of names.slice(0, -filesMax)) this.#remove(old);
    this.#names = names.slice(-filesMax);
  }

  #makeDirectory(): DiskError | undefined {
    try {
      this.#disk.makeDirectory(this.#path);
      return undefined;
    } catch (cause) {
      if (!(cause instanceof DiskError)) throw cause;
      return cause;
    }
  }

  #remove(name: string): void {
    try {
      this.#disk.remove(`${this.#path}/${name}`);
    } catch (cause) {
      if (!(cause instanceof DiskError)) throw cause;
    }
  }
}

function nameOf(position: LogIndex): string {
  return `${String(position).padStart(16, "0")}.jsonl`;
}
