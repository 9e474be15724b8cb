/**
 * What a replica has learnt that its log does not say, as it was when a peer was last lost: which life of each peer it heard, what was
 * promised to it, and up to where entries were committed.
 *
 * Owns: the file, and writing the newest of several in turn. Leaves to others: what is done with it (`transport/gate.ts` knows an old disk by it,
 * `replica/survivor.ts` what is surely committed). All of it stays true for ever, so a file that is late says less and never something
 * wrong; one that is damaged says nothing, and a disk that refuses it is the log's to report.
 *
 *   known    CRC-32 u32 of the body, body bytes; body: commit index varint, count varint, then for each peer: id text,
 *            incarnation, starts varint, process text, promised term, promised index varint (0, 0: nothing)
 */
import { ByteReader, ByteWriter, equalBytes } from "../base/bytes.js";
import { isReplicaId, logIndex, noIndex, noTerm, term as termOf, type LogIndex, type ReplicaId } from "../model/ids.js";
import type { Promised } from "../model/log.js";
import { membersMax } from "../model/membership.js";
import { DiskError, type Disk } from "../ports/disk.js";
import type { Hash } from "../ports/hash.js";

export interface Known {
  readonly commitIndex: LogIndex;
  readonly peers: readonly KnownPeer[];
}

export interface KnownPeer {
  readonly id: ReplicaId;
  /** Of its directory, as are the starts. */
  readonly incarnation: number;
  readonly process: string;
  readonly starts: number;
  readonly promised: Promised | undefined;
}

export interface KnownStoreParts {
  readonly disk: Disk;
  readonly hash: Hash;
  /** The data directory. */
  readonly directory: string;
}

export const knownName = "known";
const fileBytesMax = 64 * 1024;
const nothing: Known = { commitIndex: noIndex, peers: [] };

export function readKnown({ disk, hash, directory }: KnownStoreParts): Known {
  const path = `${directory}/${knownName}`;
  if (!disk.exists(path)) return nothing;
  const reader = new ByteReader(disk.readFile(path, fileBytesMax));
  const checksum = reader.u32();
  const body = reader.bytes();
  if (reader.failed || checksum !== hash.crc32(body)) return nothing;
  return decode(new ByteReader(body)) ?? nothing;
}

export class KnownStore {
  readonly #parts: KnownStoreParts;
  #newest: Uint8Array | undefined;
  /** Of those in turn the newest counts. */
  #next: Uint8Array | undefined;
  #isWriting = false;
  #closed: (() => void) | undefined;

  constructor(parts: KnownStoreParts) {
    this.#parts = parts;
  }

  /** Sooner or later on disk, unless something newer is, or the disk refuses it. */
  write(known: Known): void {
    const body = encode(known);
    if (this.#closed !== undefined || (this.#newest !== undefined && equalBytes(body, this.#newest))) return;
    this.#newest = body;
    this.#next = body;
    if (!this.#isWriting) this.#writeNext();
  }

  /** What was written last is still written; `done` once nothing is any more. */
  close(done: () => void): void {
    this.#closed = done;
    if (!this.#isWriting) done();
  }

  #writeNext(): void {
    const body = this.#next;
    this.#next = undefined;
    this.#isWriting = body !== undefined;
    if (body === undefined) return this.#closed?.();
    const { disk, hash, directory } = this.#parts;
    const writer = new ByteWriter(body.length + 16);
    writer.u32(hash.crc32(body));
    writer.bytes(body);
    const aside = `${directory}/${knownName}.new`;
    disk.openLater(aside, "create", (file) => {
      if (file instanceof DiskError) return this.#writeNext();
      file.write(0, [writer.finish()], (failure) => {
        file.close((notClosed) => {
          if (failure !== undefined || notClosed !== undefined) return this.#writeNext();
          disk.publish(aside, `${directory}/${knownName}`, () => this.#writeNext());
        });
      });
    });
  }
}

function encode({ commitIndex, peers }: Known): Uint8Array {
  const writer = new ByteWriter();
  writer.varint(commitIndex);
  writer.varint(peers.length);
  for (const { id, incarnation, starts, process, promised } of peers) {
    writer.text(id);
    writer.varint(incarnation);
    writer.varint(starts);
    writer.text(process);
    writer.varint(promised?.term ?? noTerm);
    writer.varint(promised?.index ?? noIndex);
  }
  return writer.finish();
}

function decode(reader: ByteReader): Known | undefined {
  const commitIndex = logIndex(reader.varint());
  const count = reader.varint();
  if (commitIndex === undefined || count > membersMax) return undefined;
  const peers: KnownPeer[] = [];
  for (let at = 0; at < count && !reader.failed; at += 1) {
    const [id, incarnation, starts, process] = [reader.text(), reader.varint(), reader.varint(), reader.text()];
    const promisedTerm = termOf(reader.varint());
    const index = logIndex(reader.varint());
    if (promisedTerm === undefined || index === undefined || !isReplicaId(id)) return undefined;
    const promised = promisedTerm === noTerm ? undefined : { term: promisedTerm, index };
    peers.push({ id, incarnation, starts, process, promised });
  }
  return reader.complete ? { commitIndex, peers } : undefined;
}
