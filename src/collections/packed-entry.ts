/**
 * An entry whose value is still in the bytes of the snapshot that it was read from.
 *
 * Owns: decoding it when somebody looks at it first. A large state is mostly looked at never, or much later, so a start need not wait for it; what
 * it takes in memory is the bytes instead. They are kept until all entries in them were looked at or replaced, which a scrub sees to.
 * Called by `snapshot-format.ts`, which has seen that they are canonical.
 */
import { ByteReader } from "../base/bytes.js";
import type { SortedKey } from "../api/state.js";
import { readFrozen } from "../wire/canonical.js";
import type { TrieEntry } from "./hash-trie.js";
import { positionOf } from "./key.js";

export class PackedEntry implements TrieEntry {
  readonly kind = "entry";
  readonly position: number;
  readonly key: SortedKey;
  /** Values with bytes in them are not left packed. */
  readonly hasBytes = false;
  #value: unknown = undefined;
  #bytes: Uint8Array | undefined;
  #from: number;

  constructor(key: SortedKey, bytes: Uint8Array, from: number) {
    this.position = positionOf(key);
    this.key = key;
    this.#bytes = bytes;
    this.#from = from;
  }

  get value(): unknown {
    return this.#bytes === undefined ? this.#value : this.#unpack(this.#bytes);
  }

  /** For a simulator, which damages what lies in memory. */
  set value(value: unknown) {
    this.#bytes = undefined;
    this.#value = value;
  }

  #unpack(bytes: Uint8Array): unknown {
    const reader = new ByteReader(bytes, this.#from);
    const value = readFrozen(reader, { hasBytes: false });
    // A bit has flipped since: then it is another value, as wherever that happens, and a scrub finds it.
    this.#value = reader.failed ? null : value;
    this.#bytes = undefined;
    return this.#value;
  }
}
