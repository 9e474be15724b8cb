/**
 * The commands and queries for TypeScript and HTTP clients: clean inputs and outputs instead of Redis's.
 *
 * Owns: what each does. They act on the same keys as Redis commands do, and text is UTF-8 to both.
 */
import { rejected, type Rejected } from "../../index.js";
import { increment as incrementKey } from "./commands/numbers.js";
import { matchesGlob } from "./glob.js";
import type { DeleteInput, ExpireInput, IncrementInput, KeysInput, SetInput } from "./inputs.js";
import { find, findForWrite, isExpired, overwrite, remove, setExpiry } from "./keyspace.js";
import { kvLimits } from "./limits.js";
import { errors, isError } from "./reply.js";
import type { Reading, Stored, Writing } from "./state.js";
import { bytesOfText, textOfBytes } from "./text.js";

export interface Found {
  readonly value: string;
  /** Changes whenever the key is written: for `set` with `when: { version }`. */
  readonly version: number;
  /** Agreed time in milliseconds since 1970, if it expires. */
  readonly expiresAt?: number | undefined;
}

export function set(
  writing: Writing,
  { key, value, ttlMs, when }: SetInput,
): { version: number } | Rejected<"conditionFailed", { version: number | undefined }> {
  const name = bytesOfText(key);
  const previous = findForWrite(writing, name);
  if (!allows(when, previous)) return rejected("conditionFailed", versionIn(previous));
  const bytes = bytesOfText(value);
  if (bytes.length > kvLimits.valueBytesMax)
    throw new Error(`Cannot set key: the value is ${bytes.length} bytes and the limit is ${kvLimits.valueBytesMax}.`);
  const expiresAt = ttlMs === undefined ? undefined : writing.now + ttlMs;
  overwrite(writing, previous, { key: name, value: bytes, expiresAt });
  return { version: writing.index };
}

export function deleteKeys(writing: Writing, { keys }: DeleteInput): { deleted: number } {
  return { deleted: keys.filter((key) => remove(writing, bytesOfText(key))).length };
}

export function increment(
  writing: Writing,
  { key, by }: IncrementInput,
): { value: bigint } | Rejected<"wrongType"> | Rejected<"notInteger"> | Rejected<"overflow"> {
  const reply = incrementKey(writing, bytesOfText(key), by ?? 1);
  if (typeof reply === "number" || typeof reply === "bigint") return { value: BigInt(reply) };
  if (reply === errors.wrongType) return rejected("wrongType");
  return isError(reply) && reply.error === errors.overflow.error ? rejected("overflow") : rejected("notInteger");
}

export function expire(writing: Writing, { key, ttlMs }: ExpireInput): { changed: boolean } {
  const name = bytesOfText(key);
  const stored = findForWrite(writing, name);
  if (stored === undefined || (ttlMs === null && stored.expiresAt === undefined)) return { changed: false };
  setExpiry(writing, name, stored, ttlMs === null ? undefined : writing.now + ttlMs);
  return { changed: true };
}

/** `undefined` if there is no such key. */
export function get(reading: Reading, key: string): Found | undefined | Rejected<"wrongType"> | Rejected<"notText"> {
  const stored = find(reading, bytesOfText(key));
  if (stored === undefined) return undefined;
  if (stored.kind !== "string") return rejected("wrongType");
  const value = textOfBytes(stored.value);
  if (value === undefined) return rejected("notText");
  return { value, version: stored.changedAt, expiresAt: stored.expiresAt };
}

/** Some keys in no particular order; go on from `next` until it is absent. Keys that are not UTF-8 are left out. */
export function keys(
  reading: Reading,
  input: KeysInput | undefined,
): { keys: readonly string[]; next: number | undefined } {
  const pattern = bytesOfText(input?.match ?? "*");
  const page = reading.state.entries.scan(input?.from ?? 0, 1_000);
  const found: string[] = [];
  for (const [key, stored] of page.entries) {
    const text = textOfBytes(key);
    if (text !== undefined && !isExpired(stored, reading.now) && matchesGlob(pattern, key)) found.push(text);
  }
  return { keys: found, next: page.next };
}

function allows(when: SetInput["when"], previous: Stored | undefined): boolean {
  if (when === undefined) return true;
  if (when === "absent") return previous === undefined;
  if (when === "present") return previous !== undefined;
  return previous?.changedAt === when.version;
}

function versionIn(stored: Stored | undefined): { version: number | undefined } {
  return { version: stored?.changedAt };
}
