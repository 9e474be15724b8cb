/** What one replica's host tells another's, byte for byte, and what is no such message. */
import { expect, test } from "vitest";
import { logIndex } from "../../../src/model/ids.js";
import { decodeHostMessage, encodeHostMessage, type HostMessage } from "../../../src/wire/host-codec.js";

const index = (value: number) => logIndex(value) ?? (0 as never);

const messages: readonly HostMessage[] = [
  { kind: "requests", requests: [Uint8Array.of(1, 2), Uint8Array.of(3)] },
  { kind: "report", report: Uint8Array.of(4, 5) },
  { kind: "accusation", accusation: { incarnation: 7, to: index(300), at: index(70_000), isSpared: true } },
  { kind: "accusation", accusation: { incarnation: 1, to: index(3), at: index(4), isSpared: false } },
  {
    kind: "refused",
    message: { kind: "requestRefused", key: { kind: "open", nonce: "n" }, refusal: { code: "QUARANTINED" } },
  },
];

test.each(messages)("$kind comes back as it was", (message) => {
  expect(decodeHostMessage(encodeHostMessage(message))).toEqual(message);
});

test("an accusation that is cut short or longer than it is, and an unknown kind, are no messages", () => {
  const accusation = { incarnation: 7, to: index(300), at: index(70_000), isSpared: true };
  const bytes = encodeHostMessage({ kind: "accusation", accusation });
  for (let length = 0; length < bytes.length; length += 1)
    expect(decodeHostMessage(bytes.slice(0, length))).toBeUndefined();
  expect(decodeHostMessage(Uint8Array.of(...bytes, 0))).toBeUndefined();
  expect(decodeHostMessage(Uint8Array.of(99, 1, 2))).toBeUndefined();
});
