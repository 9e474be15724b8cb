/**
 * Steps that this replica does not execute, whatever it does after a restart: those that it could not finish, and those that are skipped.
 *
 * Owns: the file. Leaves to others: what is done about them (`replica/unfinished.ts`). What is noted here is durable before anybody is told
 * that this replica cannot finish it: so whoever has reported a step has not passed it, and never will by executing it. Bounded: what a
 * certified checkpoint covers is forgotten with the next note.
 *
 *   unfinished  CRC-32 u32 of the body, body bytes; body: count varint, then for each: position (`wire/skip-codec.ts`), what u8: 0 held,
 *               1 skipped, 2 skipped and passed
 */
import { ByteReader, ByteWriter } from "../base/bytes.js";
import type { LogIndex } from "../model/ids.js";
import { isSamePosition, type Unfinished } from "../model/skip.js";
import type { Disk } from "../ports/disk.js";
import type { Hash } from "../ports/hash.js";
import { readUnfinished, writeUnfinished } from "../wire/skip-codec.js";

/** `passed`: it is skipped, and what this replica has executed behind it counts for nothing. */
export type StepNote = Unfinished & { readonly what: "held" | "skipped" | "passed" };

export interface UnfinishedStoreParts {
  readonly disk: Disk;
  readonly hash: Hash;
  /** The data directory. */
  readonly directory: string;
}

const unfinishedName = "unfinished";
const fileBytesMax = 1024 * 1024;
const whats = ["held", "skipped", "passed"] as const;

export class UnfinishedStore {
  readonly #parts: UnfinishedStoreParts;
  #notes: readonly StepNote[];

  /** Throws `DiskError`. A damaged file says nothing: then what it said is found out once more. */
  constructor(parts: UnfinishedStoreParts) {
    this.#parts = parts;
    this.#notes = this.#read();
  }

  get notes(): readonly StepNote[] {
    return this.#notes;
  }

  /** Durable when it returns. Throws `DiskError`. */
  note(note: StepNote, certified: LogIndex): void {
    const others = this.#notes.filter(({ at }) => at.index > certified && !isSamePosition(at, note.at));
    this.#notes = [...others, note];
    const { disk, hash, directory } = this.#parts;
    const body = new ByteWriter();
    body.varint(this.#notes.length);
    for (const each of this.#notes) {
      writeUnfinished(body, each);
      body.u8(whats.indexOf(each.what));
    }
    const writer = new ByteWriter();
    writer.u32(hash.crc32(body.peek()));
    writer.bytes(body.peek());
    disk.writeFileAtomically(`${directory}/${unfinishedName}`, writer.finish());
  }

  #read(): readonly StepNote[] {
    const { disk, hash, directory } = this.#parts;
    const path = `${directory}/${unfinishedName}`;
    if (!disk.exists(path)) return [];
    const reader = new ByteReader(disk.readFile(path, fileBytesMax));
    const checksum = reader.u32();
    const body = reader.bytes();
    if (reader.failed || checksum !== hash.crc32(body)) return [];
    return decode(new ByteReader(body));
  }
}

function decode(reader: ByteReader): readonly StepNote[] {
  const notes: StepNote[] = [];
  const count = reader.varint();
  for (let at = 0; at < count && !reader.failed; at += 1) {
    const unfinished = readUnfinished(reader);
    const what = whats[reader.u8()];
    if (unfinished === undefined || what === undefined) return [];
    notes.push({ ...unfinished, what });
  }
  return reader.complete ? notes : [];
}
