/** Whole replicas in one thread: the production engine, host, links and executor over a made network, clock and log. */
import { defaultLimits, type Limits } from "../src/api/config.js";
import type { Door } from "../src/api/door.js";
import type { LowLevelMachine } from "../src/api/low-level.js";
import { encodeUtf8 } from "../src/base/bytes.js";
import { MemoryDisk } from "./memory-disk.js";
import { CheckpointStore } from "../src/storage/checkpoint-store.js";
import { EvidenceStore } from "../src/storage/evidence-store.js";
import { UnfinishedStore } from "../src/storage/unfinished-store.js";
import { createRaftState } from "../src/consensus/raft/state.js";
import { Executor } from "../src/execution/executor.js";
import { noIndex } from "../src/model/ids.js";
import type { Member } from "../src/model/membership.js";
import { createDoor } from "../src/node/create-door.js";
import { nodeHash } from "../src/node/hash.js";
import { KnownStore } from "../src/storage/known-store.js";
import { EngineSide, type EngineSideParts } from "../src/replica/engine-side.js";
import { orderedByRaft } from "../src/replica/host-ordering.js";
import { RaftDriver } from "../src/replica/raft-driver.js";
import { ReplicaCore } from "../src/replica/replica.js";
import { ManualClock } from "./manual-clock.js";
import { MemoryLogDisk, type MemoryLogStore } from "./memory-log-store.js";
import { MemoryNetwork } from "./memory-network.js";
import { tally } from "./tally-machine.js";

interface Running {
  readonly core: ReplicaCore<EngineSide<RaftDriver>>;
  readonly log: MemoryLogStore;
  readonly executor: Executor;
}

