/**
 * What the newest entries held and were answered, as bytes in one ring.
 *
 * Owns: the ring and the form in it. Keeping the payloads and replies themselves would cost several times as much: they would outlive the
 * collector's first rounds, thousands of objects at any time. Called by `audit-trail.ts`.
 */
import { ByteReader, ByteWriter, putU32, u32At } from "../base/bytes.js";
import type { TrailContent } from "../model/audit.js";
import type { Reply } from "../model/request.js";
import { readReply, writeReply } from "../wire/reply-codec.js";

const bytesMax = 4 * 1024 * 1024;
/** It grows to the whole as it is needed. */
const bytesAtFirst = 65_536;
/** Lengths of the payload and of the answers go before them. */
const headBytes = 8;

/** Where a content is, counted from the first byte that ever was in the ring. */
export type ContentPlace = number;

/** Of an entry that does not fit into the ring. */
const nowhere: ContentPlace = -Infinity;

export class TrailContents {
  #ring = new Uint8Array(0);
  readonly #answers = new ByteWriter(1_024);
  /** Of the next one. */
  #place: ContentPlace = 0;

  /** In the place of the oldest, if there is no room. Contents are in one piece, so the end of the ring may stay empty. */
  keep(payload: Uint8Array, answers: TrailContent["answers"]): ContentPlace {
    this.#answers.reset();
    for (const { reply, repeated } of answers) {
      this.#answers.u8(repeated ? 1 : 0);
      writeReply(this.#answers, reply);
    }
    const length = headBytes + payload.length + this.#answers.length;
    if (length > bytesMax) return nowhere;
    const left = bytesMax - (this.#place % bytesMax);
    const place = this.#place + (length > left ? left : 0);
    this.#place = place + length;
    const at = place % bytesMax;
    this.#growTo(at + length);
    putU32(this.#ring, at, payload.length);
    putU32(this.#ring, at + 4, this.#answers.length);
    this.#ring.set(payload, at + headBytes);
    this.#ring.set(this.#answers.peek(), at + headBytes + payload.length);
    return place;
  }

  /** Undefined if something newer has taken its place. */
  at(place: ContentPlace): TrailContent | undefined {
    if (place < this.#place - bytesMax) return undefined;
    const at = place % bytesMax;
    const payloadBytes = u32At(this.#ring, at);
    const length = payloadBytes + u32At(this.#ring, at + 4);
    const bytes = this.#ring.slice(at + headBytes, at + headBytes + length);
    const reader = new ByteReader(bytes, payloadBytes);
    const answers: { reply: Reply; repeated: boolean }[] = [];
    while (reader.remaining > 0) {
      const repeated = reader.u8() === 1;
      const reply = readReply(reader);
      // Memory of this replica may be damaged here too.
      if (reply === undefined || reader.failed) return undefined;
      answers.push({ reply, repeated });
    }
    return { payload: bytes.subarray(0, payloadBytes), answers };
  }

  #growTo(end: number): void {
    if (end <= this.#ring.length) return;
    const larger = new Uint8Array(Math.min(bytesMax, Math.max(end, 2 * this.#ring.length, bytesAtFirst)));
    larger.set(this.#ring);
    this.#ring = larger;
  }
}
