/**
 * Frames: how messages lie in a byte stream.
 *
 * Owns: gathering the messages of one turn into one frame, its checksum, and taking frames apart again with every limit checked
 * before anything is allocated. Leaves to others: what a message means. Called by `transport/link.ts`.
 *
 *     frame    u32 length of body | u32 CRC-32 of body | body
 *     body     message, message, … (at least one)
 *     message  u8 type | varint length | bytes
 *
 * Invariant T2: a reader gives out only bytes whose checksum held; after the first malformed frame it gives out nothing.
 */
import { ByteReader, ByteWriter, concatBytes, putU32, u32At } from "../base/bytes.js";
import type { Hash } from "../ports/hash.js";

export const frameHeaderBytes = 8;

export interface FrameLimits {
  /** Longest body accepted or made, unless one message alone is longer. */
  readonly frameBytesMax: number;
}

export interface Message {
  readonly type: number;
  /** A view into the received bytes: whoever keeps it keeps the whole chunk alive. */
  readonly payload: Uint8Array;
}

/** Gathers messages; `finish` gives the frame of all that came since the last one. */
export class FrameWriter {
  readonly #hash: Hash;
  readonly #writer = new ByteWriter(0);

  constructor(hash: Hash) {
    this.#hash = hash;
  }

  get isEmpty(): boolean {
    return this.#writer.length === 0;
  }

  /** Bytes of the body gathered so far. */
  get bodyBytes(): number {
    return Math.max(0, this.#writer.length - frameHeaderBytes);
  }

  add(type: number, payload: Uint8Array): void {
    this.#begin(type);
    this.#writer.bytes(payload);
  }

  /** A message that `write` makes where it stays: bytes of its own cost as much as all else that is done with a small one. */
  addWritten<Thing>(type: number, thing: Thing, write: (writer: ByteWriter, thing: Thing) => void): void {
    this.#begin(type);
    this.#writer.sized(thing, write);
  }

  #begin(type: number): void {
    if (this.isEmpty) {
      this.#writer.u32(0);
      this.#writer.u32(0);
    }
    this.#writer.u8(type);
  }

  /** The bytes to send, for who soon forgets them. */
  finish(): Uint8Array {
    const frame = this.#writer.handOver();
    putU32(frame, 0, frame.length - frameHeaderBytes);
    putU32(frame, 4, this.#hash.crc32Within(frame, frameHeaderBytes, frame.length));
    return frame;
  }
}

export type FrameFailure = "frame too large" | "empty frame" | "wrong checksum" | "malformed message";

/** Takes chunks of a stream and gives out whole messages, in order. */
export class FrameReader {
  readonly #hash: Hash;
  #frameBytesMax: number;
  /** Chunks of which something is not given out yet; mostly none, and to make a list for each chunk costs more than to read it. */
  #pending: Uint8Array[] | undefined;
  #pendingBytes = 0;
  /** Bytes that the frame at the front needs before it is whole. */
  #needed = frameHeaderBytes;

  constructor(hash: Hash, limits: FrameLimits) {
    this.#hash = hash;
    this.#frameBytesMax = limits.frameBytesMax;
  }

  /** After the handshake a longer frame is allowed than before it. */
  allow(limits: FrameLimits): void {
    this.#frameBytesMax = limits.frameBytesMax;
  }

  /** Calls `give` for each whole message; answers why the stream cannot be read on, if so. */
  push(chunk: Uint8Array, give: (message: Message) => void): FrameFailure | undefined {
    this.#pendingBytes += chunk.length;
    if (this.#pendingBytes < this.#needed) {
      if (this.#pending === undefined) this.#pending = [chunk];
      else this.#pending.push(chunk);
      return undefined;
    }
    const bytes = this.#pending === undefined ? chunk : concatBytes([...this.#pending, chunk]);
    let at = 0;
    this.#needed = frameHeaderBytes;
    while (bytes.length - at >= frameHeaderBytes) {
      const length = u32At(bytes, at);
      if (length === 0) return "empty frame";
      if (length > this.#frameBytesMax) return "frame too large";
      const end = at + frameHeaderBytes + length;
      if (end > bytes.length) {
        this.#needed = end - at;
        break;
      }
      const failure = this.#open(bytes, { from: at + frameHeaderBytes, end, checksum: u32At(bytes, at + 4) }, give);
      if (failure !== undefined) return failure;
      at = end;
    }
    this.#pending = at < bytes.length ? [bytes.subarray(at)] : undefined;
    this.#pendingBytes = bytes.length - at;
    return undefined;
  }

  #open(
    bytes: Uint8Array,
    body: { readonly from: number; readonly end: number; readonly checksum: number },
    give: (message: Message) => void,
  ): FrameFailure | undefined {
    const { from, end, checksum } = body;
    if (this.#hash.crc32Within(bytes, from, end) !== checksum) return "wrong checksum";
    const reader = new ByteReader(bytes, from, end);
    while (reader.remaining > 0) {
      const type = reader.u8();
      const payload = reader.bytes();
      if (reader.failed) return "malformed message";
      give({ type, payload });
    }
    return undefined;
  }
}
