/**
 * What the open files and the processes of one simulated host share of its disk.
 *
 * Owns: how long operations take and in which order they complete, which processes there are and which locks they hold, the end of
 * a process in the middle of a change. Leaves to others: the operations themselves (`disk-port.ts`), content (`disk-image.ts`).
 * Made by `sim-disk.ts`, called by `disk-port.ts`.
 *
 * A synchronous operation takes no simulated time. One of the hot path changes the cache at once and the platter when it
 * completes; it completes also when its process is dead by then, since the system goes on with it, but not after a power cut.
 */
import { invariant } from "../base/invariant.js";
import type { DiskError } from "../ports/disk.js";
import type { DiskCounts } from "./disk-faults.js";
import { FaultPlan, noCounts } from "./disk-faults.js";
import type { WriteRecord } from "./disk-history.js";
import type { Inode } from "./disk-image.js";
import { DiskImage } from "./disk-image.js";
import type { Draw } from "./draw.js";
import type { SimProcess } from "./process.js";
import type { Scheduler } from "./scheduler.js";

/** Thrown by an operation at which a process ends, and by every later one of that process. */
export class ProcessEnded extends Error {
  override readonly name = "ProcessEnded";
}

/** How long an operation takes, in milliseconds: between the first two, or, by chance, up to `spikeMsMax`. */
export interface DiskSpeed {
  readonly latencyMsMin: number;
  readonly latencyMsMax: number;
  readonly spikeChance: number;
  readonly spikeMsMax: number;
}

/** As measured in docs/internals/storage.md, with the flush of 40 ms that a busy disk takes now and then. */
const usualDiskSpeed: DiskSpeed = { latencyMsMin: 0.1, latencyMsMax: 0.6, spikeChance: 0.001, spikeMsMax: 40 };

/** Ids of processes, for messages. */
const firstPid = 1001;

/** One operation of the hot path, kept until all before it of the same file are done. */
export interface Operation {
  readonly queue: Operation[];
  readonly restarts: number;
  readonly perform: () => void;
  isReady: boolean;
}

/** A process with its id. */
export interface Holder {
  readonly process: SimProcess;
  readonly pid: number;
}

/** What the open files and the processes of one host share. */
export class DiskDevice {
  readonly image = new DiskImage();
  readonly counts: DiskCounts = noCounts();
  readonly plan = new FaultPlan(this.counts);
  readonly draw: Draw;
  readonly locks = new Map<string, Holder>();
  isStuck = false;
  /** Synchronous changes until a process ends. */
  operationsLeft: number | undefined;
  #ended: SimProcess | undefined;
  speed: DiskSpeed = usualDiskSpeed;
  readonly #scheduler: Scheduler;
  #processes: SimProcess[] = [];
  #nextPid = firstPid;
  #held: Operation[] = [];
  #restarts = 0;

  constructor(scheduler: Scheduler, draw: Draw) {
    this.#scheduler = scheduler;
    this.draw = draw;
  }

  admit(process: SimProcess): Holder {
    this.#processes = this.#processes.filter((other) => other.isAlive);
    this.#processes.push(process);
    this.#nextPid += 1;
    return { process, pid: this.#nextPid - 1 };
  }

  /** Before each operation: one that has ended does nothing more, whatever still calls it. */
  requireAlive(process: SimProcess): void {
    if (!process.isAlive || process === this.#ended) throw new ProcessEnded(`${process.name} has ended`);
  }

  /** Before each synchronous change. */
  beginChange(process: SimProcess): void {
    this.requireAlive(process);
    if (this.operationsLeft === undefined) return;
    this.operationsLeft -= 1;
    if (this.operationsLeft > 0) return;
    this.operationsLeft = undefined;
    this.#ended = process;
    throw new ProcessEnded(`${process.name} ends at an operation of its disk`);
  }

  /** `perform` runs later, after what was put into the same queue before. */
  submit(queue: Operation[], perform: () => void): void {
    const operation: Operation = { queue, restarts: this.#restarts, perform, isReady: false };
    queue.push(operation);
    this.#scheduler.after(this.#latencyMs(), () => this.#complete(operation));
  }

  /** How many operations were waiting. */
  goOn(): number {
    this.isStuck = false;
    const held = this.#held;
    this.#held = [];
    for (const operation of held) this.#scheduler.after(0, () => this.#complete(operation));
    return held.length;
  }

  /** Nothing of what was in flight completes any more. */
  restart(): void {
    invariant(
      this.#processes.every((process) => !process.isAlive),
      "no process of a host lives on without its power and its disk",
    );
    this.#restarts += 1;
    this.#processes = [];
    this.#held = [];
    this.locks.clear();
    this.operationsLeft = undefined;
    this.#ended = undefined;
  }

  /** The write reaches the platter, or its sync fails. */
  sync(inode: Inode, write: WriteRecord): DiskError | undefined {
    const failure = this.plan.syncFailure(inode.history.path);
    if (failure === undefined) this.image.sync(inode, write);
    else this.image.forget(inode, [write], this.draw);
    return failure;
  }

  #latencyMs(): number {
    const { latencyMsMin, latencyMsMax, spikeChance, spikeMsMax } = this.speed;
    const max = spikeChance > 0 && this.draw.chance(spikeChance) ? spikeMsMax : latencyMsMax;
    const latencyMs = latencyMsMin + this.draw.fraction() * (max - latencyMsMin);
    if (latencyMs > usualDiskSpeed.latencyMsMax) this.counts.slowed += 1;
    return latencyMs;
  }

  #complete(operation: Operation): void {
    if (operation.restarts !== this.#restarts) return;
    if (this.isStuck) {
      this.#held.push(operation);
      return;
    }
    operation.isReady = true;
    const { queue } = operation;
    while (queue[0]?.isReady === true) queue.shift()?.perform();
  }
}
