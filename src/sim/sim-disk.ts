/**
 * The disk of one simulated host, which outlives the processes that run there.
 *
 * Owns: what the nemesis, scenarios and tests may do to a disk: how fast it is, what fails, power cuts, damage, an old copy put
 * back. Leaves to others: the `Disk` port of each process (`disk-port.ts`), the order of completions (`disk-device.ts`), content
 * (`disk-image.ts`), damage (`disk-faults.ts`). Called by whoever builds a simulated host. All of it at the level of the disk's
 * sectors: nothing here knows what the files are for.
 */
import type { Disk } from "../ports/disk.js";
import type { DiskSpeed } from "./disk-device.js";
import { DiskDevice } from "./disk-device.js";
import type { DiskCounts, FaultOutcome } from "./disk-faults.js";
import { applied, flipBit, flipRandomBit, loseWrite, misdirectWrite, notApplied } from "./disk-faults.js";
import type { ByteRange } from "./disk-history.js";
import type { DiskSnapshot, Inode } from "./disk-image.js";
import { grown } from "./disk-image.js";
import { ProcessDisk } from "./disk-port.js";
import { Draw } from "./draw.js";
import type { SimProcess } from "./process.js";
import type { Scheduler } from "./scheduler.js";

export { ProcessEnded } from "./disk-device.js";

export class SimDisk {
  readonly #device: DiskDevice;

  constructor(scheduler: Scheduler, host: string) {
    this.#device = new DiskDevice(scheduler, new Draw(scheduler.random(`disk ${host}`)));
  }

  get speed(): DiskSpeed {
    return this.#device.speed;
  }

  /** Of what is begun from now on: what is in flight keeps its time. */
  set speed(speed: DiskSpeed) {
    this.#device.speed = speed;
  }

  get statistics(): Readonly<DiskCounts> {
    return this.#device.counts;
  }

  /** The disk as this process sees it. Several may be attached, and none may outlive a power cut. */
  attach(process: SimProcess): Disk {
    return new ProcessDisk(this.#device, this.#device.admit(process));
  }

  /** Nothing completes any more until `unstick`. */
  stick(): FaultOutcome {
    if (this.#device.isStuck) return notApplied("the disk is stuck already");
    this.#device.isStuck = true;
    this.#device.counts.stuck += 1;
    return applied("the disk is stuck");
  }

  unstick(): FaultOutcome {
    if (!this.#device.isStuck) return notApplied("the disk is not stuck");
    return applied(`the disk goes on with ${this.#device.goOn()} operations`);
  }

  /** All processes of the host are dead before it. */
  powerCut(): FaultOutcome {
    const { image, counts, draw } = this.#device;
    this.#device.restart();
    const report = image.powerCut(draw);
    counts.powerCuts += 1;
    counts.unsyncedLost += report.lost + report.namesLost;
    counts.tornWrites += report.torn;
    counts.reordered += report.reordered;
    const { lost, torn, reordered, namesLost } = report;
    return applied(`a power cut: ${lost} writes lost, ${torn} torn, ${reordered} reordered, ${namesLost} names lost`);
  }

  /** The next `times` syncs of files with such a path fail, and so do those of such directories; 0 takes this back. */
  failSyncs(path: RegExp, times: number): FaultOutcome {
    this.#device.plan.failSyncs(path, times);
    return applied(`${times} syncs of ${path.source} will fail`);
  }

  failReads(path: RegExp, times: number): FaultOutcome {
    this.#device.plan.failReads(path, times);
    return applied(`${times} reads of ${path.source} will fail`);
  }

  /** No space for a longer file, a new file, a new directory; what has its space can be written. */
  setFull(isFull: boolean): FaultOutcome {
    const { plan } = this.#device;
    if (plan.isFull === isFull) return notApplied(isFull ? "the disk is full already" : "the disk has space");
    plan.isFull = isFull;
    return applied(isFull ? "the disk is full" : "the disk has space again");
  }

  /**
   * The `count`-th synchronous operation from now on that changes the disk throws `ProcessEnded` instead; 0 takes this back, and so
   * does a power cut.
   */
  crashAfterOperations(count: number): FaultOutcome {
    this.#device.operationsLeft = count > 0 ? count : undefined;
    return applied(`the process ends at operation ${count} from now on`);
  }

  /** The settled ranges of a file, sorted and apart. */
  damageable(path: string): readonly ByteRange[] {
    return [...(this.#device.image.find(path)?.history.settled ?? [])];
  }

  flipBit(path: string, offset: number, bit: number): FaultOutcome {
    return this.#damageAtRest(path, "bitsFlipped", (inode) => flipBit(inode, offset, bit));
  }

  flipRandomBit(path: string): FaultOutcome {
    return this.#damageAtRest(path, "bitsFlipped", (inode) => flipRandomBit(inode, this.#device.draw));
  }

  loseWrite(path: string): FaultOutcome {
    return this.#damageAtRest(path, "writesLost", (inode) => loseWrite(inode, this.#device.draw));
  }

  misdirectWrite(path: string): FaultOutcome {
    return this.#damageAtRest(path, "writesMisdirected", (inode) => misdirectWrite(inode, this.#device.draw));
  }

  /** Any change of a file's bytes, on the platter and in the cache. */
  damage(path: string, change: (bytes: Uint8Array) => void): void {
    const inode = this.#device.image.get(path);
    change(inode.cache.subarray(0, inode.size));
    inode.history.writtenEnd = inode.size;
    inode.platter = grown(inode.platter, inode.size, inode.history);
    inode.platter.set(inode.cache.subarray(0, inode.size));
    inode.platterSize = inode.size;
  }

  /** Another, empty disk. */
  wipe(): FaultOutcome {
    this.#device.restart();
    this.#device.image.replace(undefined);
    return applied("the disk is empty");
  }

  /** What a power cut would leave at least. */
  copy(): DiskSnapshot {
    return this.#device.image.snapshot();
  }

  restore(snapshot: DiskSnapshot): FaultOutcome {
    this.#device.restart();
    this.#device.image.replace(snapshot);
    return applied(`an old copy of the disk is put back, ${snapshot.bytes} bytes`);
  }

  /** Names in a directory, as a process sees them. */
  list(directory: string): readonly string[] {
    return this.#device.image.list(directory);
  }

  /** What a read gives. */
  bytesOf(path: string): Uint8Array {
    const { cache, size } = this.#device.image.get(path);
    return cache.slice(0, size);
  }

  platterBytesOf(path: string): Uint8Array {
    const { platter, platterSize } = this.#device.image.get(path);
    return platter.slice(0, platterSize);
  }

  #damageAtRest(
    path: string,
    counter: "bitsFlipped" | "writesLost" | "writesMisdirected",
    damage: (inode: Inode) => FaultOutcome,
  ): FaultOutcome {
    const inode = this.#device.image.find(path);
    if (inode === undefined) return notApplied(`there is no ${path}`);
    const outcome = damage(inode);
    if (outcome.applied) this.#device.counts[counter] += 1;
    return outcome;
  }
}
