/** The log of the baselines: written and flushed, and never read. */
import { closeSync, fdatasync, openSync, rmSync, write, writeSync } from "node:fs";

const fileBytes = 64 * 1024 * 1024;

/** A file that already holds zeros, written round and round: a flush then has no metadata to write. */
export class RawLog {
  #fd;
  #path;
  #at = 0;
  syncs = 0;

  constructor(path) {
    this.#path = path;
    this.#fd = openSync(path, "w");
    const zeros = Buffer.alloc(1024 * 1024);
    for (let at = 0; at < fileBytes; at += zeros.length) writeSync(this.#fd, zeros, 0, zeros.length, at);
  }

  append(bytes, durable) {
    if (this.#at + bytes.length > fileBytes) this.#at = 0;
    const at = this.#at;
    this.#at += bytes.length;
    write(this.#fd, bytes, 0, bytes.length, at, (failed) => {
      if (failed) throw failed;
      fdatasync(this.#fd, (cause) => {
        if (cause) throw cause;
        this.syncs += 1;
        durable();
      });
    });
  }

  close() {
    closeSync(this.#fd);
    rmSync(this.#path);
  }
}
