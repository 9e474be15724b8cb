/**
 * A trie made at once from entries in the order of their positions, as a snapshot has them.
 *
 * Owns: putting branches together from below, each once it is whole and just as large as it must be. It has the shape that `HashTrie.put`
 * gives, since that follows from the keys alone (M1). What comes out of order is put one by one instead. Called by `snapshot-format.ts`.
 */
import { FingerprintSum, type Fingerprint } from "../base/fingerprint.js";
import { bitOf, HashTrie, levelOfDifference, TrieBranch, type TrieEntry, type TrieLeaf } from "./hash-trie.js";
import type { TrieNode, TrieSnapshot } from "./hash-trie.js";
import { compareKeys } from "./key.js";

/** What a branch will have, as far as it is known: everything before the last leaf. */
interface OpenBranch {
  bitmap: number;
  readonly children: TrieNode[];
  count: number;
}

const epoch = 1;

export class TrieBuilder {
  readonly #trie = new HashTrie();
  /** Nothing was put one by one yet. */
  #isOrdered: boolean;
  /** From the root on, on the way to the last leaf. */
  readonly #open: OpenBranch[] = [];
  #last: TrieLeaf | undefined;
  /** Of the branch in which the last leaf and the one before it part. */
  #lastLevel = 0;
  #size = 0;
  readonly #sum = new FingerprintSum();

  constructor(initial: TrieSnapshot) {
    this.#trie.restore(initial);
    this.#isOrdered = initial.size === 0;
  }

  /** Its key is admitted and its value frozen, both by the caller, whose fingerprint is of both. */
  put(entry: TrieEntry, fingerprint: Fingerprint): void {
    if (this.#isOrdered && this.#append(entry)) {
      this.#size += 1;
      this.#sum.add(fingerprint);
    } else {
      this.#settle();
      this.#trie.putEntry(entry);
    }
  }

  /** Everything that was put, and nothing is from now on. */
  finish(): HashTrie {
    this.#settle();
    return this.#trie;
  }

  /** Whether it comes after all others. */
  #append(entry: TrieEntry): boolean {
    const last = this.#last;
    if (last === undefined) {
      this.#last = entry;
      return true;
    }
    if (entry.position > last.position) {
      const level = levelOfDifference(last.position, entry.position);
      this.#close(last, level);
      this.#lastLevel = level;
      this.#last = entry;
      return true;
    }
    const entries = last.kind === "entry" ? [last] : last.entries;
    const before = entries.at(-1);
    const isNext = entry.position === last.position && before !== undefined && compareKeys(before.key, entry.key) < 0;
    if (isNext) this.#last = { kind: "bucket", position: entry.position, entries: [...entries, entry] };
    return isNext;
  }

  /** The next leaf parts from the last one at this level: branches below it are whole. */
  #close(last: TrieLeaf, next: number): void {
    let level = Math.max(this.#lastLevel, next);
    let node: TrieNode = last;
    for (; level > next; level -= 1) {
      this.#add(level, node, last.position);
      node = this.#closed(level);
    }
    this.#add(level, node, last.position);
  }

  #add(level: number, child: TrieNode, position: number): void {
    while (this.#open.length <= level) this.#open.push({ bitmap: 0, children: [], count: 0 });
    const branch = this.#open[level];
    if (branch === undefined) return;
    branch.bitmap |= bitOf(position, level);
    branch.children[branch.count] = child;
    branch.count += 1;
  }

  /** Its children are copied into an array that has no room for more: a growing one has seventeen places for the first. */
  #closed(level: number): TrieBranch {
    const branch = this.#open[level];
    const children = branch?.children.slice(0, branch.count) ?? [];
    const bitmap = branch?.bitmap ?? 0;
    if (branch !== undefined) {
      branch.bitmap = 0;
      branch.count = 0;
    }
    return new TrieBranch(epoch, bitmap, children);
  }

  /** What was put in order becomes the trie's content; what comes is put one by one. */
  #settle(): void {
    if (!this.#isOrdered) return;
    this.#isOrdered = false;
    if (this.#last === undefined) return;
    this.#close(this.#last, 0);
    this.#trie.restore({ root: this.#closed(0), size: this.#size, fingerprint: this.#sum, epoch });
    this.#last = undefined;
  }
}
