/**
 * The canonical byte form of plain data: equal values have equal bytes, whoever encodes them and in whatever order they were built.
 *
 * Owns: which values are plain data, their one encoding, and the path in the message about one that is not. Leaves to others: where
 * the bytes go. Called by the client (inputs), the executor's machines (inputs, outputs) and the collections (keys, values, digests).
 *
 * A value is one tag byte and then:
 *
 *     undefined null false true   nothing
 *     whole number from 0         varint n                (safe integers only; -0 is a double)
 *     whole number below 0        varint -1 - n
 *     double                      8 bytes, little-endian  (finite, and not one of the numbers above)
 *     bigint from 0, below 0      bytes of the magnitude behind their count, lowest first, the last one not 0
 *     string                      UTF-8 behind its length (well-formed text only)
 *     bytes                       the bytes behind their count
 *     array                       count, values
 *     object                      count, then key (as a string without tag) and value; keys grow by UTF-16 units
 *
 * Invariants: V1 one value has one encoding, and a decoder takes no other. V2 decoding is total: foreign bytes give a value or a
 * `DecodeFailure`, in time and memory bounded by their length. `undefined` exists at the top only: a property that is undefined
 * is a property that is absent.
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";

/** Deeper data is refused on both sides: it bounds the recursion below, and a cycle is data without a depth. */
export const canonicalDepthMax = 64;

/** The first byte of a value. */
export const tag = {
  undefined: 0,
  null: 1,
  false: 2,
  true: 3,
  whole: 4,
  wholeBelowZero: 5,
  double: 6,
  bigint: 7,
  bigintBelowZero: 8,
  string: 9,
  bytes: 10,
  array: 11,
  object: 12,
} as const;

/** The bytes are not the canonical form of anything. No plain data is an instance of this class. */
export class DecodeFailure {
  readonly kind = "decodeFailure";
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

/** The value has no canonical form. `path` leads from the whole value to the part that is at fault, as one would write it in code. */
export class NotCanonical extends Error {
  override readonly name = "NotCanonical";
  readonly path: string;
  readonly reason: string;

