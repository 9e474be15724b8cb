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
