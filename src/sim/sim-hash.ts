/**
 * The `Hash` port in plain code: CRC-32 and SHA-256, the same on every machine and without an operating system.
 *
 * Owns: the two algorithms and the tables and buffers they use again for every call. Leaves to others: what is hashed. Called by
 * whoever joins the parts of a simulated process; `node/hash.ts` gives the same answers from the system's libraries.
 */
import type { Hash } from "../ports/hash.js";

/** CRC-32 of zlib and SHA-256 of FIPS 180-4. */
export const simHash: Hash = {
  crc32: (bytes, previous = 0) => crcOf(bytes, 0, bytes.length, previous),
  crc32Within: (bytes, from, to) => crcOf(bytes, from, to, 0),
  sha256,
};

/** The reversed polynomial of IEEE 802.3. */
const polynomial = 0xedb8_8320;

/** Table k says what a byte does to the remainder when k more bytes follow it, so eight bytes are taken at once. */
const [table0, table1, table2, table3, table4, table5, table6, table7] = crcTables();

type EightTables = readonly [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
];

function crcTables(): EightTables {
  const first = new Int32Array(256);
  for (let byte = 0; byte < 256; byte += 1) {
    let remainder = byte;
    for (let bit = 0; bit < 8; bit += 1) remainder = (remainder >>> 1) ^ (remainder & 1 ? polynomial : 0);
    first[byte] = remainder;
  }
  const next = (before: Int32Array): Int32Array =>
    before.map((remainder) => (remainder >>> 8) ^ (first[remainder & 0xff] ?? 0));
  const second = next(first);
  const third = next(second);
  const fourth = next(third);
  const fifth = next(fourth);
  const sixth = next(fifth);
  const seventh = next(sixth);
  return [first, second, third, fourth, fifth, sixth, seventh, next(seventh)];
}

function crcOf(bytes: Uint8Array, from: number, end: number, previous: number): number {
  let remainder = ~previous;
  let at = from;
  for (; at + 8 <= end; at += 8) {
    remainder ^=
      (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
    remainder =
      (table7[remainder & 0xff] ?? 0) ^
      (table6[(remainder >>> 8) & 0xff] ?? 0) ^
      (table5[(remainder >>> 16) & 0xff] ?? 0) ^
      (table4[remainder >>> 24] ?? 0) ^
      (table3[bytes[at + 4] ?? 0] ?? 0) ^
      (table2[bytes[at + 5] ?? 0] ?? 0) ^
      (table1[bytes[at + 6] ?? 0] ?? 0) ^
      (table0[bytes[at + 7] ?? 0] ?? 0);
  }
  for (; at < end; at += 1) remainder = (table0[(remainder ^ (bytes[at] ?? 0)) & 0xff] ?? 0) ^ (remainder >>> 8);
  return ~remainder >>> 0;
}

const blockBytes = 64;

/** The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
const roundConstants = new Int32Array(64);
/** The same of the square roots of the first eight: what a hash begins with. */
const initialState = new Int32Array(8);
fillConstants();

const state = new Int32Array(8);
const schedule = new Int32Array(64);
/** The end of a message with its padding: one block or two. */
const lastBlocks = new Uint8Array(2 * blockBytes);

/** Derived, not listed: 72 literals can be mistyped, and a double holds these roots exactly enough. */
function fillConstants(): void {
  const fraction = (root: number): number => (root - Math.floor(root)) * 0x1_0000_0000;
  let count = 0;
  for (let number = 2; count < 64; number += 1) {
    let isPrime = true;
    for (let divisor = 2; divisor * divisor <= number; divisor += 1) if (number % divisor === 0) isPrime = false;
    if (!isPrime) continue;
    // A typed array keeps the low 32 bits of the whole part.
    roundConstants[count] = fraction(Math.cbrt(number));
    if (count < 8) initialState[count] = fraction(Math.sqrt(number));
    count += 1;
  }
}

function sha256(bytes: Uint8Array): Uint8Array {
  const { length } = bytes;
  const whole = length - (length % blockBytes);
  state.set(initialState);
  for (let at = 0; at < whole; at += blockBytes) compress(bytes, at);

  const rest = length - whole;
  const padded = rest + 9 <= blockBytes ? blockBytes : 2 * blockBytes;
  for (let at = 0; at < rest; at += 1) lastBlocks[at] = bytes[whole + at] ?? 0;
  lastBlocks.fill(0, rest, padded);
  lastBlocks[rest] = 0x80;
  putU32(lastBlocks, padded - 8, Math.floor(length / 0x2000_0000));
  putU32(lastBlocks, padded - 4, length << 3);
  for (let at = 0; at < padded; at += blockBytes) compress(lastBlocks, at);

  const digest = new Uint8Array(32);
  for (let at = 0; at < 8; at += 1) putU32(digest, 4 * at, state[at] ?? 0);
  return digest;
}

/** Takes the block at `start` into `state`. */
function compress(bytes: Uint8Array, start: number): void {
  expand(bytes, start);
  let a = state[0] ?? 0;
  let b = state[1] ?? 0;
  let c = state[2] ?? 0;
  let d = state[3] ?? 0;
  let e = state[4] ?? 0;
  let f = state[5] ?? 0;
  let g = state[6] ?? 0;
  let h = state[7] ?? 0;
  for (let round = 0; round < 64; round += 1) {
    const rotatedE = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const choice = g ^ (e & (f ^ g));
    const first = (h + rotatedE + choice + (roundConstants[round] ?? 0) + (schedule[round] ?? 0)) | 0;
    const rotatedA = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const majority = (a & b) | (c & (a | b));
    h = g;
    g = f;
    f = e;
    e = (d + first) | 0;
    d = c;
    c = b;
    b = a;
    a = (first + rotatedA + majority) | 0;
  }
  state[0] = (state[0] ?? 0) + a;
  state[1] = (state[1] ?? 0) + b;
  state[2] = (state[2] ?? 0) + c;
  state[3] = (state[3] ?? 0) + d;
  state[4] = (state[4] ?? 0) + e;
  state[5] = (state[5] ?? 0) + f;
  state[6] = (state[6] ?? 0) + g;
  state[7] = (state[7] ?? 0) + h;
}

function expand(bytes: Uint8Array, start: number): void {
  for (let word = 0, at = start; word < 16; word += 1, at += 4) {
    schedule[word] =
      ((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
  }
  for (let word = 16; word < 64; word += 1) {
    const x = schedule[word - 15] ?? 0;
    const y = schedule[word - 2] ?? 0;
    const mixedX = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const mixedY = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    schedule[word] = (schedule[word - 16] ?? 0) + mixedX + (schedule[word - 7] ?? 0) + mixedY;
  }
}

/** Most significant byte first, as SHA-256 wants it. */
function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
