/**
 * Which segments a log directory holds, and whether they are ours.
 *
 * Owns: the checks of names, headers and versions before any record is read. Leaves to others: the records (`wal-recovery.ts`).
 * Changes nothing on disk.
 */
import type { LogStart } from "./log-start.js";
import { logStartName, readLogStart } from "./log-start.js";
import type { LogRefused } from "./log-store.js";
import { DiskError } from "../ports/disk.js";
import type { Segment, SegmentParts } from "./segments.js";
import { segmentName, sequenceOf } from "./segments.js";
import type { DecodedSegmentHeader } from "./wal-format.js";
import { decodeSegmentHeader, formatVersion, segmentHeaderBytes } from "./wal-format.js";

/** A segment is read whole at start. */
export const segmentBytesMost = 256 * 1024 * 1024;

export interface FoundLog {
  readonly kind: "found";
  readonly start: LogStart;
  /** Numbers of segments before the start: a compaction was cut short. */
  readonly toRemove: readonly number[];
  /** Without gaps, in order. */
  readonly segments: readonly Segment[];
  /** Those whose header is damaged; what it must say follows from its neighbours. */
  readonly headersToWrite: readonly Segment[];
}

export function findSegments(parts: SegmentParts): FoundLog | LogRefused {
  const all = sequencesIn(parts);
  if (all === undefined) return refuse("missing", parts, "the directory is gone");
  const start = readLogStart(parts.disk, parts.directory, parts.context);
  if (start === undefined)
    return refuse("damaged", parts, `${logStartName}, which says where the log begins, is damaged`);
  const { segment: first } = start;
  const sequences = all.filter((sequence) => sequence >= first);
  if (sequences[0] !== first) return refuse("missing", parts, `the first segment, ${segmentName(first)}, is missing`);
  const segments: Segment[] = [];
  const headersToWrite: Segment[] = [];
  for (const [at, sequence] of sequences.entries()) {
    if (sequence !== first + at) {
      return refuse("missing", parts, `${segmentName(first + at)} is missing, but ${segmentName(sequence)} is there`);
    }
    const { decoded, bytes } = readHeader(parts, sequence);
    const base = segments.reduce((sum, segment) => sum + segment.bytes, start.base);
    const derived: Segment = { sequence, base, bytes };
    const problem = problemOf(decoded, derived);
    if (problem !== undefined) return refuse(problem.code, parts, `${segmentName(sequence)} ${problem.fact}`);
    if (decoded.kind === "damaged") headersToWrite.push(derived);
    segments.push(decoded.kind === "segment" ? { sequence, base, bytes: decoded.header.bytes } : derived);
  }
  const toRemove = all.filter((sequence) => sequence < first);
  return { kind: "found", start, toRemove, segments, headersToWrite };
}

function sequencesIn(parts: SegmentParts): readonly number[] | undefined {
  try {
    const sequences = parts.disk.list(parts.directory).map(sequenceOf);
    return sequences.filter((sequence) => sequence !== undefined).sort((left, right) => left - right);
  } catch (error) {
    if (error instanceof DiskError && error.code === "notFound") return undefined;
    throw error;
  }
}

function readHeader(
  parts: SegmentParts,
  sequence: number,
): { readonly decoded: DecodedSegmentHeader; readonly bytes: number } {
  const file = parts.disk.openFile(`${parts.directory}/${segmentName(sequence)}`, "existing");
  const header = new Uint8Array(segmentHeaderBytes);
  const length = file.readNow(0, header);
  const bytes = file.size();
  file.close(ignore);
  return { decoded: decodeSegmentHeader(header.subarray(0, length), parts.context), bytes };
}

interface Problem {
  readonly code: LogRefused["code"];
  readonly fact: string;
}

function problemOf(decoded: DecodedSegmentHeader, derived: Segment): Problem | undefined {
  if (decoded.kind === "foreign")
    return { code: "foreign", fact: "belongs to another log than this directory's identity file" };
  if (decoded.kind === "newer") {
    const fact = `has format version ${decoded.version}, and this program knows ${formatVersion}: use the newer program`;
    return { code: "newerVersion", fact };
  }
  const bytes = decoded.kind === "segment" ? decoded.header.bytes : derived.bytes;
  if (bytes < segmentHeaderBytes || bytes > segmentBytesMost) {
    return { code: "damaged", fact: `is ${bytes} bytes long, and the limit is ${segmentBytesMost}` };
  }
  if (decoded.kind === "damaged") return undefined;
  const { sequence, base } = decoded.header;
  if (sequence === derived.sequence && base === derived.base) return undefined;
  return { code: "damaged", fact: `is segment ${sequence} at position ${base}: it was renamed or copied here` };
}

function refuse(code: LogRefused["code"], parts: SegmentParts, fact: string): LogRefused {
  return { kind: "refused", code, message: `Cannot open the log in ${parts.directory}: ${fact}` };
}

function ignore(): void {
  // The file was only read.
}
