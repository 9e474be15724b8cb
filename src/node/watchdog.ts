/**
 * Ends this process when a command runs for too long, since nothing on its own thread can, and remembers on disk which one it was.
 *
 * Owns: the thread that watches, and what the next process is to know. Leaves to others: what becomes of such a command
 * (`replica/unfinished.ts`). The thread that executes writes three numbers for each call of the machine; the other one
 * (`watchdog-worker.ts`) reads them now and then.
 *
 * A note is also left of a call that takes long and has not ended when the process does, however that comes about. The same call twice
 * is taken for the reason: its memory has run out, for example.
 */
import { readFileSync, rmSync } from "node:fs";
import { Worker } from "node:worker_threads";
import type { StepWatch } from "../api/low-level.js";
import { logIndex } from "../model/ids.js";
import type { Unfinished } from "../model/skip.js";

export interface WatchTask {
  /** Odd while a call runs; then the two halves of its index, and its step. */
  readonly shared: Int32Array;
  readonly path: string;
  readonly commandMsMax: number;
  /** What ended an earlier process, perhaps. */
  readonly suspect: Suspect | undefined;
}

export interface Suspect {
  readonly index: number;
  readonly step: number;
  /** Processes that have ended in it. */
  readonly count: number;
}

/** Processes that end in the same call until it is held responsible. */
const crashesMax = 2;
const half = 2 ** 31;

/** In the data directory: `index step count why` as text, `why` being `slow` or `running`. */
function watchPath(dataDir: string): string {
  return `${dataDir}/running`;
}

export class Watchdog implements StepWatch {
  /** What an earlier process could not finish. */
  readonly found: Unfinished | undefined;
  readonly #shared = new Int32Array(new SharedArrayBuffer(16));
  readonly #path: string;
  readonly #worker: Worker;
  #turn = 0;

  constructor(dataDir: string, commandMsMax: number) {
    this.#path = watchPath(dataDir);
    const note = readNote(this.#path);
    const index = logIndex(note?.index ?? NaN);
    if (note !== undefined && index !== undefined && note.step >= 0 && (note.isSlow || note.count >= crashesMax))
      this.found = { at: { index, step: note.step }, reason: note.isSlow ? "time" : "crash" };
    const workerData: WatchTask = { shared: this.#shared, path: this.#path, commandMsMax, suspect: note };
    this.#worker = new Worker(new URL("./watchdog-worker.js", import.meta.url), { workerData });
    this.#worker.unref();
  }

  begin(index: number, step: number): void {
    this.#shared[1] = Math.floor(index / half);
    this.#shared[2] = index % half;
    this.#shared[3] = step;
    this.#turn = (this.#turn + 1) | 0;
    Atomics.store(this.#shared, 0, this.#turn);
  }

  end(): void {
    this.#turn = (this.#turn + 1) | 0;
    Atomics.store(this.#shared, 0, this.#turn);
  }

  /** What was found is noted elsewhere: the next process need not find it once more. */
  forget(): void {
    rmSync(this.#path, { force: true });
  }

  /** Watches no more. */
  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}

function readNote(path: string): (Suspect & { readonly isSlow: boolean }) | undefined {
  try {
    const [index, step, count, why] = readFileSync(path, "latin1").trim().split(" ");
    if (why !== "slow" && why !== "running") return undefined;
    return { index: Number(index), step: Number(step), count: Number(count), isSlow: why === "slow" };
  } catch {
    return undefined;
  }
}
