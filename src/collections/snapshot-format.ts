/**
 * The bytes of a snapshot: the content of all collections, cut into chunks.
 *
 * Owns: the format and its total decoder. A chunk can be read alone and in any order, and equal states have equal chunks:
 *
 *     version 1 (u8)  then groups until the end:  name (text)  count (u32)  count times: key, value (canonical)
 *
 * Called by `state-store.ts`. Chunks come from a checkpoint that was certified before it was installed; the decoder believes nothing anyway.
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import type { Steps } from "../base/steps.js";
import type { SortedKey } from "../api/state.js";
import { quote, readFrozen, readValue, writeValue } from "../wire/canonical.js";
import { encodedEnd, fingerprintOfEncoded, fingerprintOfEntry } from "./entry-fingerprint.js";
import { entriesOf, newEntry, type TrieSnapshot } from "./hash-trie.js";
import { admitKey } from "./key.js";
import { PackedEntry } from "./packed-entry.js";
import type { TrieBuilder } from "./trie-builder.js";

export interface NamedContent {
  readonly name: string;
  readonly content: TrieSnapshot;
}

export interface NamedEntry {
  /** Of the collection. */
  readonly name: string;
  readonly key: unknown;
  readonly value: unknown;
}

/** Nothing was changed. */
export class SnapshotRefused extends Error {
  override readonly name = "SnapshotRefused";
}

const formatVersion = 1;
/** A chunk ends behind the entry that passes this. */
const chunkBytes = 65_536;
/** A shorter value is read at once: it takes less than what remembers where it is. */
const packedBytesMin = 32;

export function* writeChunks(contents: readonly NamedContent[]): IterableIterator<Uint8Array> {
  const writer = new ByteWriter(chunkBytes * 2);
  writer.u8(formatVersion);
  for (const { name, content } of contents) {
    let group = beginGroup(writer, name);
    for (const { key, value } of entriesOf(content.root)) {
      writeValue(writer, key);
      writeValue(writer, value);
      group.count += 1;
      if (writer.length < chunkBytes) continue;
      writer.patchU32(group.at, group.count);
      yield writer.finish();
      writer.reset();
      writer.u8(formatVersion);
      group = beginGroup(writer, name);
    }
    writer.patchU32(group.at, group.count);
  }
  yield writer.finish();
}

function beginGroup(writer: ByteWriter, name: string): { readonly at: number; count: number } {
  writer.text(name);
  const at = writer.length;
  writer.u32(0);
  return { at, count: 0 };
}

/**
 * Puts what the chunks hold into the tries of those names, a chunk in each step. Their bytes are kept, and must not change.
 *
 * @throws SnapshotRefused
 */
export function* readChunks(chunks: Iterable<Uint8Array>, into: ReadonlyMap<string, TrieBuilder>): Steps<void> {
  let number = 0;
  for (const chunk of chunks) {
    const reader = new ByteReader(chunk);
    const version = reader.u8();
    if (version !== formatVersion) throw refusal(number, `its format is ${version} and ${formatVersion} is known`);
    while (reader.remaining > 0) readGroup({ bytes: chunk, number }, reader, into);
    if (reader.failed) throw refusal(number, "it ends early or is not canonical");
    number += 1;
    yield;
  }
}

/** What the chunks of a snapshot hold, for whoever compares two. Ends early in a chunk that is not in this version's form. */
export function* entriesInChunks(chunks: Iterable<Uint8Array>): IterableIterator<NamedEntry> {
  for (const chunk of chunks) {
    const reader = new ByteReader(chunk);
    if (reader.u8() !== formatVersion) continue;
    while (reader.remaining > 0 && !reader.failed) {
      const name = reader.text();
      for (let left = reader.u32(); left > 0 && !reader.failed; left -= 1)
        yield { name, key: readValue(reader), value: readValue(reader) };
    }
  }
}

/** A snapshot of these entries, in this order: installed, it is the same state, put together in another way. */
export function chunkOfEntries(entries: readonly NamedEntry[]): Uint8Array {
  const writer = new ByteWriter(chunkBytes);
  writer.u8(formatVersion);
  for (const { name, key, value } of entries) {
    writer.text(name);
    writer.u32(1);
    writeValue(writer, key);
    writeValue(writer, value);
  }
  return writer.finish();
}

function readGroup(
  { bytes, number }: { readonly bytes: Uint8Array; readonly number: number },
  reader: ByteReader,
  into: ReadonlyMap<string, TrieBuilder>,
): void {
  const name = reader.text();
  const count = reader.u32();
  const trie = into.get(name);
  if (reader.failed) return;
  if (trie === undefined) throw refusal(number, `the machine has no collection ${quote(name)}`);
  for (let at = 0; at < count && !reader.failed; at += 1) {
    const from = reader.position;
    const fingerprint = fingerprintOfEncoded(bytes, from);
    const end = encodedEnd();
    const read = readValue(reader);
    if (reader.failed) return;
    const key = admitRead(read, name, number);
    if (fingerprint !== undefined && end - reader.position >= packedBytesMin) {
      trie.put(new PackedEntry(key, bytes, reader.position), fingerprint);
      reader.skip(end - reader.position);
    } else {
      const kept = { hasBytes: false };
      const value = readFrozen(reader, kept);
      if (reader.failed) return;
      trie.put(newEntry(key, value, kept.hasBytes), fingerprint ?? fingerprintOfEntry(key, value));
    }
  }
}

function admitRead(key: unknown, name: string, chunk: number): SortedKey {
  // Text that was read is well-formed.
  if (typeof key === "string") return key;
  try {
    return admitKey(key as SortedKey, name);
  } catch (cause) {
    throw refusal(chunk, cause instanceof Error ? cause.message : "a key is not admissible");
  }
}

function refusal(chunk: number, reason: string): SnapshotRefused {
  return new SnapshotRefused(`Cannot install chunk ${chunk} of the snapshot: ${reason}`);
}
