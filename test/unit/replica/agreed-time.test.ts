import { expect, test } from "vitest";

import { AgreedTimeSource } from "../../../src/replica/agreed-time.js";
import { DueTime } from "../../../src/replica/due-time.js";

const noon = 1_700_000_000_000;
const hour = 3_600_000;

test("F9: a leader whose clock is an hour ahead moves agreed time by what has passed, not by an hour", () => {
  const source = new AgreedTimeSource(0);
  source.observe(noon, 0);

  expect(source.offer(noon + hour, 10_000)).toBeLessThanOrEqual(noon + 10_000 * 1.05 + 500);
});

test("F9: a clock that jumps after days of leading moves agreed time no faster than one that jumps at once", () => {
  const source = new AgreedTimeSource(0);
  source.observe(noon, 0);
  for (let passed = 0; passed <= 48 * hour; passed += 60_000) source.offer(noon + passed, passed);

  expect(source.offer(noon + 49 * hour, 48 * hour + 10_000)).toBeLessThanOrEqual(
    noon + 48 * hour + 10_000 * 1.05 + 500,
  );
});

test("a group that is an hour behind follows the wall clock by five per cent until it has caught up", () => {
  const source = new AgreedTimeSource(0);
  source.observe(noon - hour, 0);
  const offerAt = (passed: number): number => source.offer(noon + passed, passed);

  expect(offerAt(hour)).toBe(noon - hour + hour * 1.05 + 500);
  for (let passed = hour; passed <= 21 * hour; passed += 60_000) offerAt(passed);
  expect(offerAt(21 * hour)).toBe(noon + 21 * hour);
});

test("a clock that went back for an hour is believed again as soon as it is right", () => {
  const source = new AgreedTimeSource(0);
  source.observe(noon, 0);
  for (let passed = 0; passed <= hour; passed += 60_000) source.offer(noon + passed - hour, passed);

  expect(source.offer(noon + hour, hour)).toBe(noon + hour);
});

test("agreed time never goes back, whatever the wall clock does", () => {
  const source = new AgreedTimeSource(noon);
  const offers = [noon + 5, noon - hour, noon + 3, noon + 20].map((wall, at) => source.offer(wall, at * 5));

  expect(offers).toEqual([...offers].sort((a, b) => a - b));
  expect(offers[0]).toBe(noon + 5);
});

test("after a start the wall clock is believed, since nobody knows how long the group was down", () => {
  expect(new AgreedTimeSource(noon).offer(noon + 10 * hour, 0)).toBe(noon + 10 * hour);
});

test("an idle hour under one leader is an hour of agreed time", () => {
  const source = new AgreedTimeSource(0);
  source.observe(noon, 0);

  expect(source.offer(noon + hour, hour)).toBe(noon + hour);
});

test("an entry is asked for once when something is due, and again only a second later if agreed time could not follow", () => {
  const due = new DueTime();

  expect(due.isDue(undefined, noon, 0)).toBe(false);
  expect(due.isDue(noon + 1, noon, 0)).toBe(false);
  expect(due.isDue(noon, noon, 0)).toBe(true);
  expect(due.isDue(noon, noon, 10)).toBe(false);
  expect(due.isDue(noon, noon + 1000, 1010)).toBe(true);
  expect(due.isDue(noon + 7, noon + 1010, 1020)).toBe(true);
});
