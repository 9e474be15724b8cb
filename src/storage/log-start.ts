/**
 * Where a log begins that has given back its oldest segments.
 *
 * Owns: what stands before the first record that is left, its file, and the places at which a log may be cut: the beginnings of segments.
 * Leaves to others: up to where it may be (a certified checkpoint, `replica/`), removing the files (`segments.ts`). The file is durable
 * before the first segment goes, so a segment that is missing behind it is noticed.
 *
 *   start  magic u32, CRC-32 of the rest u32, version u32, log identity 8, segment, base, position of the record before varint,
 *          hard state's sequence varint, record that changed the log before it: ordinal, position, index, term varint, kind u8, body bytes
 *          varint, body checksum u32
 */
import { ByteReader, ByteWriter, equalBytes } from "../base/bytes.js";
import type { EntryId } from "../model/entry.js";
import type { LogIndex } from "../model/ids.js";
import { logIndex, term as termOf } from "../model/ids.js";
import type { Disk, Done } from "../ports/disk.js";
import { DiskError } from "../ports/disk.js";
import type { FormatContext, RecordIdentity } from "./wal-format.js";
import { isEntryKind, kindOf, noRecord, numberOfKind } from "./wal-format.js";

export const logStartName = "start";
/** Left behind by a crash, it is removed at start: a shorter one written over it would not be whole. */
export const logStartAside = "start.new";
const magic = 0x5453_5751; // "QWST"
const version = 1;
const bytesMax = 4096;

export interface LogStart {
  /** Number of the first segment, and its position. */
  readonly segment: number;
  readonly base: number;
  /** Of the last record before it, of any kind; 0 if there is none. */
  readonly lastPosition: number;
  /** The last record before it that changed the log. */
  readonly previous: RecordIdentity;
  /** The newest hard state that a record before it has seen. */
  readonly hardStateSequence: number;
}

const wholeLog: LogStart = { segment: 1, base: 0, lastPosition: 0, previous: noRecord, hardStateSequence: 0 };

/** The last entry before the start: the log goes on behind it. */
export function lastBefore({ previous }: LogStart): EntryId {
  return { index: previous.index, term: previous.term };
}

/** Undefined if the file is damaged. */
export function readLogStart(disk: Disk, directory: string, context: FormatContext): LogStart | undefined {
  const path = `${directory}/${logStartName}`;
  return disk.exists(path) ? decodeLogStart(disk.readFile(path, bytesMax), context) : wholeLog;
}

/** Durable when `done` is called without a failure. */
export function writeLogStart(
  disk: Disk,
  directory: string,
  { start, context }: { readonly start: LogStart; readonly context: FormatContext },
  done: Done,
): void {
  const aside = `${directory}/${logStartAside}`;
  disk.openLater(aside, "create", (file) => {
    if (file instanceof DiskError) return done(file);
    file.write(0, [encodeLogStart(start, context)], (failure) => {
      file.close(() => {
        if (failure !== undefined) return done(failure);
        disk.publish(aside, `${directory}/${logStartName}`, done);
      });
    });
  });
}

/** The places at which a log may be cut: of each segment that is left, what stands before its first record. */
export class LogStarts {
  #starts: LogStart[];

  constructor(starts: readonly LogStart[]) {
    this.#starts = [...starts];
  }

  /** Before the first record of a segment is written or, at start, accepted. */
  note(start: LogStart): void {
    if ((this.#starts.at(-1)?.segment ?? 0) < start.segment) this.#starts.push(start);
  }

  /** The last place with no entry behind `upTo` before it; undefined if nothing would be given back. */
  cutFor(upTo: LogIndex): LogStart | undefined {
    const possible = this.#starts.slice(1);
    // Behind a truncation the term of the last entry is not known.
    return possible.findLast(
      ({ previous: { kind, index } }) => index <= upTo && (isEntryKind(kind) || kind === "reset"),
    );
  }

  cutAt(start: LogStart): void {
    this.#starts = this.#starts.filter(({ segment }) => segment >= start.segment);
  }
}

function encodeLogStart(
  { segment, base, lastPosition, previous, hardStateSequence }: LogStart,
  context: FormatContext,
): Uint8Array {
  const writer = new ByteWriter();
  writer.u32(magic);
  writer.u32(0);
  writer.u32(version);
  writer.raw(context.logIdentity);
  for (const number of [segment, base, lastPosition, hardStateSequence]) writer.varint(number);
  for (const number of [previous.ordinal, previous.position, previous.index, previous.term]) writer.varint(number);
  writer.u8(numberOfKind(previous.kind));
  writer.varint(previous.bodyBytes);
  writer.u32(previous.bodyChecksum);
  writer.patchU32(4, context.hash.crc32(writer.peek().subarray(8)));
  return writer.finish();
}

function decodeLogStart(bytes: Uint8Array, context: FormatContext): LogStart | undefined {
  const reader = new ByteReader(bytes);
  const found = reader.u32();
  const checksum = reader.u32();
  if (reader.failed || found !== magic || checksum !== context.hash.crc32(bytes.subarray(8))) return undefined;
  if (reader.u32() !== version || !equalBytes(reader.raw(8), context.logIdentity)) return undefined;
  const [segment, base, lastPosition, hardStateSequence] = [
    reader.varint(),
    reader.varint(),
    reader.varint(),
    reader.varint(),
  ];
  const [ordinal, position] = [reader.varint(), reader.varint()];
  const [index, term, kind] = [logIndex(reader.varint()), termOf(reader.varint()), kindOf(reader.u8())];
  const [bodyBytes, bodyChecksum] = [reader.varint(), reader.u32()];
  if (!reader.complete || index === undefined || term === undefined || kind === undefined) return undefined;
  const previous = { ordinal, position, kind, index, term, bodyBytes, bodyChecksum };
  return { segment, base, lastPosition, previous, hardStateSequence };
}
