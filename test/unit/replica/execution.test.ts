/** A fetched checkpoint is installed in slices: until the last of them everything goes on over the older state (S1, S7). */
import { describe, expect, test } from "vitest";
import { defaultLimits } from "../../../src/api/config.js";
import { framesOf } from "../../../src/execution/checkpoint-frames.js";
import { Executor } from "../../../src/execution/executor.js";
import type { Checkpoint, ChunkName } from "../../../src/model/checkpoint.js";
import type { Entry } from "../../../src/model/entry.js";
import type { Clock } from "../../../src/ports/clock.js";
import type { ToEngine } from "../../../src/replica/channel.js";
import { orderedAttestation } from "../../../src/replica/attestation.js";
import { Auditor } from "../../../src/replica/auditor.js";
import { Checkpointer } from "../../../src/replica/checkpointer.js";
import { Execution } from "../../../src/replica/execution.js";
import { kv } from "../../../src/services/kv/index.js";
import { StepsUnfinished } from "../../../src/replica/unfinished.js";
import { CheckpointStore } from "../../../src/storage/checkpoint-store.js";
import { UnfinishedStore } from "../../../src/storage/unfinished-store.js";
import { encodeValue } from "../../../src/wire/canonical.js";
import { encodeManifest } from "../../../src/wire/checkpoint-codec.js";
import { directory, termOf, testHash as hash } from "../../../test-support/log-world.js";
import { ManualClock } from "../../../test-support/manual-clock.js";
import { MemoryDisk } from "../../../test-support/memory-disk.js";
import { command, entryOf, sessionOf } from "../../../test-support/order.js";

const key = "k1";
const last = 50;

/** Large values, so that there are many slices; the first entry opens the session of all others. */
const entries: readonly Entry[] = Array.from({ length: last + 1 }, (_, at) => {
  if (at === 0) return entryOf(1, 1, [{ kind: "open", nonce: "n", principal: "p" }]);
  const value = `${at}:${"v".repeat(20_000)}`;
  // A time to live makes rows in a sorted map.
  const input = encodeValue({ key: `k${at}`, value, ttlMs: 1_000_000 });
  return entryOf(at + 1, at + 1, [{ ...command(sessionOf(1), at, "", { name: "set", acknowledgedBelow: at }), input }]);
});

const newExecutor = (): Executor =>
  new Executor({ machine: kv, hash, limits: defaultLimits, founders: { members: [] } });

function executedUpTo(count: number): Executor {
  const executor = newExecutor();
  for (const entry of entries.slice(0, count)) executor.execute(entry);
  return executor;
}

class World {
  readonly disk = new MemoryDisk();
  readonly store: CheckpointStore;
  readonly executor: Executor;
  readonly execution: Execution;
  readonly checkpoint: Checkpoint;
  readonly told: ToEngine[] = [];
  readonly broken: string[] = [];
  readonly #turns: (() => void)[] = [];

  /** Has executed so many entries; the checkpoint on its disk is of all but the last. */
  constructor(executed: number) {
    this.disk.makeDirectory(directory);
    const store = new CheckpointStore({ disk: this.disk, hash, directory });
    this.store = store;
    this.checkpoint = this.#write(store);
    this.executor = executedUpTo(executed);
    const time = new ManualClock();
    const clock: Clock = {
      monotonic: () => time.monotonic(),
      wall: () => time.wall(),
      after: (delayMs, fire) => time.after(delayMs, fire),
      atTurnEnd: (run) => time.atTurnEnd(run),
      nextTurn: (run) => void this.#turns.push(run),
    };
    const checkpointer = new Checkpointer({
      executor: this.executor,
      store,
      hash,
      clock,
      chunkBytes: 1_000,
      attestation: orderedAttestation({ self: "a", incarnation: 1, executor: this.executor, order: () => {} }),
      waitingMax: 0,
      certified: () => {},
      diverged: (reason) => this.broken.push(reason),
    });
    const auditor = new Auditor(
      {
        self: "a",
        incarnation: 1,
        executor: this.executor,
        clock,
        checkpoints: store,
        askForCheckpoint: () => {},
        dropped: () => {},
      },
      () => {},
    );
    const unfinished = new StepsUnfinished(
      {
        self: "a",
        incarnation: 1,
        executor: this.executor,
        clock,
        checkpoints: store,
        unfinished: new UnfinishedStore({ disk: this.disk, hash, directory }),
        wantCheckpoint: () => {},
        askForCheckpoint: () => {},
        dropped: () => {},
      },
      () => {},
      { rebuild: () => this.execution.rebuild(), broken: (reason) => this.broken.push(reason) },
    );
    this.execution = new Execution({
      executor: this.executor,
      execution: defaultLimits.execution,
      checkpoints: store,
      checkpointer,
      auditor,
      unfinished,
      clock,
      toEngine: (message) => this.told.push(message),
      again: () => {},
      executed: () => {},
      passed: () => {},
      broken: (reason) => this.broken.push(reason),
    });
  }

