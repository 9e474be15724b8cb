/**
 * What a signature covers: beside what is said, where it is said.
 *
 * Owns: the bytes that are signed. A signature of another cluster, of another epoch of its members, or under something of another kind
 * is of other bytes, and so it is not good here (hazards B4, B6 and B23). View, index and digest are in the statement itself.
 *
 *   statement  text "quorate statement 1" | text cluster | varint epoch | statement (`wire/bft-statements.ts`)
 *   bundle     text "quorate requests 1" | text cluster | SHA-256 of the bundle's body (`wire/signed-batch.ts`)
 *   report     text "quorate report 1" | text cluster | varint epoch | varint executed index | report (`wire/signed-report.ts`)
 *   change     text "quorate members 1" | text cluster | body of a reconfiguration (`wire/successor-codec.ts`)
 *
 * Clients do not know epochs: what a client asked for is asked for whoever the members are, and is executed once by its session.
 */
import { ByteReader, ByteWriter, bytesOfHex } from "../base/bytes.js";
import { invariant } from "../base/invariant.js";
import type { Digest, Statement } from "../consensus/bft/messages.js";
import { decodeStatement, encodeStatement } from "../wire/bft-codec.js";
import { readText } from "../wire/bounded.js";
import type { SaidReport } from "../wire/signed-report.js";

const statementLabel = "quorate statement 1";
const bundleLabel = "quorate requests 1";
const reportLabel = "quorate report 1";
const changeLabel = "quorate members 1";
const clusterBytesMax = 4096;
const anyLimits = { windowCount: 1_000_000, batchBytesMax: 0, batchRequestsMax: 0 };

export interface Domain {
  readonly cluster: string;
  /** Counts the sets of members: certificates of one mean nothing in another. */
  readonly epoch: number;
}

export function signedBytesOf({ cluster, epoch }: Domain, statement: Statement): Uint8Array {
  const encoded = encodeStatement(statement);
  const writer = new ByteWriter(64 + cluster.length + encoded.length);
  writer.text(statementLabel);
  writer.text(cluster);
  writer.varint(epoch);
  writer.raw(encoded);
  return writer.finish();
}

/** As evidence holds them: of a cluster of `replicaCount`, with as many indexes in a window as any settings have. */
export function readSignedBytes(
  bytes: Uint8Array,
  replicaCount: number,
): { readonly domain: Domain; readonly statement: Statement } | undefined {
  const reader = new ByteReader(bytes);
  const label = readText(reader, 64);
  const cluster = readText(reader, clusterBytesMax);
  const epoch = reader.varint();
  if (label !== statementLabel) return undefined;
  const statement = decodeStatement(reader.raw(reader.remaining), { ...anyLimits, replicaCount });
  return statement && { domain: { cluster, epoch }, statement };
}

/** `id` is the name of a bundle. */
export function signedBytesOfBundle(cluster: string, id: Digest): Uint8Array {
  const digest = bytesOfHex(id);
  invariant(digest !== undefined, "a bundle is named by a digest");
  const writer = new ByteWriter(96 + cluster.length);
  writer.text(bundleLabel);
  writer.text(cluster);
  writer.raw(digest);
  return writer.finish();
}

export function signedBytesOfReport({ cluster, epoch }: Domain, { executed, report }: SaidReport): Uint8Array {
  const writer = new ByteWriter(64 + cluster.length + report.length);
  writer.text(reportLabel);
  writer.text(cluster);
  writer.varint(epoch);
  writer.varint(executed);
  writer.raw(report);
  return writer.finish();
}

/** What the administrator signs: who the members are after which epoch, and nothing that could mean anything in another cluster. */
export function signedBytesOfChange(cluster: string, body: Uint8Array): Uint8Array {
  const writer = new ByteWriter(64 + cluster.length + body.length);
  writer.text(changeLabel);
  writer.text(cluster);
  writer.raw(body);
  return writer.finish();
}
