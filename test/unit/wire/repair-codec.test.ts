import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { EntryKind } from "../../../src/model/entry.js";
import type { RepairMessage } from "../../../src/model/repair.js";
import { decodeRepairMessage, encodeRepairMessage } from "../../../src/wire/repair-codec.js";
import { nameOf, indexOf, textEntry } from "../../../test-support/repair-group.js";
import { rawEntry } from "../../../test-support/order.js";

const kinds: readonly EntryKind[] = ["noop", "batch", "time", "configuration", "report", "version", "checkpoint"];

const messages: readonly RepairMessage[] = [
  { kind: "repairRequest", wanted: nameOf(textEntry(7)) },
  { kind: "repairAbsent", index: indexOf(300) },
  ...kinds.map((kind): RepairMessage => ({
    kind: "repairReply",
    entry: rawEntry(9, 2 ** 45, { kind, payload: new Uint8Array([1, 2]) }),
  })),
];

test("every message comes back as it went", () => {
  for (const message of messages) expect(decodeRepairMessage(encodeRepairMessage(message))).toEqual(message);
});

test("every cut of a message is refused, and one with a byte too many", () => {
  for (const message of messages) {
    const bytes = encodeRepairMessage(message);
    for (let length = 0; length < bytes.length; length += 1) {
      expect(decodeRepairMessage(bytes.subarray(0, length))).toBeUndefined();
    }
    expect(decodeRepairMessage(new Uint8Array([...bytes, 0]))).toBeUndefined();
  }
});

test("no foreign bytes make the decoder throw, and what it takes has one form", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(1, 2, 3), (bytes, kind) => {
      const foreign = new Uint8Array([kind, ...bytes]);
      const message = decodeRepairMessage(foreign);
      if (message !== undefined) expect(encodeRepairMessage(message)).toEqual(foreign);
    }),
    { seed: 1, numRuns: 2000 },
  );
});
