/**
 * Bytes of what is asked and answered about events.
 *
 * Owns: the format and its total decoder. An answer travels as a query's outcome: `ok` with a page, or rejected as COMPACTED with a position.
 *
 *   question   id varint, name text, from u8 (0 the oldest | 1: position), count varint, wait in milliseconds varint
 *   page       next position, count varint, each: position, data bytes
 *   position   index varint, ordinal + 1 varint, sequence varint
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { isPosition, type EventPosition, type EventsAnswer, type StoredEvent } from "../model/events.js";
import { requestLimits } from "../model/request-limits.js";
import type { ClientMessage, QueryOutcome } from "../model/request.js";
import { readBytes, readText } from "./bounded.js";

type EventsMessage = Extract<ClientMessage, { readonly kind: "events" }>;

const compacted = "COMPACTED";

export function encodeEventsMessage({ id, question, waitMs }: EventsMessage): Uint8Array {
  const writer = new ByteWriter(64);
  writer.varint(id);
  writer.text(question.name);
  writer.u8(question.from === undefined ? 0 : 1);
  if (question.from !== undefined) writePosition(writer, question.from);
  writer.varint(question.countMax);
  writer.varint(waitMs);
  return writer.finish();
}

export function decodeEventsMessage(payload: Uint8Array): EventsMessage | undefined {
  const reader = new ByteReader(payload);
  const id = reader.varint();
  const name = readText(reader, requestLimits.nameBytesMax);
  const isFromKnown = reader.u8();
  if (isFromKnown > 1) reader.fail();
  const from = isFromKnown === 1 ? readPosition(reader) : undefined;
  const countMax = reader.varint();
  const waitMs = reader.varint();
  if (!reader.complete || countMax < 1 || countMax > requestLimits.eventPageCountMax) return undefined;
  return { kind: "events", id, question: { name, from, countMax }, waitMs };
}

export function outcomeOfEvents(answer: EventsAnswer): QueryOutcome {
  const writer = new ByteWriter(64);
  if (answer.kind === "compacted") {
    writePosition(writer, answer.resumeAfter);
    return { status: "rejected", code: compacted, data: writer.finish() };
  }
  writePosition(writer, answer.next);
  writer.varint(answer.events.length);
  for (const { position, data } of answer.events) {
    writePosition(writer, position);
    writer.bytes(data);
  }
  return { status: "ok", output: writer.finish() };
}

/** Undefined if it is not an answer about events. */
export function eventsOfOutcome(outcome: QueryOutcome): EventsAnswer | undefined {
  if (outcome.status === "ok") return readPage(new ByteReader(outcome.output));
  if (outcome.status !== "rejected" || outcome.code !== compacted) return undefined;
  const reader = new ByteReader(outcome.data);
  const resumeAfter = readPosition(reader);
  return reader.complete ? { kind: "compacted", resumeAfter } : undefined;
}

function readPage(reader: ByteReader): EventsAnswer | undefined {
  const next = readPosition(reader);
  const count = reader.varint();
  const events: StoredEvent[] = [];
  for (let at = 0; at < count && !reader.failed; at += 1) {
    const position = readPosition(reader);
    events.push({ position, data: readBytes(reader, requestLimits.eventBytesMax) });
  }
  return reader.complete ? { kind: "page", events, next } : undefined;
}

function writePosition(writer: ByteWriter, { index, ordinal, sequence }: EventPosition): void {
  writer.varint(index);
  writer.varint(ordinal + 1);
  writer.varint(sequence);
}

/** The caller checks `failed`. */
function readPosition(reader: ByteReader): EventPosition {
  const position = { index: reader.varint(), ordinal: reader.varint() - 1, sequence: reader.varint() };
  if (!isPosition(position)) reader.fail();
  return position;
}
