/**
 * Fingerprints of 64 bits, made without any memory: what audits compare, many thousand times a second.
 *
 * Owns: mixing numbers, text and bytes into two words, and sums of fingerprints, from which one can be taken out again. Against accidents
 * alone: whoever wants two contents with one fingerprint can make them. What must resist that is hashed with SHA-256.
 */
import { takeAscii } from "./utf8.js";

export interface Fingerprint {
  /** Both are 32 bits, signed. */
  readonly high: number;
  readonly low: number;
}

export const noFingerprint: Fingerprint = { high: 0, low: 0 };

export function equalFingerprints(left: Fingerprint, right: Fingerprint): boolean {
  return left.high === right.high && left.low === right.low;
}

export class Mixer implements Fingerprint {
  high = 0;
  low = 0;

  begin(from: Fingerprint = noFingerprint): this {
    this.high = from.high ^ 0x243f_6a88;
    this.low = from.low ^ 0x13198a2e;
    return this;
  }

  word(word: number): this {
    const high = Math.imul(this.high ^ word, 0x9e37_79b1);
    const low = Math.imul((this.low + word) | 0, 0x85eb_ca6b);
    this.high = (high << 13) | (high >>> 19);
    this.low = low ^ (low >>> 15);
    return this;
  }

  number(value: number): this {
    if ((value | 0) === value && !Object.is(value, -0)) return this.word(1).word(value);
    double.setFloat64(0, value);
    return this.word(2).word(double.getInt32(0)).word(double.getInt32(4));
  }

  text(text: string): this {
    if (text.length >= longMin && this.#longText(text)) return this;
    this.word(text.length);
    // As `word`, without a field written for each.
    let { high, low } = this;
    const end = text.length - 1;
    let at = 0;
    for (; at < end; at += 2) {
      const word = (text.charCodeAt(at) << 16) | text.charCodeAt(at + 1);
      high = Math.imul(high ^ word, 0x9e37_79b1);
      high = (high << 13) | (high >>> 19);
      low = Math.imul((low + word) | 0, 0x85eb_ca6b);
      low ^= low >>> 15;
    }
    this.high = high;
    this.low = low;
    return at === end ? this.word(text.charCodeAt(at)) : this;
  }

  /** As `text`, of ASCII in its bytes. False if it is other text: then what was mixed since `begin` is good for nothing. */
  ascii(bytes: Uint8Array, from: number, to: number): boolean {
    if (to - from >= longMin) {
      lanes.begin(this, to - from);
      const isAscii = lanes.take(bytes, from, to);
      lanes.end(this);
      return isAscii;
    }
    this.word(to - from);
    let { high, low } = this;
    let seen = 0;
    const end = to - 1;
    let at = from;
    for (; at < end; at += 2) {
      const word = ((bytes[at] ?? 0) << 16) | (bytes[at + 1] ?? 0);
      seen |= word;
      high = Math.imul(high ^ word, 0x9e37_79b1);
      high = (high << 13) | (high >>> 19);
      low = Math.imul((low + word) | 0, 0x85eb_ca6b);
      low ^= low >>> 15;
    }
    this.high = high;
    this.low = low;
    if (at === end) {
      const word = bytes[at] ?? 0;
      seen |= word;
      this.word(word);
    }
    return (seen & 0x80_0080) === 0;
  }

  /** False if it is not ASCII: then nothing was mixed. */
  #longText(text: string): boolean {
    lanes.begin(this, text.length);
    if (!takeAscii(text, takePiece)) return false;
    lanes.end(this);
    return true;
  }

  bytes(bytes: Uint8Array): this {
    this.word(bytes.length);
    let at = 0;
    for (; at + 3 < bytes.length; at += 4) {
      this.word(
        ((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0),
      );
    }
    for (; at < bytes.length; at += 1) this.word(bytes[at] ?? 0);
    return this;
  }

  fingerprint({ high, low }: Fingerprint): this {
    return this.word(high).word(low);
  }

  /** Every bit of what was mixed reaches every bit of both words. */
  end(): this {
    const { high, low } = this;
    this.high = finish(high ^ Math.imul(low, 0x27d4_eb2f));
    this.low = finish(low ^ Math.imul(high, 0x1656_67b1));
    return this;
  }

  /** One that stays as it is. */
  keep(): Fingerprint {
    return { high: this.high, low: this.low };
  }
}

/** Of many things in no order, each of which can be taken out again. */
export class FingerprintSum implements Fingerprint {
  high = 0;
  low = 0;

  add({ high, low }: Fingerprint): void {
    this.high = (this.high + high) | 0;
    this.low = (this.low + low) | 0;
  }

  remove({ high, low }: Fingerprint): void {
    this.high = (this.high - high) | 0;
    this.low = (this.low - low) | 0;
  }

  set({ high, low }: Fingerprint): void {
    this.high = high;
    this.low = low;
  }
}

/** ASCII of this length or more is mixed in lanes: a call of the platform for its bytes costs less than to take it character by character. */
const longMin = 256;

/**
 * Four characters at a time, by turns into one of two pairs of words: a processor mixes these side by side, where each step of a single pair waits for the one
 * before.
 */
class Lanes {
  #high = 0;
  #low = 0;
  #otherHigh = 0;
  #otherLow = 0;

  begin({ high, low }: Fingerprint, length: number): void {
    this.#high = high ^ length;
    this.#low = low;
    this.#otherHigh = low ^ 0x0370_7344;
    this.#otherLow = high ^ 0xa409_3822;
  }

  /** Of a text in pieces only the last may have another length than a multiple of eight. Whether all of it was ASCII. */
  take(bytes: Uint8Array, from: number, to: number): boolean {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    // Told that these are 32 bits, V8 keeps them in registers: three times as fast.
    let high = this.#high | 0;
    let low = this.#low | 0;
    let otherHigh = this.#otherHigh | 0;
    let otherLow = this.#otherLow | 0;
    let seen = 0;
    let at = from;
    for (; at + 8 <= to; at += 8) {
      const word = view.getInt32(at, true);
      const other = view.getInt32(at + 4, true);
      seen |= word | other;
      high = Math.imul(high ^ word, 0x9e37_79b1);
      otherHigh = Math.imul(otherHigh ^ other, 0x9e37_79b1);
      high = (high << 13) | (high >>> 19);
      otherHigh = (otherHigh << 13) | (otherHigh >>> 19);
      low = Math.imul((low + word) | 0, 0x85eb_ca6b);
      otherLow = Math.imul((otherLow + other) | 0, 0x85eb_ca6b);
      low ^= low >>> 15;
      otherLow ^= otherLow >>> 15;
    }
    for (; at < to; at += 1) {
      const byte = bytes[at] ?? 0;
      seen |= byte;
      high = Math.imul(high ^ byte, 0x9e37_79b1);
      high = (high << 13) | (high >>> 19);
      low = Math.imul((low + byte) | 0, 0x85eb_ca6b);
      low ^= low >>> 15;
    }
    this.#high = high;
    this.#low = low;
    this.#otherHigh = otherHigh;
    this.#otherLow = otherLow;
    return (seen & 0x8080_8080) === 0;
  }

  end(mixer: Mixer): void {
    mixer.high = this.#high;
    mixer.low = this.#low;
    mixer.word(this.#otherHigh).word(this.#otherLow);
  }
}

const lanes = new Lanes();
const takePiece = (bytes: Uint8Array, to: number): void => void lanes.take(bytes, 0, to);

const double = new DataView(new ArrayBuffer(8));

/** The finisher of MurmurHash3 (Austin Appleby). */
function finish(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return mixed ^ (mixed >>> 16);
}
