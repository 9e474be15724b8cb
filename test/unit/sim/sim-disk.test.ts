/** The simulated disk keeps the contract of `ports/disk.ts`, and fails only as it was told to. */
import { describe, expect, test } from "vitest";
import { equalBytes, hexOf } from "../../../src/base/bytes.js";
import type { DirectoryLock, DiskFile } from "../../../src/ports/disk.js";
import { DiskError } from "../../../src/ports/disk.js";
import { Draw } from "../../../src/sim/draw.js";
import { ProcessEnded } from "../../../src/sim/sim-disk.js";
import {
  codeOf,
  cutAndStart,
  expectBytes,
  killAndStart,
  newWorld,
  pattern,
  prefilled,
  runFor,
  sector,
  start,
  write,
} from "../../../test-support/sim-disk-world.js";

describe("operations of start-up", () => {
  test("names, sizes and contents are what was written", () => {
    const { port } = newWorld(1);
    port.makeDirectory("d/e/f");
    port.writeFileAtomically("d/b", pattern(700, 1));
    const file = port.openFile("d/a", "create");
    file.writeNow(10, pattern(5, 2));

    expect(port.list("d")).toEqual(["a", "b", "e"]);
    expect(port.list("d/e")).toEqual(["f"]);
    expect(port.exists("d/e/f") && port.exists("d/a") && !port.exists("d/c")).toBe(true);
    expect(port.readFile("d/b", 700)).toEqual(pattern(700, 1));
    expect(file.size()).toBe(15);
    const into = new Uint8Array(20);
    expect(file.readNow(8, into)).toBe(7);
    expect(into.subarray(0, 7)).toEqual(new Uint8Array([0, 0, ...pattern(5, 2)]));
    port.rename("d/a", "d/c");
    expect(port.list("d")).toEqual(["b", "c", "e"]);
    port.remove("d/c");
    expect(port.exists("d/c")).toBe(false);
    expect(port.isWritableByOthers("d")).toBe(false);
  });

  test("what is not there is `notFound`, and a file that is too long `failed`", () => {
    const { port } = newWorld(1);
    port.writeFileAtomically("d/a", pattern(10, 1));

    expect(codeOf(() => port.list("x"))).toBe("notFound");
    expect(codeOf(() => port.readFile("d/x", 10))).toBe("notFound");
    expect(codeOf(() => port.openFile("d/x", "existing"))).toBe("notFound");
    expect(codeOf(() => port.openFile("x/a", "create"))).toBe("notFound");
    expect(codeOf(() => port.writeFileAtomically("x/a", pattern(1, 1)))).toBe("notFound");
    expect(codeOf(() => port.rename("d/x", "d/y"))).toBe("notFound");
    expect(codeOf(() => port.remove("d/x"))).toBe("notFound");
    expect(codeOf(() => port.syncDirectory("x"))).toBe("notFound");
    expect(codeOf(() => port.lock("x"))).toBe("notFound");
    expect(codeOf(() => port.readFile("d/a", 9))).toBe("failed");
  });

  test("a directory is locked by a living process only, and by one", () => {
    const world = newWorld(1);
    const lock = world.port.lock("d");
    const other = start(world.scheduler, world.disk);

    expect(lock.kind).toBe("locked");
    const refused = other.port.lock("d");
    expect(refused).toMatchObject({ kind: "held" });
    if (refused.kind === "held") expect(refused.pid).toBeGreaterThan(0);
    (lock as DirectoryLock).release();
    expect(other.port.lock("d").kind).toBe("locked");
    expect(world.port.lock("d").kind).toBe("held");
    other.process.kill();
    expect(world.port.lock("d").kind).toBe("locked");
    (lock as DirectoryLock).release();
    cutAndStart(world);
    world.port.makeDirectory("d");
    expect(world.port.lock("d").kind).toBe("locked");
  });
});

