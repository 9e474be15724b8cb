/**
 * Fingerprints of a collection's entries: equal for equal keys and values.
 *
 * Owns: how plain data is mixed. Properties are in one order in every state (`plain.ts`), so they are mixed as they come. Called by
 * `hash-trie.ts` with each entry that comes or goes, and by `snapshot-format.ts`.
 */
import { Mixer, type Fingerprint } from "../base/fingerprint.js";
import { tag } from "../wire/canonical.js";

const kind = { null: 1, false: 2, true: 3, bigint: 4, text: 5, bytes: 6, array: 7, object: 8, undefined: 9 } as const;
const mixer = new Mixer();
let weight = 0;

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
  switch (typeof value) {
    case "string":
      weight += value.length;
      mixer.word(kind.text).text(value);
      return;
    case "number":
      mixer.number(value);
      return;
    case "boolean":
      mixer.word(value ? kind.true : kind.false);
      return;
    case "bigint":
      mixer.word(kind.bigint).text(value.toString(36));
      return;
    case "object":
      return mixObject(value);
    default:
      mixer.word(kind.undefined);
  }
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
    const keys = Object.keys(value);
    weight += keys.length;
    mixer.word(kind.object).word(keys.length);
    for (const key of keys) {
      mixer.text(key);
      mix((value as Readonly<Record<string, unknown>>)[key]);
    }
  }
}

/** Where the next part begins of what is mixed as it lies in bytes. */
let next = 0;

/**
 * The same of key and value in their canonical form from `from` on, which was decoded before: text is mixed in a third of the time there.
 * Undefined for what is seldom in a state: then it is to be made of what was decoded. Valid until the next call.
 */
export function fingerprintOfEncoded(bytes: Uint8Array, from: number): Fingerprint | undefined {
  mixer.begin();
  next = from;
  return mixEncoded(bytes) && mixEncoded(bytes) ? mixer.end() : undefined;
}

/** Mixes the next value; false if it cannot. */
function mixEncoded(bytes: Uint8Array): boolean {
  const first = bytes[next] ?? 0;
  next += 1;
  switch (first) {
    case tag.undefined:
      mixer.word(kind.undefined);
      return true;
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
      mixer.number(encodedNumber(bytes));
      return true;
    case tag.string:
      mixer.word(kind.text);
      return mixEncodedText(bytes);
    case tag.array:
      return mixEncodedArray(bytes);
    case tag.object:
      return mixEncodedObject(bytes);
    default:
      return false;
  }
}

function mixEncodedText(bytes: Uint8Array): boolean {
  const length = encodedNumber(bytes);
  next += length;
  return mixer.ascii(bytes, next - length, next);
}

function mixEncodedArray(bytes: Uint8Array): boolean {
  const count = encodedNumber(bytes);
  mixer.word(kind.array).word(count);
  for (let at = 0; at < count; at += 1) if (!mixEncoded(bytes)) return false;
  return true;
}

function mixEncodedObject(bytes: Uint8Array): boolean {
  const count = encodedNumber(bytes);
  mixer.word(kind.object).word(count);
  for (let at = 0; at < count; at += 1) {
    // JavaScript has names that are indexes in an order of its own.
    const isIndex = isDigit(bytes[next + 1] ?? 0);
    if (isIndex || !mixEncodedText(bytes) || !mixEncoded(bytes)) return false;
  }
  return true;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** A varint. */
function encodedNumber(bytes: Uint8Array): number {
  let value = 0;
  let scale = 1;
  for (;;) {
    const byte = bytes[next] ?? 0;
    next += 1;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
    scale *= 0x80;
  }
}
