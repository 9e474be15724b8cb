import { expect, test } from "vitest";
import { base64Bytes, base64Text } from "../../../src/base/base64.js";
import { encodeUtf8 } from "../../../src/base/bytes.js";

test("bytes of every length are written as the platform writes them", () => {
  for (let length = 0; length <= 40; length += 1) {
    const bytes = Uint8Array.from({ length }, (_, at) => (at * 97 + length * 31) & 255);
    const expected = Buffer.from(bytes).toString("base64");
    expect(base64Text(bytes)).toBe(expected);
    expect(base64Bytes(bytes)).toEqual(encodeUtf8(expected));
  }
});
