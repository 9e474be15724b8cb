import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concatBytes } from "../../../src/base/bytes.js";
import { EncodedCommand, keyOf, type Request } from "../../../src/model/request.js";
import { requestLimits } from "../../../src/model/request-limits.js";
import {
  decodeAttributed,
  decodeBatch,
  encodeAttributedBatch,
  decodeRequest,
  encodeBatch,
  encodeRequest,
  peekRequest,
} from "../../../src/wire/request-codec.js";
import { command, keepAlive, numberOf, resolve, sessionOf } from "../../../test-support/order.js";
import { anyRequest } from "../../../test-support/arbitrary-requests.js";

describe("requests", () => {
  test("every request comes back as it went, and is named by the same key", () => {
    fc.assert(
      fc.property(anyRequest, (request) => {
        const bytes = encodeRequest(request);

        expect(decodeRequest(bytes)).toEqual(request);
        expect(peekRequest(bytes)).toEqual(keyOf(request));
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  test("whatever decodes has exactly one form: it encodes to the same bytes", () => {
    fc.assert(
      fc.property(anyRequest, fc.nat(), fc.nat({ max: 255 }), (request, at, value) => {
        const bytes = encodeRequest(request);
        bytes[at % bytes.length] = value;
        const decoded = decodeRequest(bytes);

        if (decoded !== undefined) expect(encodeRequest(decoded)).toEqual(bytes);
        expect(peekRequest(bytes) === undefined).toBe(decoded === undefined);
      }),
      { seed: 2, numRuns: 1000 },
    );
  });

  test("no foreign bytes make a decoder throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        decodeRequest(bytes);
        peekRequest(bytes);
        decodeBatch(bytes);
      }),
      { seed: 3, numRuns: 2000 },
    );
  });

  test("every cut of a request, and every request with a byte too many, is refused", () => {
    const idempotency = { principal: "p", key: "k", digest: new Uint8Array(32).fill(7) };
    const bytes = encodeRequest(command(sessionOf(3), 300, "abc", { idempotency }));

    for (let length = 0; length < bytes.length; length += 1) {
      expect(decodeRequest(bytes.subarray(0, length))).toBeUndefined();
    }
    expect(decodeRequest(concatBytes([bytes, new Uint8Array(1)]))).toBeUndefined();
  });

  test("a request that claims replies to itself is refused", () => {
    const bytes = encodeRequest(command(sessionOf(1), 5, "x", { acknowledgedBelow: 6 }));

    expect(decodeRequest(bytes)).toBeUndefined();
    expect(decodeRequest(encodeRequest(command(sessionOf(1), 5, "x", { acknowledgedBelow: 5 })))).toBeDefined();
  });

  test("session 0 and number 0 do not exist", () => {
    expect(decodeRequest(new Uint8Array([5, 0]))).toBeUndefined();
    expect(decodeRequest(new Uint8Array([3, 1, 0]))).toBeUndefined();
    expect(decodeRequest(new Uint8Array([3, 1, 1]))).toEqual(resolve(sessionOf(1), 1));
  });

  test("numbers up to 2^53 - 1 are kept exactly, larger ones refused (hazard F8)", () => {
    const largest = Number.MAX_SAFE_INTEGER;
    const bytes = encodeRequest(keepAlive(sessionOf(largest), largest));
    const larger = bytes.slice();
    larger[bytes.length - 1] = 0x1f;

    expect(decodeRequest(bytes)).toEqual(keepAlive(sessionOf(largest), largest));
    expect(decodeRequest(larger)).toBeUndefined();
  });

  test("a name, nonce, principal or key beyond its limit is refused, one at the limit taken (threat 5)", () => {
    const open = (nonce: number, principal: number): Request => ({
      kind: "open",
      nonce: "n".repeat(nonce),
      principal: "p".repeat(principal),
    });
    const { nonceBytesMax, principalBytesMax, nameBytesMax } = requestLimits;
    const named = (length: number) => command(sessionOf(1), 1, "", { name: "n".repeat(length) });

    expect(decodeRequest(encodeRequest(open(nonceBytesMax, principalBytesMax)))).toBeDefined();
    expect(decodeRequest(encodeRequest(open(nonceBytesMax + 1, 1)))).toBeUndefined();
    expect(decodeRequest(encodeRequest(open(1, principalBytesMax + 1)))).toBeUndefined();
    expect(decodeRequest(encodeRequest(named(nameBytesMax)))).toBeDefined();
    expect(decodeRequest(encodeRequest(named(nameBytesMax + 1)))).toBeUndefined();
  });

  test("a request beyond its limit in bytes is refused", () => {
    expect(decodeRequest(new Uint8Array(requestLimits.requestBytesMax + 1))).toBeUndefined();
  });
});

describe("batches", () => {
  test("a batch gives its requests in their order", () => {
    fc.assert(
      fc.property(fc.array(anyRequest, { maxLength: 20 }), (requests) => {
        expect(decodeBatch(encodeBatch(requests.map(encodeRequest)))).toEqual(requests);
      }),
      { seed: 4, numRuns: 100 },
    );
  });

  test("a batch of whatever `peekRequest` takes always decodes, so no client can halt the replicas", () => {
    fc.assert(
      fc.property(anyRequest, fc.nat(), fc.nat({ max: 255 }), (request, at, value) => {
        const bytes = encodeRequest(request);
        bytes[at % bytes.length] = value;

        if (peekRequest(bytes) !== undefined) expect(decodeBatch(encodeBatch([bytes]))).toHaveLength(1);
      }),
      { seed: 5, numRuns: 1000 },
    );
  });

  test("a batch with a lying count, length or version is refused before anything is made of it (threat 5)", () => {
    const bytes = encodeBatch([encodeRequest({ kind: "close", session: sessionOf(1) })]);
    const changed = (at: number, value: number) => {
      const copy = bytes.slice();
      copy[at] = value;
      return copy;
    };

    expect(decodeBatch(bytes)).toHaveLength(1);
    expect(decodeBatch(changed(0, 2))).toBeUndefined();
    expect(decodeBatch(changed(1, 2))).toBeUndefined();
    expect(decodeBatch(changed(1, 0))).toBeUndefined();
    expect(decodeBatch(changed(2, 3))).toBeUndefined();
    expect(decodeBatch(changed(2, 1))).toBeUndefined();
    expect(decodeBatch(new Uint8Array([1, 0xff, 0xff, 0xff, 0x7f]))).toBeUndefined();
  });

  test("a batch of signed requests gives each its signer, and groups may be empty", () => {
    const group = fc.record({ signer: fc.string({ maxLength: 60 }), requests: fc.array(anyRequest, { maxLength: 4 }) });
    fc.assert(
      fc.property(fc.array(group, { maxLength: 6 }), (groups) => {
        const bytes = encodeAttributedBatch(
          groups.map(({ signer, requests }) => ({ signer, requests: requests.map(encodeRequest) })),
        );

        expect(decodeBatch(bytes)).toEqual(groups.flatMap(({ requests }) => requests));
        expect(decodeAttributed(bytes, (each) => new EncodedCommand(each))?.signers).toEqual(
          groups.flatMap(({ signer, requests }) => requests.map(() => signer)),
        );
      }),
      { seed: 6, numRuns: 200 },
    );
  });

  test("nobody signed the requests of another batch", () => {
    const bytes = encodeBatch([encodeRequest({ kind: "close", session: sessionOf(1) })]);

    expect(decodeAttributed(bytes, (each) => new EncodedCommand(each))).toMatchObject({ signers: undefined });
  });

  test("the groups of a batch are counted together", () => {
    const { batchCountMax } = requestLimits;
    const close = encodeRequest({ kind: "close", session: sessionOf(1) });
    const half = { signer: "x", requests: Array.from({ length: batchCountMax / 2 }, () => close) };

    expect(decodeBatch(encodeAttributedBatch([half, half]))).toHaveLength(batchCountMax);
    expect(decodeBatch(encodeAttributedBatch([half, half, { signer: "x", requests: [close] }]))).toBeUndefined();
    expect(decodeBatch(new Uint8Array([3, 0xff, 0xff, 0xff, 0x7f]))).toBeUndefined();
  });

  test("names such as __proto__ are plain data (threat 7)", () => {
    const request = command(sessionOf(1), 1, "", { name: "__proto__" });

    expect(decodeRequest(encodeRequest(request))).toEqual(request);
    expect(numberOf(1)).toBe(1);
  });
});