  constructor(path: string, reason: string) {
    super(`Cannot encode value${path === "" ? "" : ` at ${path}`}: ${reason}.`);
    this.path = path;
    this.reason = reason;
  }
}

/** One writer for all calls that do not overlap; taken while in use, since a getter of the value may encode as well. */
let spareWriter: ByteWriter | undefined;
const spareBytesMax = 65_536;

/** More is not canonical at present: set around a call by `encodeValue` alone. */
let bytesBound = Infinity;

/**
 * Beyond `bytesMax` it stops soon: what is small in memory may be large in canonical form, since there a part is written wherever it is
 * used. Bytes as in `before` are answered by that itself.
 *
 * @throws NotCanonical
 */
export function encodeValue(value: unknown, bytesMax = Infinity, before?: Uint8Array): Uint8Array {
  const writer = spareWriter ?? new ByteWriter(1024);
  spareWriter = undefined;
  const outer = bytesBound;
  bytesBound = bytesMax;
  try {
    writeValue(writer, value);
    if (writer.length > bytesMax) throw new NotCanonical("", tooLong(bytesMax));
    return before !== undefined && writer.has(before) ? before : writer.finish();
  } finally {
    bytesBound = outer;
    if (writer.length <= spareBytesMax) spareWriter = writer;
    writer.reset();
  }
}

/** As `encodeValue`, for who soon forgets the bytes. @throws NotCanonical */
export function encodeValueToSend(value: unknown): Uint8Array {
  const outer = bytesBound;
  bytesBound = Infinity;
  try {
    // What is not used is given back.
    const writer = new ByteWriter(768);
    writeValue(writer, value);
    return writer.handOver();
  } finally {
    bytesBound = outer;
  }
}

/** Appends; what was appended before a refusal stays. @throws NotCanonical */
export function writeValue(writer: ByteWriter, value: unknown): void {
  if (value === undefined) return writer.u8(tag.undefined);
  const path = sparePath ?? [];
  sparePath = undefined;
  write(writer, value, path, 0);
  sparePath = path;
}

/** The value, or a `DecodeFailure` if the bytes from `from` to `end` are not exactly the canonical form of one. Shares no memory with them. */
export function decodeValue(bytes: Uint8Array, from = 0, end = bytes.length): unknown {
  const reader = new ByteReader(bytes, from, end);
  const value = readValue(reader);
  if (reader.failed) return new DecodeFailure("the bytes are not in canonical form");
  if (reader.remaining > 0) return new DecodeFailure(`${reader.remaining} bytes follow the value`);
  return value;
}

/** The next value; after bytes that are not canonical the reader has failed. */
export function readValue(reader: ByteReader): unknown {
  const kind = reader.u8();
  return kind === tag.undefined ? undefined : read(reader, kind, 0, undefined);
}

/** What was read to be kept. */
export interface Kept {
  /** There are bytes in it, which cannot be frozen. */
  hasBytes: boolean;
}

/** As `readValue`, frozen whole but for bytes; notes in `kept` if there are some. */
export function readFrozen(reader: ByteReader, kept: Kept): unknown {
  const kind = reader.u8();
  return kind === tag.undefined ? undefined : read(reader, kind, 0, kept);
}

/** Names a property or an index behind a path: `.name` where that can be written, `["any text"]` or `[3]` elsewhere. */
export function pathStep(key: string | number): string {
  if (typeof key === "number") return `[${key}]`;
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${quote(key)}]`;
}

/** Text in a message, with its end and its control characters visible. */
export function quote(text: string): string {
  return JSON.stringify(text);
}

/** `path[depth]` is the key under which the value at `depth + 1` was found. */
type Path = (string | number)[];

/** One for all calls that do not overlap, as with the writer. */
let sparePath: Path | undefined;

function write(writer: ByteWriter, value: unknown, path: Path, depth: number): void {
  // One question after the other: to switch over a type, which is a text, is a call of the engine.
  if (typeof value === "string") {
    writer.u8(tag.string);
    if (writer.asciiText(value)) return undefined;
    if (!isWellFormed(value)) refuse(path, depth, "the string has a lone surrogate, which has no UTF-8");
    return writer.text(value);
  }
  if (typeof value === "number") return writeNumber(writer, value, path, depth);
  if (typeof value === "object") {
    if (value === null) return writer.u8(tag.null);
    if (depth >= canonicalDepthMax) {
      refuse(path, depth, `it is nested deeper than ${canonicalDepthMax} levels, or contains itself`);
    }
    return writeCompound(writer, value, path, depth);
  }
  if (typeof value === "boolean") return writer.u8(value ? tag.true : tag.false);
  if (typeof value === "bigint") return writeBigint(writer, value);
  return refuse(path, depth, `${describeRefused(value)} is not plain data`);
}

function writeNumber(writer: ByteWriter, value: number, path: Path, depth: number): void {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
    writer.u8(value < 0 ? tag.wholeBelowZero : tag.whole);
    return writer.varint(value < 0 ? -1 - value : value);
  }
  if (!Number.isFinite(value)) refuse(path, depth, `${value} is not a finite number`);
  writer.u8(tag.double);
  writer.f64(value);
}

function writeBigint(writer: ByteWriter, value: bigint): void {
  writer.u8(value < 0n ? tag.bigintBelowZero : tag.bigint);
  const magnitude = value < 0n ? -value : value;
  if (magnitude <= Number.MAX_SAFE_INTEGER) return writeSmallMagnitude(writer, Number(magnitude));
  const hex = magnitude.toString(16);
  const count = Math.ceil(hex.length / 2);
  writer.varint(count);
  for (let end = hex.length; end > 0; end -= 2) writer.u8(parseInt(hex.slice(Math.max(0, end - 2), end), 16));
}

function writeSmallMagnitude(writer: ByteWriter, magnitude: number): void {
  let count = 0;
  for (let rest = magnitude; rest > 0; rest = Math.floor(rest / 256)) count += 1;
  writer.varint(count);
  for (let rest = magnitude; rest > 0; rest = Math.floor(rest / 256)) writer.u8(rest % 256);
}

function tooLong(bytesMax: number): string {
  return `it takes more than ${bytesMax} bytes`;
}

function writeCompound(writer: ByteWriter, value: object, path: Path, depth: number): void {
  if (writer.length > bytesBound) refuse(path, 0, tooLong(bytesBound));
  if (Array.isArray(value)) return writeArray(writer, value, path, depth);
  if (value instanceof Uint8Array) {
    writer.u8(tag.bytes);
    return writer.bytes(value);
  }
  if (!isPlainObject(value)) refuse(path, depth, `${describeRefused(value)} is not plain data`);
  writeObject(writer, value, path, depth);
}

function writeArray(writer: ByteWriter, items: readonly unknown[], path: Path, depth: number): void {
  writer.u8(tag.array);
  writer.varint(items.length);
  for (let at = 0; at < items.length; at += 1) {
    path[depth] = at;
    const item = items[at];
    if (item === undefined) refuse(path, depth + 1, "undefined and holes have no canonical form in an array");
    write(writer, item, path, depth + 1);
  }
}

function writeObject(writer: ByteWriter, value: Readonly<Record<string, unknown>>, path: Path, depth: number): void {
  writer.u8(tag.object);
  // Nearly all objects have few properties: their count is one byte, whichever of them turn out to be absent.
  if (!(sortedKeyCount(value) < 0x80)) return writeProperties(writer, presentIn(value), path, depth);
  const at = writer.length;
  writer.u8(0);
  let count = 0;
  for (const key in value) {
    if (!isOwn.call(value, key)) continue;
    // Each property is read once, since a getter could answer twice differently.
    const item = value[key];
    if (item === undefined) continue;
    count += 1;
    path[depth] = key;
    writeKey(writer, key, path, depth);
    write(writer, item, path, depth + 1);
  }
  writer.patchU8(at, count);
}

/** How many properties there are, if they are in canonical order; otherwise NaN. No list of them is made, which costs as much as all else. */
export function sortedKeyCount(value: Readonly<Record<string, unknown>>): number {
  let count = 0;
  let before = "";
  for (const key in value) {
    if (!isOwn.call(value, key)) continue;
    if (key < before) return NaN;
    before = key;
    count += 1;
  }
  return count;
}

const isOwn = Object.prototype.hasOwnProperty;

interface Property {
  readonly key: string;
  readonly item: unknown;
}

function presentIn(value: Readonly<Record<string, unknown>>): readonly Property[] {
  const present: Property[] = [];
  for (const key of Object.keys(value)) {
    const item = value[key];
    if (item !== undefined) present.push({ key, item });
  }
  return present.sort((left, right) => (left.key < right.key ? -1 : 1));
}

function writeProperties(writer: ByteWriter, properties: readonly Property[], path: Path, depth: number): void {
  writer.varint(properties.length);
  for (const { key, item } of properties) {
    path[depth] = key;
    writeKey(writer, key, path, depth);
    write(writer, item, path, depth + 1);
  }
}

function writeKey(writer: ByteWriter, key: string, path: Path, depth: number): void {
  if (writer.asciiText(key)) return;
  if (!isWellFormed(key)) refuse(path, depth + 1, "the key has a lone surrogate, which has no UTF-8");
  writer.text(key);
}

/** An object whose prototype is a root: made by `{}`, in this or another realm, or without a prototype. */
export function isPlainObject(value: object): value is Readonly<Record<string, unknown>> {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** ES2024 has it, and V8 answers at once where each unit is a byte; the types name ES2023. */
interface WellFormedText {
  isWellFormed(): boolean;
}

export function isWellFormed(text: string): boolean {
  return (text as unknown as WellFormedText).isWellFormed();
}

function refuse(path: Path, depth: number, reason: string): never {
  const steps = path.slice(0, depth).map(pathStep).join("");
  throw new NotCanonical(steps.startsWith(".") ? steps.slice(1) : steps, reason);
}

/** For messages: what a value is that is not plain data. */
export function describeRefused(value: unknown): string {
  if (typeof value !== "object" || value === null) return value === undefined ? "undefined" : `a ${typeof value}`;
  const { constructor } = value;
  return typeof constructor === "function" && constructor.name !== ""
    ? `an instance of ${constructor.name}`
    : "an object";
}

/** Recursion is bounded by `canonicalDepthMax`, and each level takes at least one byte. */
function read(reader: ByteReader, kind: number, depth: number, kept: Kept | undefined): unknown {
  switch (kind) {
    case tag.null:
      return null;
    case tag.false:
      return false;
    case tag.true:
      return true;
    case tag.whole:
      return reader.varint();
    case tag.wholeBelowZero:
      return readBelowZero(reader);
    case tag.double:
      return readDouble(reader);
    case tag.bigint:
      return readMagnitude(reader);
    case tag.bigintBelowZero:
      return readBigintBelowZero(reader);
    case tag.string:
      return reader.text();
    case tag.bytes:
      if (kept !== undefined) kept.hasBytes = true;
      return reader.bytes().slice();
    case tag.array:
      return depth < canonicalDepthMax ? readArray(reader, depth, kept) : reader.fail();
    case tag.object:
      return depth < canonicalDepthMax ? readObject(reader, depth, kept) : reader.fail();
    default:
      return reader.fail();
  }
}

function readBelowZero(reader: ByteReader): number {
  const value = -1 - reader.varint();
  if (!Number.isSafeInteger(value)) reader.fail();
  return value;
}

function readDouble(reader: ByteReader): number {
  const value = reader.f64();
  const hasShorterForm = Number.isSafeInteger(value) && !Object.is(value, -0);
  if (hasShorterForm || !Number.isFinite(value)) reader.fail();
  return value;
}

function readMagnitude(reader: ByteReader): bigint {
  const bytes = reader.bytes();
  if (bytes.length > 0 && bytes[bytes.length - 1] === 0) reader.fail();
  if (bytes.length <= 6) {
    let small = 0;
    for (let at = bytes.length - 1; at >= 0; at -= 1) small = small * 256 + (bytes[at] ?? 0);
    return BigInt(small);
  }
  const digits: string[] = [];
  for (let at = bytes.length - 1; at >= 0; at -= 1) digits.push((bytes[at] ?? 0).toString(16).padStart(2, "0"));
  return BigInt(`0x${digits.join("")}`);
}

function readBigintBelowZero(reader: ByteReader): bigint {
  const magnitude = readMagnitude(reader);
  if (magnitude === 0n) reader.fail();
  return -magnitude;
}

function readArray(reader: ByteReader, depth: number, kept: Kept | undefined): unknown {
  const count = reader.varint();
  if (count > reader.remaining) return reader.fail();
  const items: unknown[] = [];
  for (let at = 0; at < count && !reader.failed; at += 1) items.push(read(reader, reader.u8(), depth + 1, kept));
  return kept === undefined ? items : Object.freeze(items);
}

function readObject(reader: ByteReader, depth: number, kept: Kept | undefined): unknown {
  const count = reader.varint();
  if (count > reader.remaining / 2) return reader.fail();
  const value: Record<string, unknown> = {};
  let previous: string | undefined;
  for (let at = 0; at < count && !reader.failed; at += 1) {
    const key = reader.name();
    if (previous !== undefined && key <= previous) return reader.fail();
    previous = key;
    const item = read(reader, reader.u8(), depth + 1, kept);
    // The setter of `__proto__` would change what the object is; to us it is a name like any other.
    if (key === "__proto__")
      Object.defineProperty(value, key, { value: item, enumerable: true, writable: true, configurable: true });
    else value[key] = item;
  }
  return kept === undefined ? value : Object.freeze(value);
}
