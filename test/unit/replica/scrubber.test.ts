/** The pace of looking at everything again: fast enough, and never more than 2 % of a core, whatever it is held up by. */
import { expect, test } from "vitest";
import type { Steps } from "../../../src/base/steps.js";
import { KeyOrder } from "../../../src/collections/key-order.js";
import { HashTrie } from "../../../src/collections/hash-trie.js";
import { Scrubber } from "../../../src/replica/scrubber.js";
import { CheckpointStore } from "../../../src/storage/checkpoint-store.js";
import { encodeManifest } from "../../../src/wire/checkpoint-codec.js";
import { directory, indexOf, termOf, testHash } from "../../../test-support/log-world.js";
import { ManualClock } from "../../../test-support/manual-clock.js";
import { MemoryDisk } from "../../../test-support/memory-disk.js";

class World {
  readonly clock = new ManualClock();
  readonly disk = new MemoryDisk();
  readonly checkpoints: CheckpointStore;
  readonly scrubber: Scrubber;
  readonly told: string[] = [];
  asked = 0;
  /** Milliseconds of steps. */
  worked = 0;
  #nextStepMs: readonly number[] = [];

  constructor(steps: number, stepMs: number, scrubCycleMs?: number) {
    this.disk.makeDirectory(directory);
    this.checkpoints = new CheckpointStore({ disk: this.disk, hash: testHash, directory });
    const { clock, checkpoints } = this;
    const work = (): void => this.#work(stepMs);
    const scrubbing = function* (): Steps<readonly string[]> {
      for (let step = 0; step < steps; step += 1) {
        work();
        yield;
      }
      return [];
    };
    this.scrubber = new Scrubber({
      executor: { scrubbing },
      scrubCycleMs,
      clock,
      checkpoints,
      askForCheckpoint: () => void (this.asked += 1),
      dropped: (reason) => void this.told.push(reason),
    });
  }

  /** With a tick every ten milliseconds, as long as nothing holds it up. */
  pass(ms: number): void {
    const end = this.clock.monotonic() + ms;
    while (this.clock.monotonic() < end) {
      this.clock.advance(10);
      this.scrubber.tick();
      this.disk.settle();
    }
  }

  heldUp(ms: number): void {
    this.#nextStepMs = [ms];
  }

  #work(stepMs: number): void {
    const [ms = stepMs] = this.#nextStepMs;
    this.#nextStepMs = [];
    this.worked += ms;
    this.clock.advance(ms);
  }
}

/** Of looking at a sorted map with so many keys. */
function stepsOf(keys: number): number {
  const [trie, order] = [new HashTrie(), new KeyOrder()];
  for (let at = 0; at < keys; at += 1) {
    trie.put(`key ${at}`, at, false);
    order.insert(`key ${at}`);
  }
  return [trie.scrubbing(), order.scrubbing(() => true)].reduce((sum, steps) => sum + [...steps].length, 0);
}

test("10,000 keys of a sorted map are looked at within a second, at most 2 % of a core", () => {
  // 8 ms of processor time in all.
  const steps = stepsOf(10_000);
  const world = new World(steps, 8 / steps);
  world.pass(1_000);
  expect(world.scrubber.statistics.cycles).toBeGreaterThanOrEqual(1);
  const before = world.worked;
  world.pass(60_000);

  expect(world.scrubber.statistics.cycleMs).toBeLessThan(1_000);
  expect(world.scrubber.statistics.cycles).toBeGreaterThan(60);
  expect((world.worked - before) / 60_000).toBeLessThanOrEqual(0.02);
});

test("a cycle begins no sooner after the last did than it is told to", () => {
  const world = new World(50, 0.004, 5_000);
  world.pass(59_000);
  expect(world.scrubber.statistics.cycles).toBe(12);
});

test("with a million keys a cycle takes no more than five minutes, at most 2 % of a core", () => {
  const world = new World(160_000, 0.025);
  world.pass(300_000);
  expect(world.scrubber.statistics.cycles).toBeGreaterThanOrEqual(1);
  expect(world.worked / 300_000).toBeLessThanOrEqual(0.0205);
});

test("what holds a slice up is no work of its own: it goes on soon", () => {
  const world = new World(500, 0.004);
  // Within a cycle.
  world.pass(1_850);
  world.heldUp(3_000);
  world.pass(20);
  const { cycles } = world.scrubber.statistics;
  world.pass(1_600);
  expect(world.scrubber.statistics.cycles).toBeGreaterThan(cycles);
});

test("a chunk of a checkpoint that is not what it was is found within a cycle, told once, and a checkpoint is asked for", () => {
  const world = new World(100, 0.004);
  const contents = Array.from({ length: 5 }, (_, at) => new Uint8Array(100).fill(at));
  const chunks = contents.map((bytes) => ({ hash: testHash.sha256(bytes), bytes: bytes.length }));
  const plain = { last: { index: indexOf(10), term: termOf(1) }, time: 5, chunks };
  const write = (index: number): void => {
    const last = { index: indexOf(index), term: termOf(1) };
    for (const [at, chunk] of chunks.entries()) {
      world.checkpoints.adopt(chunk, (isThere) => {
        if (!isThere) world.checkpoints.writeChunk(chunk, contents[at] ?? new Uint8Array(0), () => undefined);
      });
    }
    world.disk.settle();
    const root = testHash.sha256(encodeManifest({ ...plain, last }));
    world.checkpoints.publish({ ...plain, last, root }, () => undefined);
    world.disk.settle();
  };
  write(10);
  world.pass(2_000);
  expect(world.scrubber.statistics).toMatchObject({ chunksDamaged: 0 });
  expect(world.scrubber.statistics.chunkCycles).toBeGreaterThan(1);

  const name = Buffer.from(chunks[3]?.hash ?? []).toString("hex");
  world.disk.damage(`${directory}/checkpoints/${name}.chunk`, (bytes) => bytes.fill(9, 0, 1));
  world.pass(1_000);
  expect(world.scrubber.statistics).toMatchObject({ chunksDamaged: 1 });
  expect([world.told, world.asked]).toEqual([["damaged chunk"], 1]);
  // Nobody takes one: after a minute it is asked for again.
  world.pass(59_000);
  expect(world.asked).toBe(1);
  world.pass(2_000);
  expect(world.asked).toBe(2);

  write(20);
  world.pass(70_000);
  expect(world.asked).toBe(2);
  expect(world.told).toHaveLength(world.scrubber.statistics.chunksDamaged);
});

test("a manifest or a certificate that is not what it was is written again within a cycle", () => {
  const world = new World(100, 0.004);
  const plain = { last: { index: indexOf(10), term: termOf(1) }, time: 5, chunks: [] };
  const root = testHash.sha256(encodeManifest(plain));
  const certificate = { index: indexOf(10), root, bytes: 0, by: ["a", "b"] };
  world.checkpoints.publish({ ...plain, root }, () =>
    world.checkpoints.certify(certificate, "goesOn", () => undefined),
  );
  world.pass(2_000);
  expect([world.told, world.scrubber.statistics.chunkCycles > 1]).toEqual([[], true]);

  const folder = `${directory}/checkpoints`;
  for (const name of world.disk.list(folder)) world.disk.damage(`${folder}/${name}`, (bytes) => bytes.fill(9, 6, 7));
  const isKnown = (): boolean =>
    new CheckpointStore({ disk: world.disk.copy(), hash: testHash, directory }).certified !== undefined;
  expect(isKnown()).toBe(false);
  world.pass(2_000);
  expect([world.told.length, world.asked, isKnown()]).toEqual([2, 0, true]);
});
