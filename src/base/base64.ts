/** Base64 (RFC 4648) without any platform's help. Owns: writing; who reads it has a platform. */
import { decodeUtf8 } from "./bytes.js";

const letters = Uint8Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", (letter) =>
  letter.charCodeAt(0),
);
const padding = "=".charCodeAt(0);

/** As the bytes of its letters. */
export function base64Bytes(bytes: Uint8Array): Uint8Array {
  const written = new Uint8Array(4 * Math.ceil(bytes.length / 3)).fill(padding);
  const letter = (bits: number): number => letters[bits & 63] ?? 0;
  for (let at = 0, to = 0; at < bytes.length; at += 3, to += 4) {
    const three = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    written[to] = letter(three >> 18);
    written[to + 1] = letter(three >> 12);
    if (at + 1 < bytes.length) written[to + 2] = letter(three >> 6);
    if (at + 2 < bytes.length) written[to + 3] = letter(three);
  }
  return written;
}

export function base64Text(bytes: Uint8Array): string {
  return decodeUtf8(base64Bytes(bytes)) ?? "";
}
