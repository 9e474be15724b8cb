/**
 * What replicas sign under Byzantine faults, and what proves something to others, as bytes.
 *
 * Owns: one form for each statement and certificate, and its limits. Leaves to others: messages and records (`bft-codec.ts`), what a
 * signature covers beside the statement (`authentication/domain.ts`). A reader fails on whatever no correct replica would send; so
 * what is malformed costs no signature (hazards B22 and B24).
 *
 *   statement    u8 kind | fields in the order of `messages.ts`
 *   ordered      varint view | varint index | digest
 *   digest       u8 0, of the null request; or u8 1 and 32 bytes
 *   signed       text by | signature 64 | statement
 *   votes        varint count, a quorum's | for each: text by, signature 64
 *   certificate  ordered | votes
 *   reached      u8 1, digest 32; or u8 2, digest 32, varint index of the change | varint length, successor
 *   stable       varint index | reached | votes; nothing but the index if that is 0; votes are none at the beginning of an epoch, in a ViewChange
 *   ViewChange   varint view | stable | varint count | certificates
 *   NewView      varint view | varint count | for each: text by, signature 64, ViewChange | varint count | first index | digests
 *
 * All statements of a certificate are those that it is of, so they are not written: unequal ones cannot even be said (hazard B2).
 */
import { type ByteReader, type ByteWriter, bytesOfHex, equalBytes, hexOf } from "../base/bytes.js";
import { invariant, unreachable } from "../base/invariant.js";
import type {
  Checkpoint,
  CheckpointCertificate,
  Commit,
  Digest,
  NewView,
  Ordered,
  Prepare,
  PreparedCertificate,
  Signed,
  Statement,
  ViewChange,
} from "../consensus/bft/messages.js";
import { advance, counterMax, isReplicaId, noIndex, type LogIndex, type ReplicaId, type View } from "../model/ids.js";
import { byzantineQuorumOf, membersMax } from "../model/membership.js";
import { readText } from "./bounded.js";
import { signatureBytes, type BatchLimits } from "./signed-batch.js";
import { decodeSuccessor } from "./successor-codec.js";

/** The same on every replica of an epoch. */
export interface BftLimits extends BatchLimits {
  /** Members: what a quorum is follows from it. In what a replica wrote itself, of any epoch, there are as many votes as there are. */
  readonly replicaCount: number | undefined;
  /** Of the core's settings. */
  readonly windowCount: number;
}

/** Positions are the codes on the wire and in what is signed: only ever append. */
const statementKinds = [
  "Prepare",
  "Commit",
  "Checkpoint",
  "ViewChange",
  "NewView",
] as const satisfies readonly Statement["kind"][];

const digestBytes = 32;
/** In the place of a digest's form: the epoch is about to end. */
const endingForm = 2;
const replicaIdBytesMax = 32;

export function writeStatement(writer: ByteWriter, statement: Statement): void {
  writer.u8(statementKinds.indexOf(statement.kind));
  switch (statement.kind) {
    case "Prepare":
    case "Commit":
      return writeOrdered(writer, statement);
    case "Checkpoint":
      writer.varint(statement.index);
      return writeReached(writer, statement);
    case "ViewChange":
      return writeViewChange(writer, statement);
    case "NewView":
      return writeNewView(writer, statement);
    default:
      return unreachable(statement);
  }
}

export function readStatement(reader: ByteReader, limits: BftLimits): Statement {
  const kind = statementKinds[reader.u8()];
  switch (kind) {
    case "Prepare":
    case "Commit":
      return { kind, ...readOrdered(reader) };
    case "Checkpoint":
      return { kind, index: readIndex(reader), ...readReached(reader) };
    case "ViewChange":
      return readViewChange(reader, limits);
    case "NewView":
      return readNewView(reader, limits);
    default:
      reader.fail();
      return { kind: "Checkpoint", index: noIndex, digest: "" };
  }
}

export function writeSigned(writer: ByteWriter, { by, signature, statement }: Signed): void {
  writeSigner(writer, { by, signature });
  writeStatement(writer, statement);
}

export function readSigned(reader: ByteReader, limits: BftLimits): Signed {
  const signer = readSigner(reader);
  return { ...signer, statement: readStatement(reader, limits) };
}

interface Signer {
  readonly by: ReplicaId;
  readonly signature: Uint8Array;
}

export function writeSigner(writer: ByteWriter, { by, signature }: Signer): void {
  invariant(signature.length === signatureBytes, "a signature has 64 bytes");
  writer.text(by);
  writer.raw(signature);
}

export function readSigner(reader: ByteReader): Signer {
  const by = readText(reader, replicaIdBytesMax);
  if (!isReplicaId(by)) reader.fail();
  // A copy: a vote that is kept for a window must not keep the chunk of a stream that it came in.
  return { by, signature: new Uint8Array(reader.raw(signatureBytes)) };
}

export function writeOrdered(writer: ByteWriter, { view, index, digest }: Ordered): void {
  writer.varint(view);
  writer.varint(index);
  writeDigest(writer, digest);
}

