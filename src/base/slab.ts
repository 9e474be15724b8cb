/**
 * Room for short-lived bytes: many side by side in one buffer, since a buffer of its own costs ten times as much as the bytes in it.
 *
 * Owns: which part of which buffer is given out; each part once, but for what is given back unused. Whoever keeps a part keeps the
 * whole buffer in memory: it is for what soon goes to a socket or a disk, and never for what is stored. Called by `bytes.ts` and by
 * the log.
 */

export interface Part {
  readonly buffer: Uint8Array;
  readonly from: number;
}

const slabBytes = 16_384;
/** More gets a buffer of its own. */
const partBytesMax = 2_048;

let slab = new Uint8Array(0);
let used = 0;

/** Zeros, but for what was given back before. */
export function takePart(length: number): Part {
  if (length > partBytesMax) return { buffer: new Uint8Array(length), from: 0 };
  if (used + length > slab.length) {
    slab = new Uint8Array(slabBytes);
    used = 0;
  }
  used += length;
  return { buffer: slab, from: used - length };
}

/** Of the part that ends at `end` nothing from `from` on was kept. */
export function giveBack(buffer: Uint8Array, from: number, end: number): void {
  if (buffer === slab && end === used) used = from;
}

/** Zeros. */
export function shortLivedBytes(length: number): Uint8Array {
  const { buffer, from } = takePart(length);
  return buffer.subarray(from, from + length).fill(0);
}