describe("operations of the hot path", () => {
  test("complete later, once, and in the order of the calls", () => {
    for (let seed = 0; seed < 30; seed += 1) {
      const world = newWorld(seed);
      world.disk.speed = { latencyMsMin: 0, latencyMsMax: 20, spikeChance: 0.2, spikeMsMax: 100 };
      const file = prefilled(world, "d/a", 4096);
      const seen: string[] = [];
      const expected: string[] = [];
      const draw = new Draw(world.scheduler.random("test"));
      for (let at = 0; at < 20; at += 1) {
        const name = `${at}`;
        expected.push(name);
        if (draw.chance(0.3)) file.read(at * 10, 10, () => seen.push(name));
        else file.write(at * 10, [pattern(4, at), pattern(6, at)], () => seen.push(name));
        expect(seen).toEqual([]);
      }
      file.close(() => seen.push("close"));
      runFor(world, 5);
      runFor(world, 10_000);

      expect(seen).toEqual([...expected, "close"]);
    }
  });

  test("a read gives the bytes up to the end of the file, in a buffer of its own", () => {
    const world = newWorld(1);
    const file = prefilled(world, "d/a", 100);
    expect(write(world, file, 90, pattern(10, 3))).toBeUndefined();
    let read: Uint8Array | DiskError | undefined;
    file.read(95, 50, (result) => (read = result));
    file.write(95, [new Uint8Array(5)], () => undefined);
    runFor(world, 100);

    expect(read).toBeInstanceOf(Uint8Array);
    expect((read as Uint8Array).length).toBe(5);
    (read as Uint8Array).fill(9);
    expectBytes(world.disk.bytesOf("d/a").subarray(95), new Uint8Array(5));
    file.read(1_000, 10, (result) => (read = result));
    runFor(world, 100);
    expect(read).toEqual(new Uint8Array(0));
  });

  test("a file is opened later, created if that is asked for, and used after it was closed it fails", () => {
    const world = newWorld(1);
    const results: (DiskFile | DiskError)[] = [];
    world.port.openLater("d/a", "existing", (result) => results.push(result));
    expect(results).toEqual([]);
    runFor(world, 100);
    world.port.openLater("d/a", "create", (result) => results.push(result));
    runFor(world, 100);
    world.port.openLater("d/a", "existing", (result) => results.push(result));
    runFor(world, 100);

    expect(results[0]).toMatchObject({ code: "notFound" });
    const file = results[2] as DiskFile;
    expect(file).not.toBeInstanceOf(DiskError);
    const answers: (DiskError | undefined)[] = [];
    file.close((failure) => answers.push(failure));
    file.close((failure) => answers.push(failure));
    expect(write(world, file, 0, pattern(1, 1))).toMatchObject({ code: "failed" });
    expect(answers).toMatchObject([undefined, { code: "failed" }]);
  });

  test("after a failed write all later ones of the file fail with its reason, also those in flight", () => {
    const world = newWorld(1);
    const file = prefilled(world, "d/a", 4096);
    const answers: (string | undefined)[] = [];
    const note = (failure: DiskError | undefined): number => answers.push(failure?.code);
    file.write(0, [pattern(10, 1)], note);
    world.disk.failSyncs(/d\/a/, 1);
    file.write(10, [pattern(10, 2)], note);
    file.write(20, [pattern(10, 3)], note);
    runFor(world, 100);
    file.write(30, [pattern(10, 4)], note);
    runFor(world, 100);

    expect(answers).toEqual(["failed", "failed", "failed", "failed"]);
    expectBytes(world.disk.bytesOf("d/a").subarray(30, 40), new Uint8Array(10));
    expect(world.disk.statistics.syncErrors).toBe(1);
    const again = world.port.openFile("d/a", "existing");
    expect(write(world, again, 30, pattern(10, 4))).toBeUndefined();
  });

  test("a write that finds no space changes nothing, and later ones may succeed", () => {
    const world = newWorld(1);
    const file = prefilled(world, "d/a", 1000);
    expect(world.disk.setFull(true).applied).toBe(true);
    expect(world.disk.setFull(true).applied).toBe(false);

    expect(write(world, file, 990, pattern(20, 1))).toMatchObject({ code: "full" });
    expect(write(world, file, 980, pattern(20, 2))).toBeUndefined();
    expect(codeOf(() => world.port.openFile("d/b", "create"))).toBe("full");
    expect(codeOf(() => world.port.writeFileAtomically("d/a", pattern(1, 1)))).toBe("full");
    expect(codeOf(() => world.port.makeDirectory("d/e"))).toBe("full");
    expect(codeOf(() => file.writeNow(1000, pattern(1, 1)))).toBe("full");
    expect(codeOf(() => file.writeNow(0, pattern(1, 1)))).toBeUndefined();
    const opened: unknown[] = [];
    world.port.openLater("d/b", "create", (result) => opened.push(result));
    runFor(world, 100);
    expect(opened).toMatchObject([{ code: "full" }]);
    expect(file.size()).toBe(1000);
    world.disk.setFull(false);
    expect(write(world, file, 990, pattern(20, 1))).toBeUndefined();
    expect(world.disk.statistics.fullWrites).toBe(6);
  });

  test("nothing completes on a stuck disk, and afterwards everything does, in order", () => {
    const world = newWorld(1);
    const file = prefilled(world, "d/a", 4096);
    const seen: number[] = [];
    expect(world.disk.stick()).toEqual({ applied: true, detail: "the disk is stuck" });
    expect(world.disk.stick().applied).toBe(false);
    for (let at = 0; at < 5; at += 1) file.write(at, [pattern(1, at)], () => seen.push(at));
    runFor(world, 60_000);
    expect(seen).toEqual([]);
    for (let at = 5; at < 10; at += 1) file.write(at, [pattern(1, at)], () => seen.push(at));
    expect(world.disk.unstick().applied).toBe(true);
    expect(world.disk.unstick().applied).toBe(false);
    expect(seen).toEqual([]);
    runFor(world, 1_000);

    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(world.disk.statistics.stuck).toBe(1);
  });

  test("what was in flight on a stuck disk is as unsafe as before when the power goes", () => {
    const lost = [0, 1, 2, 3, 4, 5, 6, 7].filter((seed) => {
      const world = newWorld(seed);
      const file = prefilled(world, "d/a", 4096);
      world.disk.stick();
      file.write(0, [pattern(sector, 1)], () => expect.unreachable());
      runFor(world, 100);
      cutAndStart(world);
      world.disk.unstick();
      runFor(world, 100);
      return world.disk.bytesOf("d/a")[0] === 0;
    });

    expect(lost.length).toBeGreaterThan(0);
    expect(lost.length).toBeLessThan(8);
  });

  test("a slow disk is slow from now on, and counted", () => {
    const world = newWorld(1);
    const file = prefilled(world, "d/a", 4096);
    world.disk.speed = { latencyMsMin: 50, latencyMsMax: 60, spikeChance: 0, spikeMsMax: 0 };
    const from = world.scheduler.now;
    let took = 0;
    file.write(0, [pattern(1, 1)], () => (took = world.scheduler.now - from));
    runFor(world, 1_000);

    expect(took).toBeGreaterThanOrEqual(50);
    expect(took).toBeLessThanOrEqual(60);
    expect(world.disk.statistics.slowed).toBe(1);
  });

  test("a paused process is told when it goes on, and its writes are durable before", () => {
    const world = newWorld(1);
    const file = prefilled(world, "d/a", 4096);
    const seen: number[] = [];
    file.write(0, [pattern(9, 1)], () => seen.push(1));
    file.write(9, [pattern(9, 2)], () => seen.push(2));
    world.process.pause();
    runFor(world, 1_000);
    expect(seen).toEqual([]);
    expectBytes(world.disk.platterBytesOf("d/a").subarray(0, 9), pattern(9, 1));
    world.process.resume();

    expect(seen).toEqual([1, 2]);
  });

  test("reads fail as often as they were told to", () => {
    const world = newWorld(1);
    const file = prefilled(world, "d/a", 100);
    world.disk.failReads(/a$/, 3);
    const read: (string | number)[] = [];
    file.read(0, 10, (result) => read.push(result instanceof DiskError ? result.code : result.length));
    runFor(world, 100);
    expect(codeOf(() => file.readNow(0, new Uint8Array(5)))).toBe("failed");
    expect(codeOf(() => world.port.readFile("d/a", 100))).toBe("failed");
    file.read(0, 10, (result) => read.push(result instanceof DiskError ? result.code : result.length));
    runFor(world, 100);

    expect(read).toEqual(["failed", 10]);
    expect(world.disk.statistics.readErrors).toBe(3);
    world.disk.failReads(/a$/, 3);
    world.disk.failReads(/a$/, 0);
    expect(codeOf(() => world.port.readFile("d/a", 100))).toBeUndefined();
  });
});

