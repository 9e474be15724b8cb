/**
 * Reading and writing bytes: little-endian fixed numbers, LEB128 variable-length unsigned numbers, text.
 *
 * Owns: growth of an output buffer, bounds of an input one. A reader never throws on foreign bytes: past the end it answers
 * zeros and `failed` turns true, so a decoder reads a whole message and checks once. Called by every codec.
 */
import { invariant } from "./invariant.js";
import { giveBack, takePart } from "./slab.js";
import { readName, readUtf8, utf8Length, writeUtf8, writeAscii } from "./utf8.js";

const emptyBytes = new Uint8Array(0);
/** A float on its way to or from bytes. */
const floatBytes = new Uint8Array(8);
const floatView = new DataView(floatBytes.buffer);

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0] ?? emptyBytes;
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  for (let at = 0; at < left.length; at += 1) if (left[at] !== right[at]) return false;
  return true;
}

export function compareBytes(left: Uint8Array, right: Uint8Array): number {
  const shared = Math.min(left.length, right.length);
  for (let at = 0; at < shared; at += 1) {
    const difference = (left[at] ?? 0) - (right[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

const hexPairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

export function hexOf(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += hexPairs[byte] ?? "";
  return text;
}

/** `undefined` unless it is what `hexOf` gives: pairs of lower-case digits. */
export function bytesOfHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0) return undefined;
  const bytes = new Uint8Array(text.length / 2);
  for (let at = 0; at < bytes.length; at += 1) {
    const high = hexDigit(text.charCodeAt(2 * at));
    const low = hexDigit(text.charCodeAt(2 * at + 1));
    if (high < 0 || low < 0) return undefined;
    bytes[at] = 16 * high + low;
  }
  return bytes;
}

function hexDigit(unit: number): number {
  if (unit >= 0x30 && unit <= 0x39) return unit - 0x30;
  return unit >= 0x61 && unit <= 0x66 ? unit - 0x57 : -1;
}

export function encodeUtf8(text: string): Uint8Array {
  const bytes = new Uint8Array(utf8Length(text));
  writeUtf8(bytes, 0, text);
  return bytes;
}

/** `undefined` if the bytes are not well-formed UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  return readUtf8(bytes, 0, bytes.length);
}

export class ByteWriter {
  /** Shared with others: only what lies from `#from` to `#end` is this writer's. */
  #bytes: Uint8Array;
  #from: number;
  #at: number;
  #end: number;

  constructor(capacity = 256) {
    const { buffer, from } = takePart(capacity);
    this.#bytes = buffer;
    this.#from = from;
    this.#at = from;
    this.#end = from + capacity;
  }

  get length(): number {
    return this.#at - this.#from;
  }

  u8(value: number): void {
    this.#grow(1);
    this.#bytes[this.#at] = value;
    this.#at += 1;
  }

  u16(value: number): void {
    this.#grow(2);
    this.#bytes[this.#at] = value;
    this.#bytes[this.#at + 1] = value >>> 8;
    this.#at += 2;
  }

  u32(value: number): void {
    this.#grow(4);
    putU32(this.#bytes, this.#at, value);
    this.#at += 4;
  }

  /** A safe integer from 0, in 8 bytes. */
  u64(value: number): void {
    invariant(Number.isSafeInteger(value) && value >= 0, "a u64 holds a safe integer from 0");
    this.#grow(8);
    putU32(this.#bytes, this.#at, value >>> 0);
    putU32(this.#bytes, this.#at + 4, Math.floor(value / 0x1_0000_0000));
    this.#at += 8;
  }

  f64(value: number): void {
    floatView.setFloat64(0, value, true);
    this.raw(floatBytes);
  }

  /** A safe integer from 0 in 1 to 8 bytes: seven bits each, low ones first (LEB128). */
  varint(value: number): void {
    invariant(Number.isSafeInteger(value) && value >= 0, "a varint holds a safe integer from 0");
    this.#grow(8);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#at] = (rest % 0x80) | 0x80;
      this.#at += 1;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#at] = rest;
    this.#at += 1;
  }

  raw(bytes: Uint8Array): void {
    this.#grow(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** Bytes behind their length as a varint. */
  bytes(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.raw(bytes);
  }

  /** What `write` appends of it, behind the length of that as a varint: written where it stays, since nearly all of it is short. */
  sized<Thing>(thing: Thing, write: (writer: ByteWriter, thing: Thing) => void): void {
    this.u8(0);
    const start = this.length;
    write(this, thing);
    const length = this.length - start;
    if (length < 0x80) return this.patchU8(start - 1, length);
    const moved = this.#bytes.slice(this.#from + start, this.#at);
    this.#at = this.#from + start - 1;
    this.bytes(moved);
  }

  /** UTF-8 behind its length in bytes as a varint. */
  text(text: string): void {
    if (this.asciiText(text)) return;
    const length = utf8Length(text);
    this.varint(length);
    this.#grow(length);
    writeUtf8(this.#bytes, this.#at, text);
    this.#at += length;
  }

  /** As `text` in one pass, if all of it is ASCII; otherwise nothing is written and the answer is false. */
  asciiText(text: string): boolean {
    const start = this.length;
    this.varint(text.length);
    this.#grow(text.length);
    const isAscii = writeAscii(this.#bytes, text, this.#at, this.#end);
    this.#at = isAscii ? this.#at + text.length : this.#from + start;
    return isAscii;
  }

  /** Overwrites a byte written before. */
  patchU8(at: number, value: number): void {
    invariant(at < this.length, "a patch stays within what was written");
    this.#bytes[this.#from + at] = value;
  }

  /** Overwrites four bytes written before, for a length that is known only at the end. */
  patchU32(at: number, value: number): void {
    invariant(at + 4 <= this.length, "a patch stays within what was written");
    putU32(this.#bytes, this.#from + at, value);
  }

  /** Whether exactly these bytes were written. */
  has(bytes: Uint8Array): boolean {
    if (bytes.length !== this.length) return false;
    for (let at = 0; at < bytes.length; at += 1) if (bytes[at] !== this.#bytes[this.#from + at]) return false;
    return true;
  }

  /** What was written, in a buffer of its own. */
  finish(): Uint8Array {
    return this.#bytes.slice(this.#from, this.#at);
  }

  /** As `finish`, and it need not be copied where no other writer has a part of the buffer; this writer begins anew elsewhere. */
  finishLarge(): Uint8Array {
    return this.#end - this.#from === this.#bytes.length ? this.handOver() : this.finish();
  }

  /** What was written, for who soon forgets it (`slab.ts`); this writer begins anew elsewhere. */
  handOver(): Uint8Array {
    const bytes = this.peek();
    giveBack(this.#bytes, this.#at, this.#end);
    this.#bytes = emptyBytes;
    this.#from = 0;
    this.#at = 0;
    this.#end = 0;
    return bytes;
  }

  /** What was written, as a view: valid until the next write. */
  peek(): Uint8Array {
    return this.#bytes.subarray(this.#from, this.#at);
  }

  reset(): void {
    this.#at = this.#from;
  }

  #grow(by: number): void {
    if (this.#at + by <= this.#end) return;
    const { length } = this;
    const capacity = Math.max(length + by, 2 * (this.#end - this.#from), 256);
    const { buffer, from } = takePart(capacity);
    if (length > 0) buffer.set(this.#bytes.subarray(this.#from, this.#at), from);
    this.#bytes = buffer;
    this.#from = from;
    this.#at = from + length;
    this.#end = from + capacity;
  }
}

export class ByteReader {
  readonly #bytes: Uint8Array;
  #at: number;
  readonly #end: number;
  #failed = false;

  /** Reads what lies from `from` to before `end`. */
  constructor(bytes: Uint8Array, from = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#at = from;
    this.#end = end;
  }

  /** Something was read past the end, or was not in its canonical form. */
  get failed(): boolean {
    return this.#failed;
  }

  /** In the bytes that were given. */
  get position(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#end - this.#at;
  }

  /** Read whole, nothing left, nothing malformed. */
  get complete(): boolean {
    return !this.#failed && this.remaining === 0;
  }

  fail(): void {
    this.#failed = true;
    this.#at = this.#end;
  }

  u8(): number {
    if (!this.#take(1)) return 0;
    return this.#bytes[this.#at - 1] ?? 0;
  }

  u16(): number {
    return this.#take(2) ? (this.#bytes[this.#at - 2] ?? 0) | ((this.#bytes[this.#at - 1] ?? 0) << 8) : 0;
  }

  u32(): number {
    return this.#take(4) ? u32At(this.#bytes, this.#at - 4) : 0;
  }

  u64(): number {
    if (!this.#take(8)) return 0;
    const high = u32At(this.#bytes, this.#at - 4);
    if (high >= 0x20_0000) {
      this.fail();
      return 0;
    }
    return high * 0x1_0000_0000 + u32At(this.#bytes, this.#at - 8);
  }

  f64(): number {
    if (!this.#take(8)) return 0;
    for (let at = 0; at < 8; at += 1) floatBytes[at] = this.#bytes[this.#at - 8 + at] ?? 0;
    return floatView.getFloat64(0, true);
  }

  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 8; count += 1) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        // The shortest form is the only form.
        if ((byte === 0 && count > 0) || value > Number.MAX_SAFE_INTEGER) this.fail();
        return this.#failed ? 0 : value;
      }
      scale *= 0x80;
    }
    this.fail();
    return 0;
  }

  /** A view of the next bytes, not a copy. */
  raw(length: number): Uint8Array {
    if (!this.#take(length)) return emptyBytes;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  bytes(): Uint8Array {
    return this.raw(this.varint());
  }

  /** Passes over the next bytes. */
  skip(length: number): void {
    this.#take(length);
  }

  /** Passes over bytes that must be well-formed UTF-8, without making a string of them. */
  skipUtf8(length: number): void {
    if (!this.#take(length)) return;
    for (let at = this.#at - length; at < this.#at; at += 1) {
      if ((this.#bytes[at] ?? 0) < 0x80) continue;
      if (readUtf8(this.#bytes, at, this.#at) === undefined) this.fail();
      return;
    }
  }

  /** A longer one than `bytesMax` is not read. */
  text(bytesMax = Infinity): string {
    const length = this.#lengthUpTo(bytesMax);
    if (!this.#take(length)) return "";
    const text = readUtf8(this.#bytes, this.#at - length, this.#at);
    if (text === undefined) this.fail();
    return text ?? "";
  }

  /** As `text`, of one that was probably read before. */
  name(bytesMax = Infinity): string {
    const length = this.#lengthUpTo(bytesMax);
    if (!this.#take(length)) return "";
    const name = readName(this.#bytes, this.#at - length, this.#at);
    if (name === undefined) this.fail();
    return name ?? "";
  }

  #lengthUpTo(bytesMax: number): number {
    const length = this.varint();
    if (length > bytesMax) this.fail();
    return length;
  }

  #take(length: number): boolean {
    if (this.#failed || this.#at + length > this.#end) {
      this.fail();
      return false;
    }
    this.#at += length;
    return true;
  }
}

/** Little-endian. */
export function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

/** Little-endian; the bytes must be there. */
export function u32At(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
  return low + (bytes[at + 3] ?? 0) * 0x100_0000;
}
