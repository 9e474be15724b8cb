/**
 * UTF-8: from text to bytes and back.
 *
 * Owns: what is well-formed, and how a text is made at little cost: decoding them is most of what reading a large state takes. Called by
 * `bytes.ts`.
 */

/** Bytes needed for `text` as UTF-8; a lone surrogate counts as the replacement character (3 bytes). */
export function utf8Length(text: string): number {
  let length = 0;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit < 0x80) length += 1;
    else if (unit < 0x800) length += 2;
    else if (isPairAt(text, at)) {
      length += 4;
      at += 1;
    } else length += 3;
  }
  return length;
}

function isPairAt(text: string, at: number): boolean {
  const high = text.charCodeAt(at);
  if (high < 0xd800 || high > 0xdbff) return false;
  const low = text.charCodeAt(at + 1);
  return low >= 0xdc00 && low <= 0xdfff;
}

export function writeUtf8(bytes: Uint8Array, start: number, text: string): void {
  let to = start;
  for (let at = 0; at < text.length; at += 1) {
    let point = text.charCodeAt(at);
    if (point < 0x80) {
      bytes[to++] = point;
      continue;
    }
    if (point >= 0xd800 && point <= 0xdfff) {
      if (isPairAt(text, at)) {
        point = 0x1_0000 + ((point - 0xd800) << 10) + (text.charCodeAt(at + 1) - 0xdc00);
        at += 1;
      } else point = 0xfffd;
    }
    if (point >= 0x1_0000) {
      bytes[to++] = 0xf0 | (point >> 18);
      bytes[to++] = 0x80 | ((point >> 12) & 0x3f);
      bytes[to++] = 0x80 | ((point >> 6) & 0x3f);
    } else if (point >= 0x800) {
      bytes[to++] = 0xe0 | (point >> 12);
      bytes[to++] = 0x80 | ((point >> 6) & 0x3f);
    } else bytes[to++] = 0xc0 | (point >> 6);
    bytes[to++] = 0x80 | (point & 0x3f);
  }
}

/**
 * Writes `text` from `from` on, if all of it is ASCII. Otherwise the answer is false, and anything may lie from there to before `end`, which leaves at
 * least a byte for each unit.
 */
export function writeAscii(bytes: Uint8Array, text: string, from: number, end: number): boolean {
  if (text.length >= longTextMin) return longTexts.writeAscii(bytes, text, from, end);
  return writeOwnAscii(bytes, text, from);
}

/** A multiple of eight. */
const asciiPieceUnits = 16_384;
/** Three times as long as a piece: a text that is not ASCII may be written before that is seen. */
const piece = new Uint8Array(3 * asciiPieceUnits);

/** Gives the bytes of a text in pieces, each but the last of as many, as long as it is ASCII. False if it is other text; `take` may have been given some of it. */
export function takeAscii(text: string, take: (bytes: Uint8Array, to: number) => void): boolean {
  for (let at = 0; at < text.length; at += asciiPieceUnits) {
    const part = text.slice(at, at + asciiPieceUnits);
    if (!writeAscii(piece, part, 0, piece.length)) return false;
    take(piece, part.length);
  }
  return true;
}

/** `undefined` if the bytes are not well-formed UTF-8. */
export function readUtf8(bytes: Uint8Array, from: number, to: number): string | undefined {
  // Nearly all texts are ASCII.
  const isAscii = to - from >= veryLongTextMin ? longTexts.isAscii(bytes, from, to) : isOwnAscii(bytes, from, to);
  return isAscii ? readAscii(bytes, from, to) : readLong(bytes, from, to);
}

/** What a platform does quicker. */
export interface PlatformText {
  /** Makes a text of bytes below 128. */
  readAscii(bytes: Uint8Array, from: number, to: number): string;
  isAscii(bytes: Uint8Array, from: number, to: number): boolean;
  writeAscii(bytes: Uint8Array, text: string, from: number, end: number): boolean;
}

let readAscii: PlatformText["readAscii"] = readOwnAscii;
let longTexts: Pick<PlatformText, "isAscii" | "writeAscii"> = { isAscii: isOwnAscii, writeAscii: writeOwnAscii };

/** A call of the platform costs as much as so many units written, and as many more bytes looked at, one by one. */
const longTextMin = 48;
const veryLongTextMin = 512;

