/**
 * Raft messages as bytes.
 *
 * Owns: the layout below and its limits. Leaves to others: framing, authentication, versions. `decodeRaftMessage` is total:
 * foreign bytes give `undefined`, never an exception, and what it returns keeps the rules that the core asserts (indexes
 * without gaps, terms and times that never go back, counters below 2^52). Called by the engine for each message.
 *
 *   u8 kind | varint term | fields in the order of `messages.ts`
 *   EntryId        varint index | varint term
 *   AppendEntries  varint round | EntryId previous | varint commit | varint count | count entries
 *   entry          u8 kind | varint term | varint time | varint length | payload
 *
 * Payloads are copied once when encoding; when decoding they are views of the message.
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { unreachable } from "../base/invariant.js";
import type { AppendEntries, AppendEntriesReply, AppendOutcome, RaftMessage } from "../consensus/raft/messages.js";
import type { Entry, EntryId, EntryKind } from "../model/entry.js";
import { decodeMembership } from "../model/membership-codec.js";
import { logSpaces } from "../model/log.js";
import { advance, counterMax, noIndex, type LogIndex, type Term } from "../model/ids.js";

/** Positions are the codes on the wire: only ever append. */
const messageKinds = [
  "PreVote",
  "PreVoteReply",
  "RequestVote",
  "RequestVoteReply",
  "AppendEntries",
  "AppendEntriesReply",
  "ReadIndex",
  "ReadIndexReply",
  "TimeoutNow",
  "InstallSnapshot",
] as const satisfies readonly RaftMessage["kind"][];

const entryKinds = [
  "noop",
  "batch",
  "time",
  "configuration",
  "report",
  "version",
  "checkpoint",
] as const satisfies readonly EntryKind[];

const outcomeKinds = ["accepted", "conflict", "outdated"] as const satisfies readonly AppendOutcome["kind"][];

/** A kind, three varints of at most eight bytes. */
const entryHeadBytesMax = 25;
const messageHeadBytesMax = 64;

export function encodeRaftMessage(message: RaftMessage): Uint8Array {
  // Large enough from the start, so that the payloads are copied once.
  const writer = new ByteWriter(message.kind === "AppendEntries" ? sizeOf(message) : messageHeadBytesMax);
  writer.u8(messageKinds.indexOf(message.kind));
  writer.varint(message.term);
  writeFields(writer, message);
  return writer.handOver();
}

export function decodeRaftMessage(bytes: Uint8Array): RaftMessage | undefined {
  const reader = new ByteReader(bytes);
  const kind = messageKinds[reader.u8()];
  const term = readCounter(reader) as Term;
  if (kind === undefined) return undefined;
  const message = readFields(reader, kind, term);
  return reader.complete ? message : undefined;
}

function sizeOf({ entries }: AppendEntries): number {
  let size = messageHeadBytesMax;
  for (const { payload } of entries) size += entryHeadBytesMax + payload.length;
  return size;
}

function writeFields(writer: ByteWriter, message: RaftMessage): void {
  switch (message.kind) {
    case "PreVote":
      writer.varint(message.attempt);
      return writeEntryId(writer, message.last);
    case "PreVoteReply":
      writer.varint(message.attempt);
      return writer.u8(message.granted ? 1 : 0);
    case "RequestVote":
      writeEntryId(writer, message.last);
      return writer.u8(message.transfer === true ? 1 : 0);
    case "RequestVoteReply":
      return writer.u8(message.granted ? 1 : 0);
    case "AppendEntries":
      writer.varint(message.round);
      writeEntryId(writer, message.previous);
      writer.varint(message.commit);
      return writeEntries(writer, message.entries);
    case "AppendEntriesReply":
      writer.varint(message.round);
      writeOutcome(writer, message.outcome);
      writer.u8(logSpaces.indexOf(message.space ?? "ample"));
      return writer.varint(message.priority ?? 1);
    case "ReadIndex":
      writer.varint(message.id);
      return writer.u8(message.byLease ? 1 : 0);
    case "ReadIndexReply":
      writer.varint(message.id);
      writer.u8(message.index === undefined ? 0 : 1);
      return writer.varint(message.index ?? 0);
    case "TimeoutNow":
      return;
    case "InstallSnapshot":
      writer.varint(message.round);
      return writeEntryId(writer, message.last);
    default:
      return unreachable(message);
  }
}

function writeEntryId(writer: ByteWriter, id: EntryId): void {
  writer.varint(id.index);
  writer.varint(id.term);
}

function writeEntries(writer: ByteWriter, entries: readonly Entry[]): void {
  writer.varint(entries.length);
  for (const { kind, term, time, payload } of entries) {
    writer.u8((entryKinds as readonly EntryKind[]).indexOf(kind));
    writer.varint(term);
    writer.varint(time);
    writer.bytes(payload);
  }
}

