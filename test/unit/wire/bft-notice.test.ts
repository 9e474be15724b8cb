/** Notices of requests that have come: names alone, as many as a turn brings. */
import { expect, test } from "vitest";
import { decodeNotice, encodeNotice } from "../../../src/wire/bft-notice.js";

const idOf = (number: number): string => number.toString(16).padStart(64, "0");
const ids = (count: number): string[] => Array.from({ length: count }, (_, at) => idOf(at));

test("names come back in their order, and no more than fit", () => {
  expect(decodeNotice(encodeNotice(ids(3)))).toEqual(ids(3));
  expect(decodeNotice(encodeNotice(ids(1_025)))).toEqual(ids(1_024));
});

test("what is no list of names is refused", () => {
  const bytes = encodeNotice(ids(2));
  for (const length of [0, 1, 31, 63]) expect(decodeNotice(bytes.subarray(0, length))).toBeUndefined();
  expect(decodeNotice(new Uint8Array(32 * 1_025))).toBeUndefined();
});