export function readOrdered(reader: ByteReader): Ordered {
  return { view: readCounter(reader) as View, index: readIndex(reader), digest: readDigest(reader) };
}

/** The null request has a digest, which says nothing; everything else has 32 bytes. */
export function writeDigest(writer: ByteWriter, digest: Digest): void {
  if (digest === "") return writer.u8(0);
  const bytes = bytesOfHex(digest);
  invariant(bytes?.length === digestBytes, "a digest is empty, or 64 hexadecimal digits");
  writer.u8(1);
  writer.raw(bytes);
}

export function readDigest(reader: ByteReader): Digest {
  const form = reader.u8();
  if (form > 1) reader.fail();
  return form === 0 ? "" : hexOf(reader.raw(digestBytes));
}

/** Of something: not of the null request. */
export function readContentDigest(reader: ByteReader): Digest {
  const digest = readDigest(reader);
  if (digest === "") reader.fail();
  return digest;
}

/** The signatures under equal statements. */
export function writeVotes<Kind extends Statement>(
  writer: ByteWriter,
  votes: readonly Signed<Kind>[],
  isEqual: (statement: Kind) => boolean,
): void {
  invariant(
    votes.every(({ statement }) => isEqual(statement)),
    "a certificate holds equal statements",
  );
  writer.varint(votes.length);
  for (const vote of votes) writeSigner(writer, vote);
}

/** Of a quorum of different replicas, exactly: nobody pays for more, and less proves nothing. */
export function readVotes<Kind extends Statement>(
  reader: ByteReader,
  limits: BftLimits,
  statement: Kind,
): readonly Signed<Kind>[] {
  return readSomeVotes(reader, readQuorum(reader, limits), statement);
}

function readQuorum(reader: ByteReader, limits: BftLimits): number {
  const count = reader.varint();
  if (isQuorum(count, limits)) return count;
  reader.fail();
  return 0;
}

function isQuorum(count: number, { replicaCount }: BftLimits): boolean {
  if (replicaCount !== undefined) return count === byzantineQuorumOf(replicaCount);
  return count > 0 && count <= membersMax;
}

function readSomeVotes<Kind extends Statement>(
  reader: ByteReader,
  count: number,
  statement: Kind,
): readonly Signed<Kind>[] {
  const votes: Signed<Kind>[] = [];
  for (let left = count; left > 0 && !reader.failed; left -= 1) {
    const { by, signature } = readSigner(reader);
    if (votes.some((vote) => vote.by === by)) reader.fail();
    votes.push({ statement, by, signature });
  }
  return votes;
}

export function writePrepared(writer: ByteWriter, certificate: PreparedCertificate): void {
  writeOrdered(writer, certificate);
  writeVotes(writer, certificate.prepares, isVoteFor("Prepare", certificate));
}

export function readPrepared(reader: ByteReader, limits: BftLimits): PreparedCertificate {
  const ordered = readOrdered(reader);
  const prepares = readVotes<Prepare>(reader, limits, { kind: "Prepare", ...ordered });
  return { ...ordered, prepares };
}

export function isVoteFor(kind: "Prepare" | "Commit", ordered: Ordered): (vote: Prepare | Commit) => boolean {
  const { view, index, digest } = ordered;
  return (vote) => vote.kind === kind && vote.view === view && vote.index === index && vote.digest === digest;
}

type Reached = Pick<CheckpointCertificate, "digest" | "ending">;

function writeReached(writer: ByteWriter, { digest, ending }: Reached): void {
  if (ending === undefined) return writeDigest(writer, digest);
  writer.u8(endingForm);
  const bytes = bytesOfHex(digest);
  invariant(bytes?.length === digestBytes, "a checkpoint has a digest");
  writer.raw(bytes);
  writer.varint(ending.at);
  writer.bytes(ending.successor.payload);
}

function isSameReached(one: Reached, other: Reached): boolean {
  const [ending, beside] = [one.ending, other.ending];
  if (ending === undefined || beside === undefined) return one.digest === other.digest && ending === beside;
  const isSameEnd = ending.at === beside.at && equalBytes(ending.successor.payload, beside.successor.payload);
  return isSameEnd && one.digest === other.digest;
}

function readReached(reader: ByteReader): Reached {
  const form = reader.u8();
  if (form !== 1 && form !== endingForm) reader.fail();
  const digest = hexOf(reader.raw(digestBytes));
  if (form !== endingForm) return { digest };
  const at = readIndex(reader);
  const successor = decodeSuccessor(reader.bytes());
  if (successor !== undefined) return { digest, ending: { at, successor } };
  reader.fail();
  return { digest };
}

export function writeStable(writer: ByteWriter, certificate: CheckpointCertificate): void {
  const { index, digest, checkpoints } = certificate;
  writer.varint(index);
  if (index === noIndex) return invariant(digest === "" && checkpoints.length === 0, "the beginning has no proof");
  writeReached(writer, certificate);
  writeVotes(
    writer,
    checkpoints,
    (each) => each.kind === "Checkpoint" && each.index === index && isSameReached(each, certificate),
  );
}

