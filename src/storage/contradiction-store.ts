/**
 * Contradictions of other replicas, as files in `contradictions/` of the data directory, which `quorate evidence` reads.
 *
 * Owns: the files: one for each replica and kind of statement, the first that was noticed, so they are few and none is ever changed.
 * Leaves to others: the line in it (`authentication/evidence.ts`). Nothing here is needed by a replica, so whatever the disk refuses
 * is only said, and tried again with the next one.
 *
 *   <replica>-<kind>.jsonl
 */
import { encodeUtf8 } from "../base/bytes.js";
import type { ReplicaId } from "../model/ids.js";
import { DiskError, type Disk, type DiskFile, type Done } from "../ports/disk.js";

const directoryName = "contradictions";

export class ContradictionStore {
  readonly #disk: Disk;
  readonly #path: string;
  /** Kept, or being written. */
  readonly #names = new Set<string>();
  #inFlight = 0;
  #closing: (() => void) | undefined;

  constructor(disk: Disk, dataDirectory: string) {
    this.#disk = disk;
    this.#path = `${dataDirectory}/${directoryName}`;
    if (!disk.exists(this.#path)) return;
    for (const name of disk.list(this.#path)) {
      if (name.endsWith(".jsonl")) this.#names.add(name);
      else if (name.endsWith(".new")) this.#remove(name);
    }
  }

  /** `kind`: of its two statements. One of which there is one already is not written, and `then` is not called. */
  keep({ by, kind }: { readonly by: ReplicaId; readonly kind: string }, line: string, then: Done): void {
    const name = `${by}-${kind}.jsonl`;
    if (this.#names.has(name) || this.#closing !== undefined) return;
    this.#names.add(name);
    this.#inFlight += 1;
    const done = (failure: DiskError | undefined): void => {
      this.#inFlight -= 1;
      if (failure !== undefined) {
        this.#remove(`${name}.new`);
        this.#names.delete(name);
      }
      if (this.#closing === undefined) then(failure);
      else if (this.#inFlight === 0) this.#closing();
    };
    const aside = `${this.#path}/${name}.new`;
    this.#open(aside, (file) => {
      if (file instanceof DiskError) return done(file);
      this.#write(file, encodeUtf8(`${line}\n`), (failure) => {
        if (failure === undefined) this.#disk.publish(aside, `${this.#path}/${name}`, done);
        else done(failure);
      });
    });
  }

  /** Nothing is begun from now on, and nobody is told any more; `done` once nothing is in flight. */
  close(done: () => void): void {
    this.#closing = done;
    if (this.#inFlight === 0) done();
  }

  #open(path: string, then: (file: DiskFile | DiskError) => void): void {
    try {
      this.#disk.makeDirectory(this.#path);
    } catch (cause) {
      if (!(cause instanceof DiskError)) throw cause;
      then(cause);
      return;
    }
    this.#disk.openLater(path, "create", then);
  }

  #write(file: DiskFile, bytes: Uint8Array, then: Done): void {
    file.write(0, [bytes], (notWritten) => file.close((notClosed) => then(notWritten ?? notClosed)));
  }

  #remove(name: string): void {
    try {
      this.#disk.remove(`${this.#path}/${name}`);
    } catch (cause) {
      if (!(cause instanceof DiskError)) throw cause;
    }
  }
}
