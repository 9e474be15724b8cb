/**
 * Messages between replicas under Byzantine faults, and what each of them writes down, as bytes.
 *
 * Owns: one form for each `BftMessage` and `BftRecord`. Leaves to others: statements and certificates (`bft-statements.ts`), batches
 * (`signed-batch.ts`), framing, and every signature. Decoders are total: foreign bytes give `undefined`, never an exception; what they
 * take, the encoders give back byte for byte. Called by whoever joins a core to its links and its disk.
 *
 *   message  u8 0 PrePrepare    text by | signature 64 | varint view | varint index | content
 *            u8 1 Said          signed
 *            u8 2 Stable        stable
 *            u8 3 Committed     varint view | varint index | votes | content
 *            u8 4 Status        varint view | u8 isChanging | varint stable | varint committed
 *            u8 5 FetchBatch    digest
 *            u8 6 FetchedBatch  content
 *   between replicas  varint epoch + 1 | message
 *   record   u8 0 accepted      varint view | varint index | content
 *            u8 1 batch         content
 *            u8 2 prepared      certificate
 *            u8 3 viewChange    ViewChange
 *            u8 4 newView       NewView
 *            u8 5 entered       text by | signature 64 | NewView
 *            u8 6 stable        stable
 *            u8 7 epoch         varint epoch | stable
 *
 * A batch travels as its content. Its digest and the names of its requests are computed where it arrives, so nobody can lie about them.
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { invariant, unreachable } from "../base/invariant.js";
import type { Batch, BftMessage, Commit, Ordered, Prepare, Statement } from "../consensus/bft/messages.js";
import type { BftRecord } from "../consensus/bft/state.js";
import { counterMax, type LogIndex, type View } from "../model/ids.js";
import type { Hash } from "../ports/hash.js";
import * as statements from "./bft-statements.js";
import type { BftLimits } from "./bft-statements.js";
import { decodeContent, writeContent } from "./signed-batch.js";

export type { BftLimits } from "./bft-statements.js";

/** Positions are the codes on the wire: only ever append. */
const messageKinds = [
  "PrePrepare",
  "Said",
  "Stable",
  "Committed",
  "Status",
  "FetchBatch",
  "FetchedBatch",
] as const satisfies readonly BftMessage["kind"][];

/** Positions are the codes on disk: only ever append. */
const recordKinds = [
  "accepted",
  "batch",
  "prepared",
  "viewChange",
  "newView",
  "entered",
  "stable",
  "epoch",
] as const satisfies readonly BftRecord["kind"][];

/** Signer, signature, counters; a quorum's signatures need a little more, and get it. */
const headBytes = 256;

export function encodeBftMessage(message: BftMessage): Uint8Array {
  const writer = new ByteWriter("batch" in message ? headBytes + message.batch.proposal.payload.length : headBytes);
  writer.u8(messageKinds.indexOf(message.kind));
  writeMessage(writer, message);
  return writer.handOver();
}

/** As it travels: behind the epoch that it is of, -1 for none. */
export function encodeInEpoch(epoch: number, message: BftMessage): Uint8Array {
  const writer = new ByteWriter("batch" in message ? headBytes + message.batch.proposal.payload.length : headBytes);
  writer.varint(epoch + 1);
  writer.u8(messageKinds.indexOf(message.kind));
  writeMessage(writer, message);
  return writer.handOver();
}

/** `encoded` is a view: of a `BftMessage`, if it is one. */
export function splitEpoch(bytes: Uint8Array): { readonly epoch: number; readonly encoded: Uint8Array } | undefined {
  const reader = new ByteReader(bytes);
  const epoch = reader.varint() - 1;
  return reader.failed || epoch >= counterMax ? undefined : { epoch, encoded: bytes.subarray(reader.position) };
}

