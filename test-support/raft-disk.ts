/**
 * What a replica's disk holds, as plain data, and what a write does to it.
 *
 * Owns: the image of a log. Leaves to others: when a write completes (`raft-cluster.ts`), bytes (`src/storage/`).
 */
import { decodeUtf8 } from "../src/base/bytes.js";
import type { Entry } from "../src/model/entry.js";
import type { HardState, LogWrite, TermRun } from "../src/model/log.js";

export interface Disk {
  hardState: HardState;
  entries: Entry[];
}

export function textsOf(entries: readonly Entry[]): string[] {
  return entries.filter(({ kind }) => kind === "batch").map(({ payload }) => decodeUtf8(payload) ?? "?");
}

export function termRunsOf(entries: readonly Entry[]): TermRun[] {
  return entries
    .filter((entry, at) => entry.term !== entries[at - 1]?.term)
    .map(({ index, term }) => ({ firstIndex: index, term }));
}

export function apply(disk: Disk, write: LogWrite): void {
  if (write.hardState !== undefined) disk.hardState = write.hardState;
  applyTo(disk.entries, write);
}

export function applyTo(entries: Entry[], write: LogWrite): void {
  if (write.truncateFrom !== undefined) entries.length = write.truncateFrom - 1;
  for (const entry of write.entries) {
    if (entry.index !== entries.length + 1) throw new Error(`a write leaves a gap before ${entry.index}`);
    entries.push(entry);
  }
}
