/**
 * Versions of the machine as bytes: changes in entries, what replicas offer, the replicated state.
 *
 * Owns: their one form. Decoding is total. An offer shares the kind of its entry with other reports, and has another first byte.
 *
 *   change  form u8 (1), what u8: 1 begin (version varint) or 2 start (from, version, configuration varint, names)
 *   offer   form u8 (3), replica text, incarnation varint, versions
 *   state   form u8 (1, or 4 if offers are signed), active, since varint, has begun u8, count varint of offers, offers as above, each with its
 *           entry varint in form 4, count varint of failed, per one: version, index varint, message text
 *   versions, names  count varint, then each: varint, text
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import { isReplicaId, logIndex, noIndex, type ReplicaId } from "../model/ids.js";
import type { FailedVersion, KnownOffer, VersionChange, VersionOffer, VersionState } from "../model/version.js";

const form = 1;
const offerForm = 3;
const signedForm = 4;
const beginKind = 1;
const startKind = 2;

export function encodeVersionChange(change: VersionChange): Uint8Array {
  const writer = new ByteWriter(32);
  writer.u8(form);
  writer.u8(change.kind === "begin" ? beginKind : startKind);
  if (change.kind === "start") writer.varint(change.from);
  writer.varint(change.version);
  if (change.kind === "start") {
    writer.varint(change.configuration);
    writer.varint(change.members.length);
    for (const member of change.members) writer.text(member);
  }
  return writer.finish();
}

export function decodeVersionChange(bytes: Uint8Array): VersionChange | undefined {
  const reader = new ByteReader(bytes);
  if (reader.u8() !== form) return undefined;
  const kind = reader.u8();
  if (kind === beginKind) {
    const version = reader.varint();
    return reader.complete ? { kind: "begin", version } : undefined;
  }
  if (kind !== startKind) return undefined;
  const [from, version] = [reader.varint(), reader.varint()];
  const configuration = logIndex(reader.varint());
  const members = readEach(reader, (): ReplicaId => reader.text());
  if (!reader.complete || configuration === undefined) return undefined;
  return { kind: "start", from, version, configuration, members };
}

export function encodeOffer(offer: VersionOffer): Uint8Array {
  const writer = new ByteWriter(64);
  writeOffer(writer, offer);
  return writer.finish();
}

/** Undefined if it is none, or in another form. */
export function decodeOffer(report: Uint8Array): VersionOffer | undefined {
  const reader = new ByteReader(report);
  const offer = readOffer(reader);
  return reader.complete ? offer : undefined;
}

export function encodeVersionState({ active, since, hasBegun, offers, failed }: VersionState): Uint8Array {
  const writer = new ByteWriter(64);
  const areSigned = offers.some(({ at }) => at > noIndex);
  writer.u8(areSigned ? signedForm : form);
  writer.varint(active);
  writer.varint(since);
  writer.u8(hasBegun ? 1 : 0);
  writer.varint(offers.length);
  for (const offer of offers) {
    writeOffer(writer, offer);
    if (areSigned) writer.varint(offer.at);
  }
  writer.varint(failed.length);
  for (const { version, index, message } of failed) {
    writer.varint(version);
    writer.varint(index);
    writer.text(message);
  }
  return writer.finish();
}

export function decodeVersionState(bytes: Uint8Array): VersionState | undefined {
  const reader = new ByteReader(bytes);
  const areSigned = bytes[0] === signedForm;
  if (reader.u8() !== form && !areSigned) return undefined;
  const active = reader.varint();
  const since = logIndex(reader.varint());
  const hasBegun = reader.u8() === 1;
  const offers = readEach(reader, (): KnownOffer | undefined => {
    const offer = readOffer(reader);
    const at = areSigned ? logIndex(reader.varint()) : noIndex;
    return offer === undefined || at === undefined ? undefined : { ...offer, at };
  });
  const failed = readEach(reader, (): FailedVersion => ({
    version: reader.varint(),
    index: logIndex(reader.varint()) ?? noIndex,
    message: reader.text(),
  }));
  const known = offers.filter((offer) => offer !== undefined);
  if (!reader.complete || since === undefined || known.length !== offers.length) return undefined;
  return { active, since, hasBegun, offers: known, failed };
}

function writeOffer(writer: ByteWriter, { replica, incarnation, versions }: VersionOffer): void {
  writer.u8(offerForm);
  writer.text(replica);
  writer.varint(incarnation);
  writer.varint(versions.length);
  for (const version of versions) writer.varint(version);
}

function readOffer(reader: ByteReader): VersionOffer | undefined {
  if (reader.u8() !== offerForm) return undefined;
  const replica = reader.text();
  const incarnation = reader.varint();
  const versions = readEach(reader, () => reader.varint());
  const isAscending = versions.every((version, at) => version > (versions[at - 1] ?? 0));
  return isReplicaId(replica) && isAscending && !reader.failed ? { replica, incarnation, versions } : undefined;
}

function readEach<Item>(reader: ByteReader, read: () => Item): Item[] {
  const items: Item[] = [];
  for (let left = reader.varint(); left > 0 && !reader.failed; left -= 1) items.push(read());
  return items;
}