  /** Executes entries up to this index, over as many turns as they take. */
  execute(index: number): void {
    this.execution.add(entries.slice(0, index));
    for (let before = -1; before < this.execution.index;) {
      before = this.execution.index;
      this.execution.run();
    }
    expect(this.execution.index).toBe(index);
  }

  /** Others have reported the checkpoint alike. */
  certify(): void {
    const { last, root } = this.checkpoint;
    this.store.certify({ index: last.index, root, bytes: 1, by: ["a", "b"] }, "goesOn", () => {});
    this.disk.settle();
  }

  /** Runs what waits, to its end. */
  settle(): void {
    while (this.turn());
  }

  get rewinds(): readonly unknown[] {
    return this.told.filter(({ kind }) => kind === "rewind");
  }

  /** Runs one slice; false if none waits. */
  turn(): boolean {
    const run = this.#turns.shift();
    run?.();
    return run !== undefined;
  }

  get digest(): string {
    return Buffer.from(this.executor.digest()).toString("hex");
  }

  get installed(): number {
    return this.told.filter(({ kind }) => kind === "installed").length;
  }

  #write(store: CheckpointStore): Checkpoint {
    const chunks: ChunkName[] = [];
    for (const bytes of framesOf(executedUpTo(last).fork())) {
      const name = { hash: hash.sha256(bytes), bytes: bytes.length };
      chunks.push(name);
      store.writeChunk(name, bytes, () => {});
      this.disk.settle();
    }
    const index = entries[last - 1]?.index;
    if (index === undefined) throw new Error("there are as many entries");
    const plain = { last: { index, term: termOf(1) }, time: last, chunks };
    const checkpoint = { ...plain, root: hash.sha256(encodeManifest(plain)) };
    store.publish(checkpoint, () => {});
    this.disk.settle();
    return checkpoint;
  }
}

const digestOf = (executor: Executor): string => Buffer.from(executor.digest()).toString("hex");

test("between slices the state is the older one, and behind the last all of it is the checkpoint's", () => {
  const world = new World(4);
  const older = world.digest;
  world.execution.install(world.checkpoint);
  let slices = 1;
  while (world.execution.coming > world.execution.index) {
    expect(world.digest).toBe(older);
    expect(world.executor.executedIndex).toBe(4);
    expect(world.executor.query("get", encodeValue(key)).status).toBe("ok");
    expect(world.installed).toBe(0);
    expect(world.turn()).toBe(true);
    slices += 1;
  }

  expect(slices).toBeGreaterThan(3);
  expect(world.digest).toBe(digestOf(executedUpTo(last)));
  expect(world.execution.index).toBe(last);
  expect(world.installed).toBe(1);
  expect(world.turn()).toBe(false);
  world.execute(last + 1);
  expect(world.digest).toBe(digestOf(executedUpTo(last + 1)));
  expect(world.broken).toEqual([]);
});

