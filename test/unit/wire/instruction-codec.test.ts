/** Instructions between replicas: what is encoded is decoded, and foreign bytes are nothing. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { instructionRefusals } from "../../../src/model/instruction.js";
import {
  decodeInstructionMessage,
  encodeInstructionMessage,
  type InstructionMessage,
} from "../../../src/wire/instruction-codec.js";

const placed = { id: "d", peer: "h:1", client: "h:2" };
const added = { ...placed, kind: "add" } as const;

test("what is encoded is decoded to the same", () => {
  const messages: readonly InstructionMessage[] = [
    { kind: "instruct", id: 1, instruction: { kind: "transfer", to: "b" } },
    { kind: "instruct", id: 2, instruction: { kind: "transfer", to: undefined } },
    { kind: "instruct", id: 4, instruction: { kind: "change", change: { ...added, role: "joining" } } },
    { kind: "instruct", id: 5, instruction: { kind: "change", change: { ...added, role: "learner" } } },
    { kind: "instruct", id: 6, instruction: { kind: "change", change: { ...placed, kind: "replace" } } },
    { kind: "instruct", id: 7, instruction: { kind: "change", change: { kind: "promote", id: "d" } } },
    { kind: "instruct", id: 8, instruction: { kind: "change", change: { kind: "remove", id: "d" } } },
    {
      kind: "instruct",
      id: 9,
      instruction: {
        kind: "change",
        change: {
          kind: "several",
          changes: [
            { ...added, role: "joining" },
            { kind: "remove", id: "a" },
          ],
        },
      },
    },
    ...(["done", "unknown", ...instructionRefusals] as const).map(
      (outcome) => ({ kind: "instructed", id: 3, outcome }) as const,
    ),
  ];
  for (const message of messages) expect(decodeInstructionMessage(encodeInstructionMessage(message))).toEqual(message);
});

test("bytes of anybody give a message or nothing, never an exception", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const message = decodeInstructionMessage(bytes);
      if (message !== undefined) expect(decodeInstructionMessage(encodeInstructionMessage(message))).toEqual(message);
    }),
  );
});
