/**
 * Entries whose content is lost on this disk while their names survive.
 *
 * Owns: the list, and writing an entry back where it was. Leaves to others: finding damage (`wal-recovery.ts`), asking peers.
 * Only a repair or a truncation takes an entry off the list.
 */
import { invariant } from "../base/invariant.js";
import type { Entry } from "../model/entry.js";
import type { LogIndex } from "../model/ids.js";
import type { DamagedEntry } from "../model/log.js";
import type { Disk, DiskFile } from "../ports/disk.js";
import { DiskError } from "../ports/disk.js";
import type { Hash } from "../ports/hash.js";
import type { StorageFailure } from "./log-store.js";
import type { Segments } from "./segments.js";
import type { FormatContext, RecordIdentity } from "./wal-format.js";
import { encodeRecordHeader, entryChecksum, recordBytes, recordHeaderBytes } from "./wal-format.js";

export interface DamagedRecord {
  readonly identity: RecordIdentity;
  /** The record before it in the chain. */
  readonly previous: RecordIdentity;
  /** The record before it on disk, of any kind, as far as it is known. */
  readonly previousPosition: number;
}

export class DamagedRecords {
  readonly #byIndex = new Map<LogIndex, DamagedRecord>();

  add(record: DamagedRecord): void {
    this.#byIndex.set(record.identity.index, record);
  }

  has(index: LogIndex): boolean {
    return this.#byIndex.has(index);
  }

  dropAfter(last: LogIndex): void {
    for (const index of [...this.#byIndex.keys()]) if (index > last) this.#byIndex.delete(index);
  }

  dropUpTo(last: LogIndex): void {
    for (const index of [...this.#byIndex.keys()]) if (index <= last) this.#byIndex.delete(index);
  }

  delete(index: LogIndex): void {
    this.#byIndex.delete(index);
  }

  /** In the order of the log. */
  list(): readonly DamagedEntry[] {
    const identities = [...this.#byIndex.values()].map(({ identity }) => identity);
    identities.sort((left, right) => left.index - right.index);
    return identities.map(({ index, term, bodyChecksum }) => ({ index, term, checksum: bodyChecksum }));
  }

  /** The record that `entry` is the lost content of. */
  find(entry: Entry, hash: Hash): DamagedRecord | undefined {
    const record = this.#byIndex.get(entry.index);
    if (record === undefined || record.identity.term !== entry.term || record.identity.kind !== entry.kind)
      return undefined;
    if (record.identity.bodyBytes !== entry.payload.length) return undefined;
    return entryChecksum(hash, entry) === record.identity.bodyChecksum ? record : undefined;
  }
}

export interface RepairParts {
  readonly disk: Disk;
  readonly segments: Segments;
  readonly context: FormatContext;
  readonly damaged: DamagedRecords;
}

/** Writes the record where it was. It claims nothing about what is synced, since it was not written in order. */
export function writeBack(
  parts: RepairParts,
  { record, entry }: { readonly record: DamagedRecord; readonly entry: Entry },
  done: (failure: StorageFailure | undefined) => void,
): void {
  const segment = parts.segments.locate(record.identity.position);
  invariant(segment !== undefined, "a damaged record lies in a segment of this log");
  const bytes = new Uint8Array(recordBytes(entry.payload.length));
  const header = { ...record, ...record.identity, time: entry.time, syncedUpTo: 0, hardStateSequence: 0 };
  encodeRecordHeader(bytes, 0, header, parts.context);
  bytes.set(entry.payload, recordHeaderBytes);
  parts.disk.openLater(parts.segments.pathOf(segment), "existing", (file) => {
    if (file instanceof DiskError) return done(brokenBy(file));
    writeAndClose(file, record.identity.position - segment.base, bytes, (failure) => {
      if (failure !== undefined) return done(brokenBy(failure));
      parts.damaged.delete(entry.index);
      done(undefined);
    });
  });
}

function writeAndClose(
  file: DiskFile,
  at: number,
  bytes: Uint8Array,
  done: (failure: DiskError | undefined) => void,
): void {
  file.write(at, [bytes], (failure) => {
    file.close(() => done(failure));
  });
}

function brokenBy(cause: DiskError): StorageFailure {
  return { kind: "storageFailure", code: "broken", message: `Cannot repair the log: ${cause.message}` };
}
