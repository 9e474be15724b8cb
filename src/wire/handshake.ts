/**
 * The first messages of a connection: who speaks, of which cluster, in which version.
 *
 * Owns: the bytes of Hello, Welcome, Refused and Proof, and the protocol's version. Leaves to others: deciding whom to let in
 * (`transport/gate.ts`). `credential` and Proof are for replicas that prove who they are (`transport/link-proofs.ts`); where they do not,
 * it is empty and there is no Proof.
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { noEntry, type EntryId } from "../model/entry.js";
import { logIndex, noIndex, noTerm, term, type LogIndex, type ReplicaId, type Term } from "../model/ids.js";

/** Grows when a release cannot speak with the one before it. */
export const protocolVersion = 4;
/** Of a speaker whose log names no members, and of a client. */
export const noConfiguration: EntryId = noEntry;
const magic = 0x5154_5251;

/**
 * What the speaker's process found on its disk when it started. Less than was promised from that disk before shows that it is an older
 * copy, or has lost something.
 */
export interface FoundDisk {
  /** Starts on this directory, this one included; 0: this one could not be counted, since the disk was full. */
  readonly starts: number;
  /** Of its hard state. */
  readonly term: Term;
  readonly lastIndex: LogIndex;
}

/** Of a client. */
export const noDisk: FoundDisk = { starts: 0, term: noTerm, lastIndex: noIndex };

export interface Hello {
  readonly kind: "hello";
  readonly protocol: number;
  readonly role: "replica" | "client";
  /** Empty for a client that takes any cluster. */
  readonly clusterId: string;
  /** The speaker's id (a replica's) or a name for logs (a client's). */
  readonly from: string;
  /** The replica that the speaker means to reach; empty for a client. */
  readonly to: ReplicaId;
  readonly incarnation: number;
  /** Drawn at each process start, so that two processes under one id are told apart. */
  readonly process: string;
  readonly machine: string;
  readonly machineVersion: number;
  /** What must be alike: the limits that execution depends on, and at founders the members at bootstrap. Empty for a client. */
  readonly foundation: string;
  readonly found: FoundDisk;
  /** The newest configuration in the speaker's log, so that the two know which of them knows the members better. */
  readonly configuration: EntryId;
  readonly credential: Uint8Array;
}

export interface Welcome {
  readonly kind: "welcome";
  readonly protocol: number;
  readonly clusterId: string;
  readonly from: ReplicaId;
  readonly incarnation: number;
  readonly process: string;
  readonly machine: string;
  readonly machineVersion: number;
  readonly foundation: string;
  readonly found: FoundDisk;
  readonly configuration: EntryId;
  readonly credential?: Uint8Array;
}

/** The dialer has signed what both have said. */
export interface Proof {
  readonly kind: "proof";
  readonly signature: Uint8Array;
}

export interface Refused {
  readonly kind: "refused";
  readonly code: HandshakeRefusal;
  readonly message: string;
}

export const handshakeRefusals = [
  "WRONG_PROTOCOL",
  "WRONG_CLUSTER",
  "WRONG_REPLICA",
  "WRONG_ROLE",
  "WRONG_MACHINE",
  "WRONG_FOUNDATION",
  "NOT_A_MEMBER",
  "WRONG_INCARNATION",
  "IDENTITY_IN_USE",
  "TOO_MANY_CONNECTIONS",
  "STOPPING",
  "OLD_DISK",
  "WRONG_KEY",
] as const;

export type HandshakeRefusal = (typeof handshakeRefusals)[number];
export type Handshake = Hello | Welcome | Refused | Proof;

const helloKind = 1;
const welcomeKind = 2;
const refusedKind = 3;
const proofKind = 4;
/** A Welcome with a credential behind it. */
const provenWelcomeKind = 5;

