import fc from "fast-check";
import { expect, test } from "vitest";

import { decodeHandshake, encodeHandshake, handshakeRefusals, type Handshake } from "../../../src/wire/handshake.js";
import { i, t } from "../../../test-support/raft-core.js";

const seed = 20261123;
const count = fc.nat(1 << 20);
const text = fc.string({ maxLength: 20 });

const configuration = fc.record({ index: count.map(i), term: count.map(t) });

const found = fc.record({ starts: count, term: count.map(t), lastIndex: count.map(i) });

const anyHandshake: fc.Arbitrary<Handshake> = fc.oneof(
  fc.record({
    kind: fc.constant("hello" as const),
    protocol: count,
    role: fc.constantFrom("replica" as const, "client" as const),
    clusterId: text,
    from: text,
    to: text,
    incarnation: count,
    process: text,
    machine: text,
    machineVersion: count,
    foundation: text,
    found,
    configuration,
    credential: fc.uint8Array({ maxLength: 16 }),
  }),
  fc.record({
    kind: fc.constant("welcome" as const),
    protocol: count,
    clusterId: text,
    from: text,
    incarnation: count,
    process: text,
    machine: text,
    machineVersion: count,
    foundation: text,
    found,
    configuration,
  }),
  fc.record({
    kind: fc.constant("welcome" as const),
    protocol: count,
    clusterId: text,
    from: text,
    incarnation: count,
    process: text,
    machine: text,
    machineVersion: count,
    foundation: text,
    found,
    configuration,
    credential: fc.uint8Array({ minLength: 1, maxLength: 100 }),
  }),
  fc.record({ kind: fc.constant("proof" as const), signature: fc.uint8Array({ maxLength: 70 }) }),
  fc.record({ kind: fc.constant("refused" as const), code: fc.constantFrom(...handshakeRefusals), message: text }),
);

test("every handshake message reads back", () => {
  fc.assert(
    fc.property(anyHandshake, (message) => {
      expect(decodeHandshake(encodeHandshake(message))).toEqual(message);
    }),
    { seed },
  );
});

test("foreign bytes, cut bytes and bytes too many give nothing, and never throw", () => {
  fc.assert(
    fc.property(anyHandshake, fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.nat(), (message, garbage, cut) => {
      const bytes = encodeHandshake(message);
      expect(decodeHandshake(garbage)).toBeUndefined();
      expect(decodeHandshake(bytes.subarray(0, cut % bytes.length))).toBeUndefined();
      expect(decodeHandshake(Buffer.concat([bytes, garbage]))).toBeUndefined();
    }),
    { seed },
  );
});