function writeOutcome(writer: ByteWriter, outcome: AppendOutcome): void {
  writer.u8(outcomeKinds.indexOf(outcome.kind));
  if (outcome.kind === "accepted") writer.varint(outcome.match);
  if (outcome.kind === "conflict") {
    writer.varint(outcome.rejected);
    writeEntryId(writer, outcome.hint);
  }
}

function readFields(reader: ByteReader, kind: RaftMessage["kind"], term: Term): RaftMessage | undefined {
  switch (kind) {
    case "PreVote":
      return { kind, term, attempt: readCounter(reader), last: readEntryId(reader, term) };
    case "PreVoteReply":
      return { kind, term, attempt: readCounter(reader), granted: readFlag(reader) };
    case "RequestVote": {
      const last = readEntryId(reader, term);
      return readFlag(reader) ? { kind, term, last, transfer: true } : { kind, term, last };
    }
    case "RequestVoteReply":
      return { kind, term, granted: readFlag(reader) };
    case "AppendEntries":
      return readAppendEntries(reader, term);
    case "AppendEntriesReply":
      return readAppendEntriesReply(reader, term);
    case "ReadIndex":
      return { kind, term, id: readId(reader), byLease: readFlag(reader) };
    case "ReadIndexReply":
      return { kind, term, id: readId(reader), index: readOptionalIndex(reader) };
    case "TimeoutNow":
      return { kind, term };
    case "InstallSnapshot":
      return { kind, term, round: readCounter(reader), last: readEntryId(reader, term) };
    default:
      return unreachable(kind);
  }
}

function readAppendEntries(reader: ByteReader, term: Term): AppendEntries {
  const round = readCounter(reader);
  const previous = readEntryId(reader, term);
  const commit = readCounter(reader) as LogIndex;
  const count = reader.varint();
  // Each entry takes at least four bytes, so a lie about the count costs nothing.
  if (count * 4 > reader.remaining || previous.index + count >= counterMax) reader.fail();
  const entries: Entry[] = [];
  let before: { readonly term: Term; readonly time: number } = { term: previous.term, time: 0 };
  for (let at = 1; at <= count && !reader.failed; at += 1) {
    const entry = readEntry(reader, advance(previous.index, at));
    if (entry.term < before.term || entry.term > term || entry.time < before.time) reader.fail();
    entries.push(entry);
    before = entry;
  }
  return { kind: "AppendEntries", term, round, previous, commit, entries };
}

function readAppendEntriesReply(reader: ByteReader, term: Term): AppendEntriesReply {
  const reply = { kind: "AppendEntriesReply", term, round: readCounter(reader), outcome: readOutcome(reader) } as const;
  const space = logSpaces[reader.u8()];
  if (space === undefined) reader.fail();
  const priority = readCounter(reader);
  return { ...reply, ...(space === "ample" ? {} : { space }), ...(priority === 1 ? {} : { priority }) };
}

function readEntry(reader: ByteReader, index: LogIndex): Entry {
  const kind = entryKinds[reader.u8()];
  if (kind === undefined) reader.fail();
  const term = readCounter(reader) as Term;
  if (term === 0) reader.fail();
  const entry: Entry = { index, term, kind: kind ?? "noop", time: reader.varint(), payload: reader.bytes() };
  if (kind === "configuration" && decodeMembership(entry.payload) === undefined) reader.fail();
  return entry;
}

/** An entry of the sender's log: it has a term from 1 to the sender's, or it is the place before the first entry. */
function readEntryId(reader: ByteReader, termMax: Term): EntryId {
  const index = readCounter(reader) as LogIndex;
  const term = readCounter(reader) as Term;
  if (term > termMax || (index === noIndex) !== (term === 0)) reader.fail();
  return { index, term };
}

function readOutcome(reader: ByteReader): AppendOutcome {
  const kind = outcomeKinds[reader.u8()];
  switch (kind) {
    case "accepted":
      return { kind, match: readCounter(reader) as LogIndex };
    case "conflict": {
      const rejected = readCounter(reader) as LogIndex;
      // Nobody can refuse the place before the first entry.
      if (rejected === noIndex) reader.fail();
      return { kind, rejected, hint: readEntryId(reader, (counterMax - 1) as Term) };
    }
    case "outdated":
      return { kind };
    default:
      reader.fail();
      return { kind: "outdated" };
  }
}

function readOptionalIndex(reader: ByteReader): LogIndex | undefined {
  const present = readFlag(reader);
  const index = readCounter(reader) as LogIndex;
  if (!present && index !== noIndex) reader.fail();
  return present ? index : undefined;
}

function readFlag(reader: ByteReader): boolean {
  const flag = reader.u8();
  if (flag > 1) reader.fail();
  return flag === 1;
}

function readCounter(reader: ByteReader): number {
  const value = reader.varint();
  if (value >= counterMax) reader.fail();
  return value;
}

/** Echoed, never counted with. */
function readId(reader: ByteReader): number {
  return reader.varint();
}
