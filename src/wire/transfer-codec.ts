/**
 * The bytes of transfer messages (`model/transfer.ts`).
 *
 * Owns: their one form. Decoding is total; what a chunk or a manifest holds is not looked at here: the asker compares hashes.
 *
 *   manifestRequest  u8 1, index varint               manifestReply  u8 2, certificate (`checkpoint-codec.ts`), manifest bytes
 *   manifestAbsent   u8 3, index varint               chunkRequest   u8 4, hash 32, bytes varint
 *   chunkReply       u8 5, hash 32, content bytes     chunkAbsent    u8 6, hash 32
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { unreachable } from "../base/invariant.js";
import { logIndex } from "../model/ids.js";
import type { TransferMessage } from "../model/transfer.js";
import { readCertificate, writeCertificate } from "./checkpoint-codec.js";

/** A kind's place is its byte, from 1; new kinds are added at the end. */
const kinds = [
  "manifestRequest",
  "manifestReply",
  "manifestAbsent",
  "chunkRequest",
  "chunkReply",
  "chunkAbsent",
] as const satisfies readonly TransferMessage["kind"][];
const hashBytes = 32;

export function encodeTransferMessage(message: TransferMessage): Uint8Array {
  const content = message.kind === "chunkReply" ? message.content : undefined;
  const writer = new ByteWriter(128 + (content?.length ?? 0));
  writer.u8(kinds.indexOf(message.kind) + 1);
  switch (message.kind) {
    case "manifestRequest":
    case "manifestAbsent":
      writer.varint(message.index);
      break;
    case "manifestReply":
      writeCertificate(writer, message.certificate);
      writer.bytes(message.manifest);
      break;
    case "chunkRequest":
      writer.raw(message.hash);
      writer.varint(message.bytes);
      break;
    case "chunkReply":
      writer.raw(message.hash);
      writer.bytes(message.content);
      break;
    case "chunkAbsent":
      writer.raw(message.hash);
      break;
    default:
      unreachable(message);
  }
  return writer.peek();
}

export function decodeTransferMessage(bytes: Uint8Array): TransferMessage | undefined {
  const reader = new ByteReader(bytes);
  const message = readMessage(reader);
  return reader.complete ? message : undefined;
}

function readMessage(reader: ByteReader): TransferMessage | undefined {
  const kind = kinds[reader.u8() - 1];
  switch (kind) {
    case "manifestRequest":
    case "manifestAbsent": {
      const index = logIndex(reader.varint());
      return index === undefined ? undefined : { kind, index };
    }
    case "manifestReply": {
      const certificate = readCertificate(reader);
      return certificate === undefined ? undefined : { kind, certificate, manifest: reader.bytes() };
    }
    case "chunkRequest":
      return { kind, hash: reader.raw(hashBytes), bytes: reader.varint() };
    case "chunkReply":
      return { kind, hash: reader.raw(hashBytes), content: reader.bytes() };
    case "chunkAbsent":
      return { kind, hash: reader.raw(hashBytes) };
    default:
      return undefined;
  }
}