/** Shares no memory with `bytes`. */
export function decodeBftMessage(bytes: Uint8Array, limits: BftLimits, hash: Hash): BftMessage | undefined {
  const reader = new ByteReader(bytes);
  const kind = messageKinds[reader.u8()];
  const message = kind === undefined ? undefined : readMessage({ reader, limits, hash }, kind);
  return reader.complete ? message : undefined;
}

export function encodeBftRecord(record: BftRecord): Uint8Array {
  const writer = new ByteWriter("batch" in record ? headBytes + record.batch.proposal.payload.length : headBytes);
  writer.u8(recordKinds.indexOf(record.kind));
  writeRecord(writer, record);
  return writer.handOver();
}

/** Shares no memory with `bytes`. */
export function decodeBftRecord(bytes: Uint8Array, limits: BftLimits, hash: Hash): BftRecord | undefined {
  const reader = new ByteReader(bytes);
  const kind = recordKinds[reader.u8()];
  const record = kind === undefined ? undefined : readRecord({ reader, limits, hash }, kind);
  return reader.complete ? record : undefined;
}

/** What a signature covers, behind its domain (`authentication/domain.ts`): for who soon forgets it. */
export function encodeStatement(statement: Statement): Uint8Array {
  const writer = new ByteWriter(headBytes);
  statements.writeStatement(writer, statement);
  return writer.handOver();
}

export function decodeStatement(bytes: Uint8Array, limits: BftLimits): Statement | undefined {
  const reader = new ByteReader(bytes);
  const statement = statements.readStatement(reader, limits);
  return reader.complete ? statement : undefined;
}

function writeMessage(writer: ByteWriter, message: BftMessage): void {
  switch (message.kind) {
    case "PrePrepare": {
      const { prepare, batch } = message;
      invariant(prepare.statement.digest === batch.digest, "a PRE-PREPARE is of the batch that it carries");
      statements.writeSigner(writer, prepare);
      writePlace(writer, prepare.statement);
      return writeBatch(writer, batch);
    }
    case "Said":
      return statements.writeSigned(writer, message.signed);
    case "Stable":
      return statements.writeStable(writer, message.certificate);
    case "Committed": {
      const { certificate, batch } = message;
      invariant(certificate.digest === batch.digest, "a proof is of the batch that it carries");
      writePlace(writer, certificate);
      statements.writeVotes(writer, certificate.commits, statements.isVoteFor("Commit", certificate));
      return writeBatch(writer, batch);
    }
    case "Status":
      writer.varint(message.view);
      writer.u8(message.isChanging ? 1 : 0);
      writer.varint(message.stable);
      return writer.varint(message.committed);
    case "FetchBatch":
      return statements.writeDigest(writer, message.digest);
    case "FetchedBatch":
      return writeBatch(writer, message.batch);
    default:
      return unreachable(message);
  }
}

interface Reading {
  readonly reader: ByteReader;
  readonly limits: BftLimits;
  readonly hash: Hash;
}

function readMessage(reading: Reading, kind: BftMessage["kind"]): BftMessage | undefined {
  const { reader, limits } = reading;
  switch (kind) {
    case "PrePrepare":
      return readPrePrepare(reading);
    case "Said":
      return { kind, signed: statements.readSigned(reader, limits) };
    case "Stable": {
      const certificate = statements.readStable(reader, limits);
      return certificate.index === 0 ? undefined : { kind, certificate };
    }
    case "Committed":
      return readCommitted(reading);
    case "Status":
      return {
        kind,
        view: statements.readCounter(reader) as View,
        isChanging: readFlag(reader),
        stable: statements.readCounter(reader) as LogIndex,
        committed: statements.readCounter(reader) as LogIndex,
      };
    case "FetchBatch":
      return { kind, digest: statements.readContentDigest(reader) };
    case "FetchedBatch": {
      const batch = readBatch(reading);
      return batch === undefined || batch.digest === "" ? undefined : { kind, batch };
    }
    default:
      return unreachable(kind);
  }
}