export class ReplicaGroup {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock);
  readonly ids: readonly string[];
  readonly disks = new Map<string, MemoryLogDisk>();
  readonly checkpointDisks = new Map<string, MemoryDisk>();
  readonly running = new Map<string, Running>();
  readonly broken: string[] = [];
  /** What each was told: positions at which something differed, and what became of itself. */
  readonly found: string[] = [];
  readonly quarantines: string[] = [];
  readonly #limits: Limits;
  readonly #machineOf: (id: string) => LowLevelMachine;
  #starts = 0;

  constructor(
    ids: readonly string[],
    limits: Partial<Limits> = {},
    machine: LowLevelMachine | ((id: string) => LowLevelMachine) = tally,
  ) {
    this.ids = ids;
    this.#limits = { ...defaultLimits, ...limits };
    this.#machineOf = typeof machine === "function" ? machine : () => machine;
    for (const id of ids) this.disks.set(id, new MemoryLogDisk());
    for (const id of ids) this.start(id);
  }

  start(id: string): void {
    const { clock, network } = this;
    const disk = this.disks.get(id) ?? new MemoryLogDisk();
    const log = disk.open(clock);
    const recovered = disk.recover();
    const membership = { members: this.ids.map((each) => memberOf(each)) };
    const limits = this.#limits;
    const seed = (this.#starts += 1);
    const executor = new Executor({ machine: this.#machineOf(id), hash: nodeHash, limits, founders: membership });
    const checkpointDisk = new MemoryDisk();
    this.checkpointDisks.set(id, checkpointDisk);
    const checkpoints = new CheckpointStore({ disk: checkpointDisk, hash: nodeHash, directory: "data" });
    const trust = recovered.damaged.length > 0 ? "damaged" : "whole";
    const settings = { ...limits.raft, leaseMs: 0, clockDriftPercentMax: 10 };
    const identity = {
      clusterId: "test",
      id,
      incarnation: 1,
      process: `${id}${seed}`,
      machine: "tally",
      machineVersion: 1,
      foundation: "",
      found: { starts: seed, term: recovered.hardState.term, lastIndex: recovered.lastIndex },
    };
    const state = createRaftState(
      { self: id, incarnation: 1, membership, hardState: recovered.hardState, log: recovered, settings, seed, trust },
      clock.monotonic(),
    );
    const { damaged } = recovered;
    const known = { commitIndex: noIndex, peers: [] };
    const executionStallMsMax = limits.execution.stallMsMax;
    const driverParts = { state, log, damaged, known, hash: nodeHash, seed, limits, executionStallMsMax };
    const engine: EngineSideParts<RaftDriver> = {
      driver: (world) => new RaftDriver(driverParts, world),
      identity,
      seeds: [],
      lost: [],
      log,
      known,
      knownStore: new KnownStore({ disk: new MemoryDisk(), hash: nodeHash, directory: "data" }),
      begun: { loaded: undefined, configuration: executor.configuration, certified: undefined },
      clock,
      hash: nodeHash,
      network,
      seed,
      limits,
    };
    const core = new ReplicaCore({
      identity,
      executor,
      checkpoints,
      evidence: new EvidenceStore({ disk: checkpointDisk, directory: "data" }),
      unfinished: new UnfinishedStore({ disk: new MemoryDisk(), hash: nodeHash, directory: "data" }),
      clock,
      hash: nodeHash,
      limits,
      ordering: orderedByRaft(),
      logStart: recovered.start.index,
      observer: {
        roleChanged: () => {},
        healthChanged: () => {},
        found: ({ kind, differing }) => this.found.push(`${id}: ${kind} ${differing.join(", ")}`),
        quarantineChanged: (state) => this.quarantines.push(`${id}: ${state}`),
        broken: (reason) => this.broken.push(`${id}: ${reason}`),
        dropped: () => {},
        peerChanged: () => {},
      },
      disowned: (reason) => this.broken.push(`${id} is disowned: ${reason}`),
      engine: (listener) => new EngineSide(engine, listener),
    });
    network.listen(`${id}:1`, (connect) => core.engine.acceptPeer(connect));
    this.running.set(id, { core, log, executor });
  }

  /** The process is gone at once: nothing is flushed, its links break. */
  crash(id: string): void {
    const running = this.running.get(id);
    if (running === undefined) throw new Error(`${id} does not run`);
    running.log.crash();
    running.core.stop();
    this.network.unlisten(`${id}:1`);
    this.running.delete(id);
  }

  leader(): string | undefined {
    for (const [id, { core }] of this.running) {
      const { role, leader, ready } = core.status();
      if (role === "leader" && leader === id && ready) return id;
    }
    return undefined;
  }

  untilLeader(): string {
    return this.until("a leader", () => this.leader());
  }

  until<Found>(what: string, look: () => Found | undefined): Found {
    for (let count = 0; count < 20_000; count += 1) {
      const found = look();
      if (found !== undefined) return found;
      this.clock.advance(1);
    }
    throw new Error(`Waited 20 s of test time in vain for ${what}`);
  }

  /** Asks through a door of replica `id`; the answer comes as the group's time moves on. */
  door(id: string): { add(name: string): string[]; read(name: string): string[]; close(): void } {
    const door = this.openDoor(id);
    const collect = (ask: Promise<unknown>): string[] => {
      const seen: string[] = [];
      void ask.then((outcome) => seen.push(textOf(outcome)));
      return seen;
    };
    return {
      add: (name) => collect(door.command("add", encodeUtf8(name), undefined)),
      read: (name) => collect(door.query("read", encodeUtf8(name), { kind: "linearizable" })),
      close: () => door.close(),
    };
  }

  openDoor(id: string): Door {
    const core = this.running.get(id)?.core;
    if (core === undefined) throw new Error(`${id} does not run`);
    return createDoor({ name: "test", connect: (receive) => core.openLocal(receive), clock: this.clock });
  }

  /** Lets promises settle between steps of test time. */
  async pass(milliseconds: number): Promise<void> {
    for (let count = 0; count < milliseconds; count += 1) {
      this.clock.advance(1);
      await Promise.resolve();
    }
  }

  digests(): string[] {
    return [...this.running.values()].map(({ executor }) => Buffer.from(executor.digest()).toString("hex"));
  }
}

function memberOf(id: string): Member {
  return { id, role: "voter", incarnation: 1, peer: `${id}:1`, client: `${id}:2` };
}

function textOf(outcome: unknown): string {
  const found = outcome as {
    status: string;
    output?: Uint8Array;
    outcome?: { output?: Uint8Array };
    refusal?: { code: string };
  };
  const output = found.output ?? found.outcome?.output;
  return output === undefined ? `${found.status} ${found.refusal?.code ?? ""}` : Buffer.from(output).toString();
}
