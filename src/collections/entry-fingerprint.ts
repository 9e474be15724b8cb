/**
 * Fingerprints of a collection's entries: equal for equal keys and values.
 *
 * Owns: how plain data is mixed. Properties are in one order in every state (`plain.ts`), so they are mixed as they come. Called by
 * `hash-trie.ts` with each entry that comes or goes.
 */
import { Mixer, type Fingerprint } from "../base/fingerprint.js";

const kind = { null: 1, false: 2, true: 3, bigint: 4, text: 5, bytes: 6, array: 7, object: 8, undefined: 9 } as const;
const mixer = new Mixer();
let weight = 0;

/** Grows with the letters, bytes and properties that are mixed: what they cost, roughly. */
export function mixedWeight(): number {
  return weight;
}

/** Valid until the next call. */
export function fingerprintOfEntry(key: unknown, value: unknown): Fingerprint {
  mixer.begin();
  mix(key);
  mix(value);
  return mixer.end();
}

/** As deep as plain data may be. */
function mix(value: unknown): void {
  switch (typeof value) {
    case "string":
      weight += value.length;
      mixer.word(kind.text).text(value);
      return;
    case "number":
      mixer.number(value);
      return;
    case "boolean":
      mixer.word(value ? kind.true : kind.false);
      return;
    case "bigint":
      mixer.word(kind.bigint).text(value.toString(36));
      return;
    case "object":
      return mixObject(value);
    default:
      mixer.word(kind.undefined);
  }
}

function mixObject(value: object | null): void {
  if (value === null) {
    mixer.word(kind.null);
  } else if (value instanceof Uint8Array) {
    weight += value.length;
    mixer.word(kind.bytes).bytes(value);
  } else if (Array.isArray(value)) {
    weight += value.length;
    mixer.word(kind.array).word(value.length);
    for (let at = 0; at < value.length; at += 1) mix(value[at]);
  } else {
    const keys = Object.keys(value);
    weight += keys.length;
    mixer.word(kind.object).word(keys.length);
    for (const key of keys) {
      mixer.text(key);
      mix((value as Readonly<Record<string, unknown>>)[key]);
    }
  }
}
