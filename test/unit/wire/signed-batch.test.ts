/** Batches of signed requests: what they hold is named by its content, and only what the executor takes gets a place in the order. */
import { describe, expect, test } from "vitest";
import type { Proposal } from "../../../src/model/entry.js";
import type { Request } from "../../../src/model/request.js";
import { nodeHash } from "../../../src/node/hash.js";
import { decodeBatch, encodeRequest } from "../../../src/wire/request-codec.js";
import { keyNameOf } from "../../../src/wire/key-name.js";
import {
  batchOf,
  decodeBundle,
  encodeBundle,
  encodeBundleBody,
  encodeBundles,
  plainBatch,
  type BatchLimits,
} from "../../../src/wire/signed-batch.js";

const limits: BatchLimits = { batchBytesMax: 10_000, batchRequestsMax: 4 };
const key = new Uint8Array(32).fill(9);
const client = keyNameOf(key);
const command = (number: number, input = "x"): Request => ({
  ...{ kind: "command", session: 1 as never, number: number as never, acknowledgedBelow: 1 as never, name: "add" },
  ...{ input: new TextEncoder().encode(input), idempotency: undefined },
});

function bundleOf(requests: readonly Request[], options: { key?: Uint8Array; under?: number } = {}): Uint8Array {
  const body = encodeBundleBody(options.key ?? key, requests.map(encodeRequest));
  return encodeBundle(new Uint8Array(64).fill(options.under ?? 1), body);
}

const proposalOf = (bundles: readonly Uint8Array[]): Proposal => ({
  kind: "batch",
  time: 100,
  payload: encodeBundles(bundles),
});

describe("a bundle", () => {
  test("is named by its client's key and by what was signed, whatever the signature (hazard B19)", () => {
    const one = decodeBundle(bundleOf([command(1), command(2)]), limits, nodeHash);
    const again = decodeBundle(bundleOf([command(1), command(2)], { under: 2 }), limits, nodeHash);
    const other = decodeBundle(bundleOf([command(1), command(3)]), limits, nodeHash);

    expect(one?.name.client).toBe(`ed25519:${"09".repeat(32)}`);
    expect(again?.name).toEqual(one?.name);
    expect(other?.name.id).not.toBe(one?.name.id);
  });

  test("of another client is another, with the same requests too", () => {
    const others = new Uint8Array(32).fill(8);
    const one = decodeBundle(bundleOf([command(1)]), limits, nodeHash);
    const other = decodeBundle(bundleOf([command(1)], { key: others }), limits, nodeHash);

    expect(other?.name.id).not.toBe(one?.name.id);
  });

  test("opens sessions in its own client's name only", () => {
    const open = (principal: string): Request => ({ kind: "open", nonce: "n", principal });
    expect(decodeBundle(bundleOf([open(client)]), limits, nodeHash)).toBeDefined();
    expect(decodeBundle(bundleOf([open(`${client}/door:http`)]), limits, nodeHash)).toBeDefined();
    expect(decodeBundle(bundleOf([open("")]), limits, nodeHash)).toBeUndefined();
    expect(decodeBundle(bundleOf([open(`${client}0`)]), limits, nodeHash)).toBeUndefined();
  });

  test("has requests, not too many, and of a form that the executor takes", () => {
    expect(decodeBundle(bundleOf([]), limits, nodeHash)).toBeUndefined();
    expect(decodeBundle(bundleOf([1, 2, 3, 4].map((number) => command(number))), limits, nodeHash)).toBeDefined();
    expect(decodeBundle(bundleOf([1, 2, 3, 4, 5].map((number) => command(number))), limits, nodeHash)).toBeUndefined();
    const junk = encodeBundle(new Uint8Array(64), encodeBundleBody(key, [Uint8Array.of(2, 0)]));
    expect(decodeBundle(junk, limits, nodeHash)).toBeUndefined();
  });

  test("that was admitted fits into a payload", () => {
    const room = limits.batchBytesMax - bundleOf([command(1, "")]).length;
    let longest: Uint8Array | undefined;
    for (let length = room - 20; length <= room; length += 1) {
      const bytes = bundleOf([command(1, "x".repeat(length))]);
      if (decodeBundle(bytes, limits, nodeHash) !== undefined) longest = bytes;
    }
    if (longest === undefined) throw new Error("some length is within the limit");

    expect(batchOf(proposalOf([longest]), limits, nodeHash)).toBeDefined();
  });
});

describe("a batch", () => {
  test("has one name for each bundle, and the executor gets the requests in their order", () => {
    const bundles = [bundleOf([command(1), command(2)]), bundleOf([command(3)])];
    const batch = batchOf(proposalOf(bundles), limits, nodeHash);

    expect(batch?.requests).toEqual(bundles.map((bytes) => decodeBundle(bytes, limits, nodeHash)?.name));
    expect(decodeBatch(plainBatch(encodeBundles(bundles)))).toEqual([command(1), command(2), command(3)]);
  });

  test("counts the requests of all its bundles", () => {
    const two = bundleOf([command(1), command(2)]);
    const one = bundleOf([command(3)]);

    expect(batchOf(proposalOf([two, two]), limits, nodeHash)).toBeDefined();
    expect(batchOf(proposalOf([two, two, one]), limits, nodeHash)).toBeUndefined();
    expect(batchOf(proposalOf([]), limits, nodeHash)).toBeUndefined();
  });

  test("is another one at another time, or of another kind", () => {
    const digests = [
      proposalOf([bundleOf([command(1)])]),
      { ...proposalOf([bundleOf([command(1)])]), time: 101 },
      { kind: "time", time: 100, payload: new Uint8Array(0) } as const,
      { kind: "checkpoint", time: 100, payload: new Uint8Array(0) } as const,
    ].map((proposal) => batchOf(proposal, limits, nodeHash)?.digest);

    expect(digests).not.toContain(undefined);
    expect(new Set(digests).size).toBe(4);
  });

  test("that speaks for replicas which did not sign it has no place in the order", () => {
    for (const kind of ["configuration", "report", "version"] as const) {
      expect(batchOf({ kind, time: 1, payload: new Uint8Array(0) }, limits, nodeHash)).toBeUndefined();
    }
    expect(batchOf({ kind: "time", time: 1, payload: Uint8Array.of(1) }, limits, nodeHash)).toBeUndefined();
    expect(batchOf({ kind: "noop", time: 1, payload: new Uint8Array(0) }, limits, nodeHash)).toBeUndefined();
  });

  test("of unsigned requests is refused", () => {
    const payload = Uint8Array.of(1, 0);

    expect(batchOf({ kind: "batch", time: 1, payload }, limits, nodeHash)).toBeUndefined();
  });
});