describe("the end of a process", () => {
  test("a process that is killed leaves its writes in the cache, and they reach the platter", () => {
    const world = newWorld(1);
    const file = prefilled(world, "d/a", 4096);
    file.write(0, [pattern(600, 1)], () => expect.unreachable());
    killAndStart(world);

    expectBytes(world.port.readFile("d/a", 4096).subarray(0, 600), pattern(600, 1));
    expectBytes(world.disk.platterBytesOf("d/a"), new Uint8Array(4096));
    runFor(world, 100);
    expectBytes(world.disk.platterBytesOf("d/a").subarray(0, 600), pattern(600, 1));
  });

  test("nothing is done for a process that has ended", () => {
    const world = newWorld(1);
    const file = prefilled(world, "d/a", 4096);
    const { port } = world;
    world.process.kill();

    expect(() => file.write(0, [pattern(1, 1)], () => undefined)).toThrow(ProcessEnded);
    expect(() => file.writeNow(0, pattern(1, 1))).toThrow(ProcessEnded);
    expect(() => port.list("d")).toThrow(ProcessEnded);
    expect(() => port.publish("d/a", "d/b", () => undefined)).toThrow(ProcessEnded);
  });

  test("the power does not go while a process lives on", () => {
    const world = newWorld(1);

    expect(() => world.disk.powerCut()).toThrow("no process of a host lives on");
    expect(() => world.disk.wipe()).toThrow("no process of a host lives on");
    expect(() => world.disk.restore(world.disk.copy())).toThrow("no process of a host lives on");
  });

  test("a process ends at the operation that was named, unless that is taken back, and others go on", () => {
    const world = newWorld(1);
    world.disk.crashAfterOperations(1);
    world.disk.crashAfterOperations(0);
    world.port.makeDirectory("d/e");
    world.disk.crashAfterOperations(2);
    world.port.openFile("d/f", "create");

    expect(() => world.port.syncDirectory("d")).toThrow(ProcessEnded);
    expect(() => world.port.exists("d/f")).toThrow(ProcessEnded);
    expect(start(world.scheduler, world.disk).port.list("d")).toEqual(["e", "f"]);
  });

  test("a process ends at each operation of an atomic write, and the old or the new content is there", () => {
    const outcomes = new Set<string>();
    const old = pattern(3000, 1);
    const next = pattern(3000, 2);
    for (let seed = 0; seed < 200; seed += 1) {
      const world = newWorld(seed);
      world.port.writeFileAtomically("d/a", old);
      world.disk.crashAfterOperations(1 + (seed % 6));
      let ended = false;
      try {
        world.port.writeFileAtomically("d/a", next);
      } catch (error) {
        if (!(error instanceof ProcessEnded)) throw error;
        ended = true;
        expect(() => world.port.readFile("d/a", 3000)).toThrow(ProcessEnded);
      }
      cutAndStart(world);
      const bytes = world.port.readFile("d/a", 3000);
      const which = equalBytes(bytes, old) ? "old" : equalBytes(bytes, next) ? "new" : "mixed";
      if (!ended) expect(which).toBe("new");
      outcomes.add(`${ended ? "ended" : "done"} ${which}`);
    }

    expect([...outcomes].sort()).toEqual(["done new", "ended new", "ended old"]);
  });
});

test("one seed is one disk: the same operations leave the same bytes", () => {
  const bytesOf = (seed: number): string => {
    const world = newWorld(seed);
    const file = prefilled(world, "d/1", 64 * sector);
    const times: number[] = [];
    for (let at = 0; at < 30; at += 1)
      file.write(at * 1000, [pattern(1000, at)], () => times.push(world.scheduler.now));
    runFor(world, 0.5);
    cutAndStart(world);
    world.disk.loseWrite("d/1");
    return `${hexOf(world.disk.bytesOf("d/1"))} ${times.join()}`;
  };

  expect(bytesOf(5)).toBe(bytesOf(5));
  expect(bytesOf(5)).not.toBe(bytesOf(6));
});
