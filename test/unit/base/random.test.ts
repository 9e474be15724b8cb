import { expect, test } from "vitest";

import { nextBetween, nextFraction, nextUint32, randomStream } from "../../../src/base/random.js";

test("a seed and a name give the same draws again", () => {
  const draws = () => {
    const random = randomStream(7, "elections");
    return [nextUint32(random), nextUint32(random), nextBetween(random, 1, 6)];
  };

  expect(draws()).toEqual(draws());
});

test("streams of one seed differ by name, and seeds beyond 32 bits differ", () => {
  const first = (seed: number, name: string) => nextUint32(randomStream(seed, name));

  expect(new Set([first(7, "a"), first(7, "b"), first(7 + 2 ** 40, "a"), first(8, "a")]).size).toBe(4);
});

test("draws spread over their range and stay within it", () => {
  const random = randomStream(1, "spread");
  const counts = new Array<number>(10).fill(0);
  for (let draw = 0; draw < 20_000; draw += 1) {
    const fraction = nextFraction(random);
    expect(fraction >= 0 && fraction < 1).toBe(true);
    const face = nextBetween(random, 0, 9);
    counts[face] = (counts[face] ?? 0) + 1;
  }

  expect(Math.min(...counts)).toBeGreaterThan(1800);
  expect(Math.max(...counts)).toBeLessThan(2200);
});
