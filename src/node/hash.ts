/**
 * The `Hash` port over the operating system's libraries: CRC-32 from zlib, SHA-256 from OpenSSL.
 *
 * Owns: nothing but the adaptation. Called by whoever joins the parts of a process.
 */
import { hash } from "node:crypto";
import { crc32 } from "node:zlib";
import type { Hash } from "../ports/hash.js";

export const nodeHash: Hash = {
  // zlib takes an empty array whose buffer was never made, or came from another thread, for none at all, and forgets `previous`.
  crc32: (bytes, previous = 0) => (bytes.length === 0 ? previous : crc32(bytes, previous)),
  crc32Within: (bytes, from, to) => crc32(bytes.subarray(from, to)),
  sha256: (bytes) => hash("sha256", bytes, "buffer"),
};