test("what is executed between slices is not undone: what was missing came in the log", () => {
  const world = new World(4);
  world.execution.install(world.checkpoint);
  world.turn();
  world.execute(last + 1);
  while (world.turn());

  expect(world.digest).toBe(digestOf(executedUpTo(last + 1)));
  expect(world.execution.coming).toBe(world.execution.index);
  expect(world.installed).toBe(1);
  expect(world.broken).toEqual([]);
});

test("entries that are executed between slices are covered by the checkpoint", () => {
  const world = new World(4);
  world.execution.install(world.checkpoint);
  world.turn();
  world.execute(10);
  expect(world.digest).toBe(digestOf(executedUpTo(10)));
  while (world.turn());

  expect(world.digest).toBe(digestOf(executedUpTo(last)));
  expect(world.installed).toBe(1);
});

test("a replica that stops in between has its older state, and reads no more of the checkpoint", () => {
  const world = new World(4);
  const older = world.digest;
  world.execution.install(world.checkpoint);
  world.turn();
  world.execution.stop();
  while (world.turn());

  expect(world.digest).toBe(older);
  expect(world.installed).toBe(0);
});

test("a chunk that is damaged meanwhile breaks the replica, and nothing of the checkpoint is in its state", () => {
  const world = new World(4);
  const older = world.digest;
  world.execution.install(world.checkpoint);
  world.turn();
  for (const name of world.disk.list(`${directory}/checkpoints`)) {
    if (name.endsWith(".chunk")) world.disk.writeFileAtomically(`${directory}/checkpoints/${name}`, new Uint8Array(3));
  }
  while (world.turn());

  expect(world.broken).toEqual([expect.stringContaining("damaged or missing")]);
  expect(world.digest).toBe(older);
  expect(world.installed).toBe(0);
});

describe("what is executed is thrown away, and begins again", () => {
  test("with the certified checkpoint, and nothing that was on its way before the engine has gone back", () => {
    const world = new World(4);
    world.certify();
    world.execute(entries.length);
    const before = world.digest;
    world.execution.rebuild();
    expect(world.execution.index).toBe(0);
    world.settle();

    expect(world.rewinds).toEqual([{ kind: "rewind", id: 1, to: last }]);
    expect(world.execution.rebuiltFrom).toBe(last);
    world.execution.add(entries);
    world.execution.run();
    expect(world.execution.index).toBe(last);
    world.execution.rewound(1);
    world.execute(entries.length);
    expect(world.digest).toBe(before);
  });

  test("with the first entry if no checkpoint is certified; what nobody vouches for is removed", () => {
    const world = new World(4);
    const before = world.digest;
    world.execution.rebuild();

    expect(world.rewinds).toEqual([{ kind: "rewind", id: 1, to: 0 }]);
    expect(world.store.all).toEqual([]);
    world.execution.rewound(1);
    world.execute(4);
    expect(world.digest).toBe(before);
  });

  test("with the first entry if the certified checkpoint is damaged, and with a peer's if the log does not reach back", () => {
    const world = new World(4);
    world.certify();
    const chunk = world.disk.list(`${directory}/checkpoints`).find((name) => name.endsWith(".chunk"));
    world.disk.damage(`${directory}/checkpoints/${chunk}`, (bytes) => (bytes[0] = (bytes[0] ?? 0) ^ 1));
    world.execution.rebuild();
    world.settle();

    expect(world.rewinds).toEqual([{ kind: "rewind", id: 1, to: 0 }]);
    expect(world.broken).toEqual([]);
    world.disk.damage(`${directory}/checkpoints/${chunk}`, (bytes) => (bytes[0] = (bytes[0] ?? 0) ^ 1));
    world.execution.rewound(1);
    world.execution.install(world.checkpoint);
    world.settle();
    expect([world.execution.index, world.execution.rebuiltFrom]).toEqual([last, last]);
  });

  test("once more while it is under way: only the last of them counts", () => {
    const world = new World(4);
    world.execution.rebuild();
    world.execution.rebuild();
    world.execution.rewound(1);
    world.execution.add(entries);
    world.execution.run();
    expect(world.execution.index).toBe(0);
    world.execution.rewound(2);
    world.execute(4);
  });
});