function readPrePrepare(reading: Reading): BftMessage | undefined {
  const { by, signature } = statements.readSigner(reading.reader);
  const place = readPlace(reading.reader);
  const batch = readBatch(reading);
  if (batch === undefined) return undefined;
  const statement: Prepare = { kind: "Prepare", ...place, digest: batch.digest };
  return { kind: "PrePrepare", prepare: { statement, by, signature }, batch };
}

function readCommitted(reading: Reading): BftMessage | undefined {
  const { reader, limits } = reading;
  const place = readPlace(reader);
  // The batch comes last, and its digest is in each of the statements.
  const unnamed = statements.readVotes<Commit>(reader, limits, { kind: "Commit", ...place, digest: "" });
  const batch = readBatch(reading);
  if (batch === undefined) return undefined;
  const { digest } = batch;
  const statement: Commit = { kind: "Commit", ...place, digest };
  const commits = unnamed.map(({ by, signature }) => ({ statement, by, signature }));
  return { kind: "Committed", certificate: { ...place, digest, commits }, batch };
}

function writeRecord(writer: ByteWriter, record: BftRecord): void {
  switch (record.kind) {
    case "accepted":
      writePlace(writer, record);
      return writeBatch(writer, record.batch);
    case "batch":
      return writeBatch(writer, record.batch);
    case "prepared":
      return statements.writePrepared(writer, record.certificate);
    case "viewChange":
      return statements.writeViewChange(writer, record.statement);
    case "newView":
      return statements.writeNewView(writer, record.statement);
    case "entered":
      statements.writeSigner(writer, record.newView);
      return statements.writeNewView(writer, record.newView.statement);
    case "stable":
      return statements.writeStable(writer, record.certificate);
    case "epoch":
      writer.varint(record.epoch);
      return statements.writeStable(writer, record.certificate);
    default:
      return unreachable(record);
  }
}

function readRecord(reading: Reading, kind: BftRecord["kind"]): BftRecord | undefined {
  const { reader, limits } = reading;
  switch (kind) {
    case "accepted": {
      const place = readPlace(reader);
      const batch = readBatch(reading);
      return batch === undefined ? undefined : { kind, ...place, batch };
    }
    case "batch": {
      const batch = readBatch(reading);
      return batch === undefined || batch.digest === "" ? undefined : { kind, batch };
    }
    case "prepared":
      return { kind, certificate: statements.readPrepared(reader, limits) };
    case "viewChange":
      return { kind, statement: statements.readViewChange(reader, limits) };
    case "newView":
      return { kind, statement: statements.readNewView(reader, limits) };
    case "entered": {
      const { by, signature } = statements.readSigner(reader);
      return { kind, newView: { by, signature, statement: statements.readNewView(reader, limits) } };
    }
    case "stable": {
      const certificate = statements.readStable(reader, limits);
      return certificate.index === 0 ? undefined : { kind, certificate };
    }
    case "epoch": {
      const epoch = statements.readCounter(reader);
      const certificate = statements.readStable(reader, limits);
      return epoch === 0 || certificate.ending === undefined ? undefined : { kind, epoch, certificate };
    }
    default:
      return unreachable(kind);
  }
}

type Place = Pick<Ordered, "view" | "index">;

function writePlace(writer: ByteWriter, { view, index }: Place): void {
  writer.varint(view);
  writer.varint(index);
}

function readPlace(reader: ByteReader): Place {
  return { view: statements.readCounter(reader) as View, index: statements.readIndex(reader) };
}

function writeBatch(writer: ByteWriter, { proposal }: Batch): void {
  invariant(writeContent(writer, proposal), "a batch has a place in the order");
}

/** Up to the end. */
function readBatch({ reader, limits, hash }: Reading): Batch | undefined {
  const content = reader.raw(reader.remaining);
  return reader.failed ? undefined : decodeContent(content, limits, hash);
}

function readFlag(reader: ByteReader): boolean {
  const flag = reader.u8();
  if (flag > 1) reader.fail();
  return flag === 1;
}
