/**
 * Reading texts and byte strings whose length comes from outside: the limit is checked before anything is made.
 *
 * Owns: the helpers that every codec of requests and replies shares. A length beyond its limit fails the reader.
 */
import type { ByteReader } from "../base/bytes.js";

const none = new Uint8Array(0);

export function readText(reader: ByteReader, bytesMax: number): string {
  return reader.text(bytesMax);
}

/** As `readText`, of one that was probably read before. */
export function readName(reader: ByteReader, bytesMax: number): string {
  return reader.name(bytesMax);
}

/** A view, not a copy. */
export function readBytes(reader: ByteReader, bytesMax: number): Uint8Array {
  const length = reader.varint();
  if (length <= bytesMax) return reader.raw(length);
  reader.fail();
  return none;
}

/** Takes what `readText` takes, and makes nothing. */
export function skipText(reader: ByteReader, bytesMax: number): void {
  const length = reader.varint();
  if (length > bytesMax) reader.fail();
  else reader.skipUtf8(length);
}

/** Takes what `readBytes` takes, and makes nothing; answers how many there were. */
export function skipBytes(reader: ByteReader, bytesMax: number): number {
  const length = reader.varint();
  if (length > bytesMax) reader.fail();
  else reader.skip(length);
  return length;
}
