import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { Reply } from "../../../src/model/request.js";
import { decodeReply, encodeReply } from "../../../src/wire/reply-codec.js";
import { anyReply } from "../../../test-support/arbitrary-requests.js";

test("every reply comes back as it went", () => {
  fc.assert(
    fc.property(anyReply, (reply) => {
      expect(decodeReply(encodeReply(reply))).toEqual(reply);
    }),
    { seed: 1, numRuns: 500 },
  );
});

test("whatever decodes has exactly one form: it encodes to the same bytes", () => {
  fc.assert(
    fc.property(anyReply, fc.nat(), fc.nat({ max: 255 }), (reply, at, value) => {
      const bytes = encodeReply(reply);
      bytes[at % bytes.length] = value;
      const decoded = decodeReply(bytes);

      if (decoded !== undefined) expect(encodeReply(decoded)).toEqual(bytes);
    }),
    { seed: 2, numRuns: 1000 },
  );
});

test("no foreign bytes make the decoder throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 48 }), (bytes) => {
      decodeReply(bytes);
    }),
    { seed: 3, numRuns: 2000 },
  );
});

test("a resolution within a resolution does not exist, however deep it is nested (threat 6)", () => {
  const inner: Reply = { status: "resolved", outcome: { kind: "executed", reply: { status: "alive" } } };
  const nested = new Uint8Array(10_000).fill(1);
  for (let at = 0; at < nested.length; at += 2) nested[at] = 6;

  expect(decodeReply(encodeReply(inner))).toEqual(inner);
  expect(decodeReply(encodeReply({ status: "resolved", outcome: { kind: "executed", reply: inner } }))).toBeUndefined();
  expect(decodeReply(nested)).toBeUndefined();
});
