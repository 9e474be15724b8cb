/** Hazards D3, D9, D10, D11: damaged entries whose names survive are fetched from peers, or the group halts and says where. */
import { expect, test } from "vitest";
import { indexOf, repairGroup, textEntry } from "../../test-support/repair-group.js";

// One bit of record 50 of 100 had flipped; later records showed that it was no torn tail.
test("D3: a damaged entry comes back from a peer, byte for byte", () => {
  const group = repairGroup(100, { a: [50], b: [], c: [] });
  expect(group.of("a").repair.firstDamaged).toBe(50);

  group.run(200);

  expect(group.of("a").entries.get(50)).toEqual(textEntry(50));
  expect(group.of("a").repair.firstDamaged).toBeUndefined();
  expect(group.of("a").repair.status).toMatchObject({ damaged: 0, repaired: 1, unavailable: [] });
});

test("D10: every replica is damaged in a different place, and all are repaired from each other", () => {
  const group = repairGroup(30, { a: [1, 5, 9, 20], b: [2, 6, 21], c: [3, 7, 8, 22, 30] });

  group.run(2000);

  for (const id of ["a", "b", "c"]) {
    expect(group.of(id).repair.firstDamaged).toBeUndefined();
    for (let index = 1; index <= 30; index += 1) expect(group.of(id).entries.get(index)).toEqual(textEntry(index));
  }
});

test("D11: an entry that is damaged everywhere is named as unavailable, nothing is executed past it, the others are repaired", () => {
  const group = repairGroup(60, { a: [50, 51], b: [50], c: [50] });

  group.run(5000);

  for (const id of ["a", "b", "c"]) {
    expect(group.of(id).repair.firstDamaged).toBe(50);
    expect(group.of(id).repair.status.unavailable).toEqual([50]);
  }
  expect(group.of("a").entries.get(51)).toEqual(textEntry(51));
  expect(group.reports.sort()).toEqual(["a: 50", "b: 50", "c: 50"]);
});

test("D11: many unavailable entries do not keep the others from being repaired", () => {
  const lost = Array.from({ length: 20 }, (_, at) => at + 1);
  const group = repairGroup(40, { a: [...lost, 40], b: lost, c: lost });

  group.run(5000);

  expect(group.of("a").entries.get(40)).toEqual(textEntry(40));
  expect(group.of("a").repair.status).toMatchObject({ damaged: 20, repaired: 1 });
  expect(group.of("a").repair.status.unavailable).toHaveLength(16);
});

test("a peer that was away and holds the only copy is asked again when it is back", () => {
  const group = repairGroup(10, { a: [5], b: [5], c: [] });
  group.cut.add("c");
  group.run(20_000);
  expect(group.of("a").repair.firstDamaged).toBe(5);
  expect(group.of("a").sent).toBeLessThan(60);

  group.cut.clear();
  group.run(5000);

  for (const id of ["a", "b"]) expect(group.of(id).entries.get(5)).toEqual(textEntry(5));
});

// The peer's memory flips a bit on the way out: the checksum in the name decides, not who says it.
test("D9: a wrong copy from one peer is refused, and the right one taken from another", () => {
  const group = repairGroup(10, { a: [3, 5, 7, 9], b: [], c: [] });
  group.corrupt = (from, payload) => {
    const copy = payload.slice();
    if (from === "b") copy[copy.length - 1] = (copy.at(-1) ?? 0) ^ 1;
    return copy;
  };

  group.run(5000);

  for (const index of [3, 5, 7, 9]) expect(group.of("a").entries.get(index)).toEqual(textEntry(index));
  expect(group.of("a").repair.firstDamaged).toBeUndefined();
  expect(group.of("a").repair.status.wrongReplies).toBeGreaterThan(0);
});

test("a replica alone names what it lost at once", () => {
  const group = repairGroup(10, { a: [5] });

  group.run(100);

  expect(group.of("a").repair.status).toMatchObject({ damaged: 1, unavailable: [indexOf(5)] });
});
