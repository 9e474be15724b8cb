/** A typed machine's state as it was at one moment. Owns: what the low-level contract asks of one. */
import type { MachineFork, StateChange } from "../api/low-level.js";
import type { Hash } from "../ports/hash.js";
import { readOut } from "./table.js";
import type { NamedContent } from "./snapshot-format.js";
import { chunksOf, digestOfContents } from "./state-store.js";
import { changesBetween } from "./trie-changes.js";

export class StateFork implements MachineFork {
  #contents: readonly NamedContent[];
  readonly #hash: Hash;

  constructor(contents: readonly NamedContent[], hash: Hash) {
    this.#contents = contents;
    this.#hash = hash;
  }

  chunks(): Iterable<Uint8Array> {
    return chunksOf(this.#contents);
  }

  digest(): Uint8Array {
    return digestOfContents(this.#contents, this.#hash);
  }

  *changesSince(earlier: MachineFork): Generator<StateChange, void> {
    const before = earlier instanceof StateFork ? earlier.#contents : [];
    for (const { name, content } of this.#contents) {
      const root = before.find((other) => other.name === name)?.content.root;
      for (const change of changesBetween(root, content.root)) {
        const key = (change.after ?? change.before)?.key;
        yield { collection: name, key, before: valueOf(change.before), after: valueOf(change.after) };
      }
    }
  }

  release(): void {
    this.#contents = [];
  }
}

function valueOf(entry: Parameters<typeof readOut>[0] | undefined): StateChange["before"] {
  return entry === undefined ? undefined : { value: readOut(entry) };
}