/** The very beginning needs no proof; everything else does. */
export function readStable(reader: ByteReader, limits: BftLimits): CheckpointCertificate {
  const certificate = readStart(reader, limits);
  if (certificate.index !== noIndex && certificate.checkpoints.length === 0) reader.fail();
  return certificate;
}

/** Where a replica that changes its view stands: at the beginning of an epoch, which needs no proof, or further. */
function readStart(reader: ByteReader, limits: BftLimits): CheckpointCertificate {
  const index = readCounter(reader) as LogIndex;
  if (index === noIndex) return { index, digest: "", checkpoints: [] };
  const reached = readReached(reader);
  const statement: Checkpoint = { kind: "Checkpoint", index, ...reached };
  const count = reader.varint();
  const isBeginning = count === 0 && reached.ending === undefined;
  if (!isBeginning && !isQuorum(count, limits)) reader.fail();
  return { index, ...reached, checkpoints: readSomeVotes(reader, count, statement) };
}

export function writeViewChange(writer: ByteWriter, { view, stable, prepared }: ViewChange): void {
  writer.varint(view);
  writeStable(writer, stable);
  writer.varint(prepared.length);
  for (const certificate of prepared) writePrepared(writer, certificate);
}

/** What is proved is between the water marks, of earlier views, and one for an index: the rest costs no signature (hazard B10). */
export function readViewChange(reader: ByteReader, limits: BftLimits): ViewChange {
  const view = readLaterView(reader);
  const stable = readStart(reader, limits);
  const prepared: PreparedCertificate[] = [];
  let last = stable.index;
  for (let left = readCount(reader, limits.windowCount); left > 0 && !reader.failed; left -= 1) {
    const certificate = readPrepared(reader, limits);
    const { index } = certificate;
    if (index <= last || index > stable.index + limits.windowCount || certificate.view >= view) reader.fail();
    prepared.push(certificate);
    last = index;
  }
  return { kind: "ViewChange", view, stable, prepared };
}

/**
 * The longest NEW-VIEW, encoded: what a frame between replicas must hold, or a view never begins. A VIEW-CHANGE has a certificate for
 * each index of its window and one of its checkpoint; counters take eight bytes at most.
 */
export function newViewBytesMax({
  replicaCount,
  windowCount,
}: {
  readonly replicaCount: number;
  readonly windowCount: number;
}): number {
  const quorum = byzantineQuorumOf(replicaCount);
  const signer = 1 + replicaIdBytesMax + signatureBytes;
  const certificate = 8 + 8 + 1 + digestBytes + 2 + quorum * signer;
  const viewChange = signer + 8 + (windowCount + 1) * certificate + 8;
  return signer + 16 + quorum * viewChange + 16 + windowCount * (1 + digestBytes);
}

export function writeNewView(writer: ByteWriter, { view, viewChanges, proposals }: NewView): void {
  const first = proposals[0]?.index ?? noIndex;
  invariant(
    proposals.every(({ index }, at) => index === first + at),
    "a view proposes again without gaps",
  );
  writer.varint(view);
  writer.varint(viewChanges.length);
  for (const viewChange of viewChanges) {
    writeSigner(writer, viewChange);
    writeViewChange(writer, viewChange.statement);
  }
  writer.varint(proposals.length);
  if (proposals.length > 0) writer.varint(first);
  for (const { digest } of proposals) writeDigest(writer, digest);
}

export function readNewView(reader: ByteReader, limits: BftLimits): NewView {
  const view = readLaterView(reader);
  const viewChanges: Signed<ViewChange>[] = [];
  for (let left = readQuorum(reader, limits); left > 0 && !reader.failed; left -= 1) {
    const { by, signature } = readSigner(reader);
    const statement = readViewChange(reader, limits);
    if (statement.view !== view || viewChanges.some((known) => known.by === by)) reader.fail();
    viewChanges.push({ statement, by, signature });
  }
  return { kind: "NewView", view, viewChanges, proposals: readProposals(reader, limits) };
}

function readProposals(reader: ByteReader, limits: BftLimits): NewView["proposals"] {
  const count = readCount(reader, limits.windowCount);
  if (count === 0) return [];
  const first = readIndex(reader);
  if (first + count >= counterMax) reader.fail();
  const proposals: { index: LogIndex; digest: Digest }[] = [];
  for (let at = 0; at < count && !reader.failed; at += 1) {
    proposals.push({ index: advance(first, at), digest: readDigest(reader) });
  }
  return proposals;
}

export function readCounter(reader: ByteReader): number {
  const value = reader.varint();
  if (value >= counterMax) reader.fail();
  return value;
}

export function readIndex(reader: ByteReader): LogIndex {
  const index = readCounter(reader) as LogIndex;
  if (index === noIndex) reader.fail();
  return index;
}

/** One that was changed to. */
function readLaterView(reader: ByteReader): View {
  const view = readCounter(reader) as View;
  if (view === 0) reader.fail();
  return view;
}

/** Each takes at least one byte, so a lie about the count costs nothing. */
function readCount(reader: ByteReader, max: number): number {
  const count = reader.varint();
  if (count <= max && count <= reader.remaining) return count;
  reader.fail();
  return 0;
}
