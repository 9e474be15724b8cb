/** A power cut takes what was not synced, in every way a disk can, and nothing else. */
import { describe, expect, test } from "vitest";
import type { DiskError } from "../../../src/ports/disk.js";
import {
  codeOf,
  cutAndStart,
  expectBytes,
  newWorld,
  pattern,
  prefilled,
  runFor,
  sector,
  write,
} from "../../../test-support/sim-disk-world.js";

describe("a power cut", () => {
  test("takes names that were not synced from the last one on, in the order of the changes", () => {
    const survivors = new Set<string>();
    for (let seed = 0; seed < 60; seed += 1) {
      const world = newWorld(seed);
      world.port.writeFileAtomically("d/0", pattern(1, 1));
      for (const name of ["1", "2", "3"]) world.port.openFile(`d/${name}`, "create");
      cutAndStart(world);
      survivors.add(world.port.list("d").join(""));
    }

    expect([...survivors].sort()).toEqual(["0", "01", "012", "0123"]);
  });

  test("takes no name before one that was synced, and syncing one directory says nothing of a later change in another", () => {
    const survivors = new Set<string>();
    for (let seed = 0; seed < 40; seed += 1) {
      const world = newWorld(seed);
      world.port.makeDirectory("e");
      world.port.openFile("d/1", "create");
      world.port.openFile("e/2", "create");
      world.port.openFile("d/3", "create");
      world.port.syncDirectory("e");
      cutAndStart(world);
      survivors.add([...world.port.list("d"), ...world.port.list("e")].join(""));
    }

    expect([...survivors].sort()).toEqual(["12", "132"]);
  });

  test("a file that was published is there with what was written to it, and its old name is not", () => {
    for (let seed = 0; seed < 30; seed += 1) {
      const world = newWorld(seed);
      const file = world.port.openFile("d/preparing", "create");
      expect(write(world, file, 0, pattern(5000, 1))).toBeUndefined();
      let published: DiskError | undefined | "waiting" = "waiting";
      world.port.publish("d/preparing", "d/1", (failure) => (published = failure));
      expect(published).toBe("waiting");
      runFor(world, 100);
      expect(published).toBeUndefined();
      cutAndStart(world);

      expect(world.port.list("d")).toEqual(["1"]);
      expectBytes(world.port.readFile("d/1", 5000), pattern(5000, 1));
    }
    const world = newWorld(1);
    const answers: unknown[] = [];
    world.port.publish("d/x", "d/y", (failure) => answers.push(failure?.code));
    world.port.openFile("d/z", "create");
    world.disk.failSyncs(/d\/1/, 1);
    world.port.publish("d/z", "d/1", (failure) => answers.push(failure?.code));
    runFor(world, 100);
    expect(answers.sort()).toEqual(["failed", "notFound"]);
  });

  test("tears and reorders what was in flight, sector by sector, and touches nothing that was durable", () => {
    let wholeLost = 0;
    let wholeKept = 0;
    let torn = 0;
    let reordered = 0;
    for (let seed = 0; seed < 150; seed += 1) {
      const world = newWorld(seed);
      const file = prefilled(world, "d/a", 32 * sector);
      expect(write(world, file, 100, pattern(5000, 1))).toBeUndefined();
      const durable = world.disk.platterBytesOf("d/a");
      const first = { at: 5100, bytes: pattern(4000, 2) };
      const second = { at: 9100, bytes: pattern(4000, 3) };
      for (const { at, bytes } of [first, second]) file.write(at, [bytes], () => expect.unreachable());
      cutAndStart(world);
      const after = world.port.readFile("d/a", 32 * sector);

      const wanted = durable.slice();
      for (const { at, bytes } of [first, second]) wanted.set(bytes, at);
      const foreign = [...after.keys()].filter((at) => after[at] !== durable[at] && after[at] !== wanted[at]);
      expectBytes(after, world.disk.platterBytesOf("d/a"));
      expect(foreign).toEqual([]);
      const kept = (from: number, to: number): number => after.subarray(from, to).filter((byte) => byte !== 0).length;
      const [one, other] = [kept(5100, 9100), kept(9100, 13_100)];
      if (one === 0 && other === 0) wholeLost += 1;
      if (one === 4000 && other === 4000) wholeKept += 1;
      if (one > 0 && one < 4000) torn += 1;
      if (one < 4000 && other > 0) reordered += 1;
    }

    expect(Math.min(wholeLost, wholeKept)).toBeGreaterThan(5);
    expect(Math.min(torn, reordered)).toBeGreaterThan(20);
  });

  test("keeps a sector's writes in their order, and now and then leaves one half old and half new", () => {
    const states = new Set<string>();
    let halves = 0;
    for (let seed = 0; seed < 1500; seed += 1) {
      const world = newWorld(seed);
      const file = prefilled(world, "d/a", sector);
      // Each over a part of the one before.
      file.write(0, [new Uint8Array(sector).fill(1)], () => undefined);
      file.write(0, [new Uint8Array(sector).fill(2)], () => undefined);
      file.write(256, [new Uint8Array(256).fill(3)], () => undefined);
      cutAndStart(world);
      const bytes = world.port.readFile("d/a", sector);
      const runs = [...bytes].filter((byte, at) => byte !== bytes[at - 1]).join("");
      const clean = ["0", "1", "2", "23"].includes(runs) && (runs !== "23" || bytes[255] === 2);
      if (clean) states.add(runs);
      else halves += 1;
    }

    expect([...states].sort()).toEqual(["0", "1", "2", "23"]);
    expect(halves).toBeGreaterThan(3);
    expect(halves).toBeLessThan(60);
  });

  test("counts what it did", () => {
    const world = newWorld(3);
    for (let round = 0; round < 20; round += 1) {
      const file = prefilled(world, `d/${round}`, 64 * sector);
      for (let at = 0; at < 5; at += 1) file.write(at * 3000, [pattern(3000, at)], () => undefined);
      world.port.openFile(`d/new ${round}`, "create");
      cutAndStart(world);
    }

    const { powerCuts, unsyncedLost, tornWrites, reordered } = world.disk.statistics;
    expect(powerCuts).toBe(20);
    expect(unsyncedLost).toBeGreaterThan(20);
    expect(tornWrites).toBeGreaterThan(20);
    expect(reordered).toBeGreaterThan(10);
  });

  test("takes a longer file back to the sectors that arrived", () => {
    const sizes = new Set<number>();
    for (let seed = 0; seed < 40; seed += 1) {
      const world = newWorld(seed);
      const file = prefilled(world, "d/a", 100);
      file.write(100, [pattern(2000, 1)], () => undefined);
      cutAndStart(world);
      const bytes = world.port.readFile("d/a", 2100);
      sizes.add(bytes.length);
      expect([100, 512, 1024, 1536, 2048, 2100]).toContain(bytes.length);
      // What comes behind begins with zeros again.
      const again = world.port.openFile("d/a", "existing");
      expect(write(world, again, 3000, pattern(1, 1))).toBeUndefined();
      const hole = world.port.readFile("d/a", 3001).subarray(bytes.length, 3000);
      expect(hole.every((byte) => byte === 0)).toBe(true);
      expectBytes(world.disk.platterBytesOf("d/a"), world.disk.bytesOf("d/a"));
    }

    expect(sizes.has(100) && sizes.has(2100)).toBe(true);
  });

  test("after a failed sync some sectors are on the platter, the cache shows all, and no later sync writes the others", () => {
    let kept = 0;
    for (let seed = 0; seed < 20; seed += 1) {
      const world = newWorld(seed);
      const file = prefilled(world, "d/a", 16 * sector);
      world.disk.failSyncs(/d\/a/, 1);
      expect(write(world, file, 0, pattern(8 * sector, 1))).toMatchObject({ code: "failed" });
      expectBytes(world.disk.bytesOf("d/a").subarray(0, 8 * sector), pattern(8 * sector, 1));
      world.port.openFile("d/a", "existing").syncNow();
      cutAndStart(world);
      const bytes = world.port.readFile("d/a", 16 * sector);
      for (let at = 0; at < 8; at += 1) if (bytes[at * sector] !== 0) kept += 1;
    }

    expect(kept).toBeGreaterThan(50);
    expect(kept).toBeLessThan(110);
  });

  test("a failed sync of start-up throws, of an atomic write too, which leaves the old content", () => {
    const world = newWorld(1);
    const file = prefilled(world, "d/a", 100);
    world.port.writeFileAtomically("d/b", pattern(10, 1));
    world.disk.failSyncs(/d\/[ab]$/, 2);
    file.writeNow(0, pattern(10, 1));

    expect(codeOf(() => file.syncNow())).toBe("failed");
    expect(codeOf(() => world.port.writeFileAtomically("d/b", pattern(10, 2)))).toBe("failed");
    expectBytes(world.port.readFile("d/b", 10), pattern(10, 1));
    world.disk.failSyncs(/^d$/, 1);
    expect(codeOf(() => world.port.syncDirectory("d"))).toBe("failed");
    expect(codeOf(() => world.port.syncDirectory("d"))).toBeUndefined();
  });
});
