/**
 * How keys come, go, expire and change: the only writer of `entries`, `expiries`, `removals` and `graves`.
 *
 * Owns: invariants KV1 and KV2, and versions for WATCH. Leaves to others: what is in a key. Called by `commands/` and `sweep.ts`.
 *
 * Expiry is lazy: a key whose time has come is absent for everybody, and is removed by the next write that looks at it or by the sweep.
 */
import type { Reading, Stored, StringEntry, Writing } from "./state.js";

const bucketCount = 1024;
/** The bucket for a removal of all keys at once. */
const allKeys = -1;

/** What the key holds at `now`. */
export function find(reading: Reading, key: string): Stored | undefined {
  const stored = reading.state.entries.get(key);
  return stored === undefined || isExpired(stored, reading.now) ? undefined : stored;
}

/** As `find`; removes the key if its time has come, so that what is written next starts from nothing. */
export function findForWrite(writing: Writing, key: string): Stored | undefined {
  const stored = writing.state.entries.get(key);
  if (stored === undefined || !isExpired(stored, writing.now)) return stored;
  removeStored(writing, key, stored);
  return undefined;
}

export function isExpired(stored: Stored, now: number): boolean {
  return stored.expiresAt !== undefined && stored.expiresAt <= now;
}

/** Makes the key a string, whatever it was. */
export function putString(writing: Writing, key: string, value: string, expiresAt: number | undefined): void {
  overwrite(writing, writing.state.entries.get(key), { key, value, expiresAt });
}

/** As `putString`, over what `findForWrite` gave. */
export function overwrite(
  writing: Writing,
  previous: Stored | undefined,
  { key, value, expiresAt }: { readonly key: string } & Pick<StringEntry, "value" | "expiresAt">,
): void {
  if (previous !== undefined && previous.kind !== "string") bury(writing, previous);
  moveExpiry(writing, key, previous?.expiresAt, expiresAt);
  // Properties in order are kept as they come.
  const entry: StringEntry =
    expiresAt === undefined
      ? { changedAt: writing.index, kind: "string", value }
      : { changedAt: writing.index, expiresAt, kind: "string", value };
  writing.state.entries.set(key, entry);
}

/** Writes what `findForWrite` gave, changed, or a new entry with a new id. Its expiry stays as it was. */
export function put(writing: Writing, key: string, stored: Stored): void {
  writing.state.entries.set(key, { ...stored, changedAt: writing.index });
}

export function setExpiry(writing: Writing, key: string, stored: Stored, expiresAt: number | undefined): void {
  moveExpiry(writing, key, stored.expiresAt, expiresAt);
  writing.state.entries.set(key, { ...stored, changedAt: writing.index, expiresAt });
}

/** Whether there was something to remove. */
export function remove(writing: Writing, key: string): boolean {
  const stored = findForWrite(writing, key);
  if (stored === undefined) return false;
  removeStored(writing, key, stored);
  return true;
}

export function removeStored(writing: Writing, key: string, stored: Stored): void {
  bury(writing, stored);
  forget(writing, key, stored);
}

/** Gives the key's content to another key, which loses its own; the parts stay where they are. */
export function rename(writing: Writing, from: string, stored: Stored, to: string): void {
  remove(writing, to);
  forget(writing, from, stored);
  moveExpiry(writing, to, undefined, stored.expiresAt);
  put(writing, to, stored);
}

export function removeAll(writing: Writing): void {
  const { entries, expiries, removals, elements, fields, members, slots, scores, ranks, graves } = writing.state;
  for (const collection of [entries, expiries, removals, elements, fields, members, slots, scores, ranks, graves]) {
    collection.clear();
  }
  removals.set(allKeys, writing.index);
}

export function newId(writing: Writing): number {
  const id = writing.state.nextId.get();
  writing.state.nextId.set(id + 1);
  return id;
}

/**
 * Changes whenever the key does: the index of the entry that wrote it last or, while it is absent, of the entry that last removed a key
 * with the same hash. So a key that was created and removed again has changed too; at worst the removal of another key looks like a
 * change of this one, and a transaction is tried again for nothing. One index for a whole entry is enough, since versions are read
 * by queries, which see the state between entries only.
 */
export function versionOf(reading: Reading, key: string): number {
  const stored = reading.state.entries.get(key);
  if (stored !== undefined) return stored.changedAt;
  const { removals } = reading.state;
  return Math.max(removals.get(bucketOf(key)) ?? 0, removals.get(allKeys) ?? 0);
}

/** Between the read of a version and now the key may have expired without anybody looking: that is a change too. */
export function isUnchanged(writing: Writing, key: string, version: number): boolean {
  findForWrite(writing, key);
  return versionOf(writing, key) === version;
}

function bury(writing: Writing, stored: Stored): void {
  if (stored.kind !== "string") writing.state.graves.set(stored.id, stored.kind);
}

function forget(writing: Writing, key: string, stored: Stored): void {
  moveExpiry(writing, key, stored.expiresAt, undefined);
  writing.state.entries.delete(key);
  writing.state.removals.set(bucketOf(key), writing.index);
}

function moveExpiry(writing: Writing, key: string, before: number | undefined, after: number | undefined): void {
  if (before === after) return;
  if (before !== undefined) writing.state.expiries.delete([before, key]);
  if (after !== undefined) writing.state.expiries.set([after, key], true);
}

/** FNV-1a, 32 bits. */
function bucketOf(key: string): number {
  let hash = 0x811c_9dc5;
  for (let at = 0; at < key.length; at += 1) hash = Math.imul(hash ^ key.charCodeAt(at), 0x0100_0193);
  return (hash >>> 0) % bucketCount;
}
