/**
 * The bytes of repair messages (`model/repair.ts`).
 *
 * Owns: their one form. Decoding is total. Whether an entry is the wanted one is not decided here: its checksum is compared by
 * the asker.
 *
 *   repairRequest  u8 1, index, term varint, checksum u32
 *   repairReply    u8 2, index, term varint, kind u8, time varint, payload bytes
 *   repairAbsent   u8 3, index varint
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import type { Entry, EntryKind } from "../model/entry.js";
import { logIndex, term } from "../model/ids.js";
import type { LogIndex, Term } from "../model/ids.js";
import type { RepairMessage } from "../model/repair.js";

const kindRequest = 1;
const kindReply = 2;
const kindAbsent = 3;

/** A kind's place is its byte; new kinds are added at the end. */
const entryKinds: readonly EntryKind[] = ["noop", "batch", "time", "configuration", "report", "version", "checkpoint"];

export function encodeRepairMessage(message: RepairMessage): Uint8Array {
  const writer = new ByteWriter(message.kind === "repairReply" ? message.entry.payload.length + 64 : 32);
  switch (message.kind) {
    case "repairRequest":
      writer.u8(kindRequest);
      writer.varint(message.wanted.index);
      writer.varint(message.wanted.term);
      writer.u32(message.wanted.checksum);
      break;
    case "repairReply":
      writer.u8(kindReply);
      writer.varint(message.entry.index);
      writer.varint(message.entry.term);
      writer.u8(entryKinds.indexOf(message.entry.kind));
      writer.varint(message.entry.time);
      writer.bytes(message.entry.payload);
      break;
    case "repairAbsent":
      writer.u8(kindAbsent);
      writer.varint(message.index);
      break;
  }
  return writer.finish();
}

export function decodeRepairMessage(bytes: Uint8Array): RepairMessage | undefined {
  const reader = new ByteReader(bytes);
  const message = readMessage(reader);
  return reader.complete ? message : undefined;
}

function readMessage(reader: ByteReader): RepairMessage | undefined {
  switch (reader.u8()) {
    case kindRequest: {
      const name = readName(reader);
      const checksum = reader.u32();
      return name === undefined ? undefined : { kind: "repairRequest", wanted: { ...name, checksum } };
    }
    case kindReply: {
      const entry = readEntry(reader);
      return entry === undefined ? undefined : { kind: "repairReply", entry };
    }
    case kindAbsent: {
      const index = logIndex(reader.varint());
      return index === undefined ? undefined : { kind: "repairAbsent", index };
    }
    default:
      reader.fail();
      return undefined;
  }
}

function readName(reader: ByteReader): { readonly index: LogIndex; readonly term: Term } | undefined {
  const index = logIndex(reader.varint());
  const entryTerm = term(reader.varint());
  return index === undefined || entryTerm === undefined ? undefined : { index, term: entryTerm };
}

function readEntry(reader: ByteReader): Entry | undefined {
  const name = readName(reader);
  const kind = entryKinds[reader.u8()];
  const time = reader.varint();
  // A copy: the payload is kept for longer than the frame that it came in.
  const payload = reader.bytes().slice();
  return name === undefined || kind === undefined ? undefined : { ...name, kind, time, payload };
}