/** From now on these are used. */
export function usePlatformText(platform: PlatformText): void {
  ({ readAscii } = platform);
  longTexts = platform;
}

function isOwnAscii(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) if ((bytes[at] ?? 0) >= 0x80) return false;
  return true;
}

function writeOwnAscii(bytes: Uint8Array, text: string, from: number): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit >= 0x80) return false;
    bytes[from + at] = unit;
  }
  return true;
}

/** The array for a short text is one that was used before: a new one is eight times as large as the text. */
function readOwnAscii(bytes: Uint8Array, from: number, to: number): string {
  const length = to - from;
  if (length > asciiUnitsMax) return readLong(bytes, from, to) ?? "";
  const units = (asciiUnits[length] ??= new Array<number>(length).fill(0));
  for (let at = 0; at < length; at += 1) units[at] = bytes[from + at] ?? 0;
  return String.fromCharCode.apply(undefined, units);
}

const asciiUnitsMax = 256;
/** By their length. */
const asciiUnits: number[][] = [];

/** ASCII ones that were read last, by a few of their bytes. */
const names = new Array<string>(256).fill("");
const nameBytesMax = 64;

/** As `readUtf8`, of a text that was probably read before, as the name of a field is: then no new one is made. */
export function readName(bytes: Uint8Array, from: number, to: number): string | undefined {
  const length = to - from;
  if (length > nameBytesMax) return readUtf8(bytes, from, to);
  const sum = length + 5 * (bytes[from] ?? 0) + 17 * (bytes[from + (length >> 1)] ?? 0) + 59 * (bytes[to - 1] ?? 0);
  const known = names[sum & 0xff] ?? "";
  if (known.length === length && isAt(bytes, from, known)) return known;
  const text = readUtf8(bytes, from, to);
  if (text === undefined || text.length !== length) return text;
  const name = asKey(text);
  names[sum & 0xff] = name;
  return name;
}

function isAt(bytes: Uint8Array, from: number, ascii: string): boolean {
  for (let at = 0; at < ascii.length; at += 1) if (bytes[from + at] !== ascii.charCodeAt(at)) return false;
  return true;
}

/** The same text, as V8 keeps it for keys of objects: looked up once instead of with every object. */
function asKey(text: string): string {
  return Object.keys({ [text]: true })[0] ?? text;
}

/**
 * Joins whole pieces: added up character by character, a text is a tree of its parts in V8 and takes eight times the memory for as long as it
 * is kept.
 */
function readLong(bytes: Uint8Array, from: number, to: number): string | undefined {
  let text = "";
  for (let at = from; at < to;) {
    const units = new Array<number>(Math.min(to - at, pieceUnits));
    let count = 0;
    while (at < to && count < units.length) {
      const first = bytes[at] ?? 0;
      if (first < 0x80) {
        units[count++] = first;
        at += 1;
        continue;
      }
      const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
      const point = at + length > to ? undefined : readScalar(bytes, at, length);
      if (point === undefined) return undefined;
      at += length;
      if (point >= 0x1_0000) {
        units[count++] = 0xd800 | ((point - 0x1_0000) >> 10);
        units[count++] = 0xdc00 | ((point - 0x1_0000) & 0x3ff);
      } else units[count++] = point;
    }
    if (count < units.length) units.length = count;
    text += String.fromCharCode.apply(undefined, units);
  }
  return text;
}

/** As many arguments as one call surely takes. */
const pieceUnits = 1024;

/** Of two bytes or more. */
function readScalar(bytes: Uint8Array, at: number, length: number): number | undefined {
  const first = bytes[at] ?? 0;
  if (first < 0xc2 || first > 0xf4) return undefined;
  let point = first & (0x7f >> length);
  for (let next = 1; next < length; next += 1) {
    const byte = bytes[at + next] ?? 0;
    if ((byte & 0xc0) !== 0x80) return undefined;
    point = (point << 6) | (byte & 0x3f);
  }
  return isShortestScalar(point, length) ? point : undefined;
}

function isShortestScalar(point: number, length: number): boolean {
  if (point >= 0xd800 && point <= 0xdfff) return false;
  if (point > 0x10_ffff) return false;
  return length === 2 ? point >= 0x80 : length === 3 ? point >= 0x800 : point >= 0x1_0000;
}
