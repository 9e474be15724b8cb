/**
 * A replica's disk, copied and started a second time beside it: one identity in two processes.
 *
 * Owns: the second process, and that it is over once somebody may have forgotten the first (`atlas.ts` says when it may begin): a replica
 * that is heard first by one peer, and its copy by another, is beyond what is promised. Leaves to others: the rule that nobody hears it
 * (`run-checks.ts`). Owned by `sim-replica.ts`.
 */
import type { Limits } from "../api/config.js";
import type { LowLevelMachine } from "../api/low-level.js";
import type { Member } from "../model/membership.js";
import { openReplica, type InlineReplica } from "../replica/open-replica.js";
import { must } from "./checkers/violation.js";
import type { DiskSnapshot } from "./disk-image.js";
import { Draw } from "./draw.js";
import { SimProcess } from "./process.js";
import { SimDisk } from "./sim-disk.js";
import { simHash } from "./sim-hash.js";
import type { Markers } from "./markers.js";
import type { Scheduler } from "./scheduler.js";
import type { SimNetwork } from "./sim-network.js";
import type { Trace } from "./trace.js";

export interface CopiedParts {
  readonly scheduler: Scheduler;
  readonly network: SimNetwork;
  readonly trace: Trace;
  readonly members: readonly Member[];
  readonly clusterId: string;
  readonly limits: Limits;
  readonly turnMsMax: number;
  /** Something of it threw: the run is over unless it is a fault that we made. */
  readonly threw: (who: string, cause: unknown) => void;
  readonly markers: Markers;
}

export interface Copied {
  readonly id: string;
  /** Of the copies of this replica, from 1. */
  readonly number: number;
  readonly machine: LowLevelMachine;
  readonly dataDir: string;
  readonly disk: DiskSnapshot;
}

export class CopiedReplica {
  readonly #copied: Copied;
  readonly #parts: CopiedParts;
  readonly #process: SimProcess;
  #opened: InlineReplica | undefined;

  constructor(copied: Copied, parts: CopiedParts) {
    const { id, number } = copied;
    this.#copied = copied;
    this.#parts = parts;
    this.#process = new SimProcess(parts.scheduler, `${id}.copy${number}`, {
      turnMsMax: parts.turnMsMax,
      onThrow: (cause) => parts.threw(id, cause),
      afterEach: () =>
        must(this.#opened?.state.role.kind !== "leader", "V23", () => `a copy of the disk of ${id} leads`),
    });
    parts.trace.add(id, `runs twice: a copy of its disk is started (${this.#process.name})`);
    this.#process.run(() => this.#open());
  }

  /** Nothing has refused it yet. */
  get isUp(): boolean {
    return this.#opened !== undefined;
  }

  /** By which others would know it. */
  get name(): string | undefined {
    return this.#opened?.core.identity.process;
  }

  end(why: string): void {
    if (!this.#process.isAlive) return;
    this.#opened = undefined;
    this.#parts.trace.add(this.#copied.id, `its copy ends: ${why}`);
    this.#process.kill();
    this.#parts.network.onProcessEnd(this.#process, "killed");
  }

  #open(): void {
    const { scheduler, network, members, clusterId, limits, markers } = this.#parts;
    const { id, machine, dataDir } = this.#copied;
    const disk = new SimDisk(scheduler, this.#process.name);
    disk.restore(this.#copied.disk);
    const draw = new Draw(scheduler.random(`entropy ${this.#process.name}`));
    const opened = openReplica(
      machine,
      { id, clusterId, dataDir, members, bootstrap: false, join: false, limits },
      {
        clock: this.#process.clock,
        disk: disk.attach(this.#process),
        network: network.attach(this.#process, id),
        hash: simHash,
        entropy: { bytes: (count) => Uint8Array.from({ length: count }, () => draw.between(0, 255)) },
      },
      {
        roleChanged: () => {},
        healthChanged: () => {},
        found: () => {},
        quarantineChanged: () => {},
        broken: (reason) => {
          if (reason.includes("runs twice")) markers.reach("a second process was refused on a copy of a disk");
          this.#process.post(1, () => this.end(reason));
        },
        peerChanged: () => {},
        dropped: () => {},
      },
    );
    if (opened.kind === "refused") return this.end(`is refused: ${opened.code}`);
    this.#opened = opened;
  }
}
