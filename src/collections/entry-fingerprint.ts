/**
 * Fingerprints of a collection's entries: equal for equal keys and values.
 *
 * Owns: how plain data is mixed. Properties are in one order in every state (`plain.ts`), so they are mixed as they come. Called by
 * `hash-trie.ts` with each entry that comes or goes, and by `snapshot-format.ts`.
 */
import { Mixer, type Fingerprint } from "../base/fingerprint.js";
import { canonicalDepthMax, tag } from "../wire/canonical.js";

const kind = { null: 1, false: 2, true: 3, bigint: 4, text: 5, bytes: 6, array: 7, object: 8, undefined: 9 } as const;
const mixer = new Mixer();
let weight = 0;
const isOwn = Object.prototype.hasOwnProperty;

/** Grows with the letters, bytes and properties that are mixed: what they cost, roughly. */
export function mixedWeight(): number {
  return weight;
}

/** Valid until the next call. */
export function fingerprintOfEntry(key: unknown, value: unknown): Fingerprint {
  mixer.begin();
  mix(key);
  mix(value);
  return mixer.end();
}

/** As deep as plain data may be. */
function mix(value: unknown): void {
  if (typeof value === "string") {
    weight += value.length;
    mixer.word(kind.text).text(value);
  } else if (typeof value === "number") mixer.number(value);
  else if (typeof value === "object") mixObject(value);
  else if (typeof value === "boolean") mixer.word(value ? kind.true : kind.false);
  else if (typeof value === "bigint") mixer.word(kind.bigint).text(value.toString(36));
  else mixer.word(kind.undefined);
}

function mixObject(value: object | null): void {
  if (value === null) {
    mixer.word(kind.null);
  } else if (value instanceof Uint8Array) {
    weight += value.length;
    mixer.word(kind.bytes).bytes(value);
  } else if (Array.isArray(value)) {
    weight += value.length;
    mixer.word(kind.array).word(value.length);
    for (let at = 0; at < value.length; at += 1) mix(value[at]);
  } else {
    mixProperties(value as Readonly<Record<string, unknown>>);
  }
}

/** Without a list of them: it is called twice for each write. */
function mixProperties(value: Readonly<Record<string, unknown>>): void {
  let count = 0;
  for (const key in value) if (isOwn.call(value, key)) count += 1;
  weight += count;
  mixer.word(kind.object).word(count);
  for (const key in value) {
    if (!isOwn.call(value, key)) continue;
    mixer.text(key);
    mix(value[key]);
  }
}

/** Where the next part begins of what is mixed as it lies in bytes. */
let next = 0;

/**
 * The same of a key and a value in their canonical form, from `from` on; that they are in it is seen meanwhile. Text is mixed in a third of the
 * time there. Undefined for what is seldom in a state, or is not canonical: then it is to be decoded. Valid until the next call.
 */
export function fingerprintOfEncoded(bytes: Uint8Array, from: number): Fingerprint | undefined {
  mixer.begin();
  next = from;
  return mixEncoded(bytes, 0) && mixEncoded(bytes, 0) ? mixer.end() : undefined;
}

/** Where what was mixed last ends. */
export function encodedEnd(): number {
  return next;
}

/** Mixes the next value; false if it cannot. As deep as plain data may be, and for each level at least one byte. */
function mixEncoded(bytes: Uint8Array, depth: number): boolean {
  const first = bytes[next] ?? -1;
  next += 1;
  switch (first) {
    case tag.undefined:
      mixer.word(kind.undefined);
      return depth === 0;
    case tag.null:
      mixer.word(kind.null);
      return true;
    case tag.false:
      mixer.word(kind.false);
      return true;
    case tag.true:
      mixer.word(kind.true);
      return true;
    case tag.whole:
      return mixEncodedNumber(bytes);
    case tag.string:
      mixer.word(kind.text);
      return mixEncodedText(bytes);
    case tag.array:
      return depth < canonicalDepthMax && mixEncodedArray(bytes, depth);
    case tag.object:
      return depth < canonicalDepthMax && mixEncodedObject(bytes, depth);
    default:
      return false;
  }
}

function mixEncodedNumber(bytes: Uint8Array): boolean {
  const value = encodedNumber(bytes);
  mixer.number(value);
  return value !== notCanonical;
}

function mixEncodedText(bytes: Uint8Array): boolean {
  const length = encodedNumber(bytes);
  if (length === notCanonical || length > bytes.length - next) return false;
  next += length;
  return mixer.ascii(bytes, next - length, next);
}

function mixEncodedArray(bytes: Uint8Array, depth: number): boolean {
  const count = encodedNumber(bytes);
  mixer.word(kind.array).word(count);
  for (let at = 0; at < count; at += 1) if (!mixEncoded(bytes, depth + 1)) return false;
  return count !== notCanonical;
}

function mixEncodedObject(bytes: Uint8Array, depth: number): boolean {
  const count = encodedNumber(bytes);
  mixer.word(kind.object).word(count);
  let before = next;
  for (let at = 0; at < count; at += 1) {
    const name = next;
    // JavaScript has names that are indexes in an order of its own.
    if (isDigit(bytes[next + 1] ?? 0) || !mixEncodedText(bytes)) return false;
    if (at > 0 && !isNameBelow(bytes, before, name)) return false;
    before = name;
    if (!mixEncoded(bytes, depth + 1)) return false;
  }
  return count !== notCanonical;
}

/** Of two names with their lengths: ASCII was seen of both. Longer ones than this are left to the decoder. */
function isNameBelow(bytes: Uint8Array, one: number, other: number): boolean {
  const oneLength = bytes[one] ?? 0;
  const otherLength = bytes[other] ?? 0;
  if (oneLength >= 0x80 || otherLength >= 0x80) return false;
  for (let at = 1; at <= oneLength && at <= otherLength; at += 1) {
    const difference = (bytes[one + at] ?? 0) - (bytes[other + at] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return oneLength < otherLength;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

const notCanonical = -1;

/** A varint. */
function encodedNumber(bytes: Uint8Array): number {
  let value = 0;
  let scale = 1;
  for (let count = 0; count < 8; count += 1) {
    const byte = bytes[next] ?? 0x80;
    next += 1;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return (byte === 0 && count > 0) || value > Number.MAX_SAFE_INTEGER ? notCanonical : value;
    scale *= 0x80;
  }
  return notCanonical;
}