export function encodeHandshake(message: Handshake): Uint8Array {
  const writer = new ByteWriter(128);
  writer.u32(magic);
  switch (message.kind) {
    case "hello":
      writer.u8(helloKind);
      writer.varint(message.protocol);
      writer.u8(message.role === "replica" ? 1 : 2);
      writer.text(message.clusterId);
      writer.text(message.from);
      writer.text(message.to);
      writer.varint(message.incarnation);
      writer.text(message.process);
      writer.text(message.machine);
      writer.varint(message.machineVersion);
      writer.text(message.foundation);
      writeFound(writer, message.found);
      writeEntryId(writer, message.configuration);
      writer.bytes(message.credential);
      break;
    case "welcome":
      writer.u8(message.credential === undefined ? welcomeKind : provenWelcomeKind);
      writer.varint(message.protocol);
      writer.text(message.clusterId);
      writer.text(message.from);
      writer.varint(message.incarnation);
      writer.text(message.process);
      writer.text(message.machine);
      writer.varint(message.machineVersion);
      writer.text(message.foundation);
      writeFound(writer, message.found);
      writeEntryId(writer, message.configuration);
      if (message.credential !== undefined) writer.bytes(message.credential);
      break;
    case "proof":
      writer.u8(proofKind);
      writer.bytes(message.signature);
      break;
    case "refused":
      writer.u8(refusedKind);
      writer.u8(handshakeRefusals.indexOf(message.code));
      writer.text(message.message);
      break;
  }
  return writer.finish();
}

/** `undefined` for whatever is not a handshake of this protocol's form. */
export function decodeHandshake(bytes: Uint8Array): Handshake | undefined {
  const reader = new ByteReader(bytes);
  if (reader.u32() !== magic) return undefined;
  const message = decodeKind(reader, reader.u8());
  return reader.complete ? message : undefined;
}

function decodeKind(reader: ByteReader, kind: number): Handshake | undefined {
  if (kind === helloKind) return decodeHello(reader);
  if (kind === welcomeKind || kind === provenWelcomeKind) {
    return {
      kind: "welcome",
      protocol: reader.varint(),
      clusterId: reader.text(),
      from: reader.text(),
      incarnation: reader.varint(),
      process: reader.text(),
      machine: reader.text(),
      machineVersion: reader.varint(),
      foundation: reader.text(),
      found: readFound(reader),
      configuration: readEntryId(reader),
      ...(kind === provenWelcomeKind ? { credential: reader.bytes() } : {}),
    };
  }
  if (kind === proofKind) return { kind: "proof", signature: reader.bytes() };
  if (kind !== refusedKind) return undefined;
  const code = handshakeRefusals[reader.u8()];
  const message = reader.text();
  return code === undefined ? undefined : { kind: "refused", code, message };
}

function decodeHello(reader: ByteReader): Hello | undefined {
  const protocol = reader.varint();
  const role = reader.u8();
  if (role !== 1 && role !== 2) return undefined;
  return {
    kind: "hello",
    protocol,
    role: role === 1 ? "replica" : "client",
    clusterId: reader.text(),
    from: reader.text(),
    to: reader.text(),
    incarnation: reader.varint(),
    process: reader.text(),
    machine: reader.text(),
    machineVersion: reader.varint(),
    foundation: reader.text(),
    found: readFound(reader),
    configuration: readEntryId(reader),
    credential: reader.bytes(),
  };
}

function writeFound(writer: ByteWriter, { starts, term: ofTerm, lastIndex }: FoundDisk): void {
  writer.varint(starts);
  writer.varint(ofTerm);
  writer.varint(lastIndex);
}

function readFound(reader: ByteReader): FoundDisk {
  const starts = reader.varint();
  const ofTerm = term(reader.varint()) ?? noTerm;
  return { starts, term: ofTerm, lastIndex: logIndex(reader.varint()) ?? noIndex };
}

function writeEntryId(writer: ByteWriter, { index, term }: EntryId): void {
  writer.varint(index);
  writer.varint(term);
}

function readEntryId(reader: ByteReader): EntryId {
  const index = logIndex(reader.varint());
  const ofTerm = term(reader.varint());
  return { index: index ?? noIndex, term: ofTerm ?? noTerm };
}
