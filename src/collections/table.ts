/**
 * A named trie whose changes are checked and journaled: what map, set, list and sorted map have in common.
 *
 * Owns: the path of a read and of a write through scope, trie and journal. Leaves to others: the interfaces that users see.
 */
import type { SortedKey } from "../api/state.js";
import type { Steps } from "../base/steps.js";
import type { Hash } from "../ports/hash.js";
import { NotCanonical, pathStep, quote } from "../wire/canonical.js";
import { entriesOf, HashTrie, type TrieEntry, type TrieSnapshot } from "./hash-trie.js";
import { copyOut } from "./plain.js";
import type { Scope, Undoing } from "./scope.js";
import { digestOfTrie } from "./trie-digest.js";

/** Is told of keys that come and go: the order of a sorted map follows them. */
export interface KeyFollower {
  inserted(key: SortedKey): void;
  removed(key: SortedKey): void;
  cleared(): void;
  /** Answers what makes it follow these keys alone. */
  prepare(entries: Iterable<TrieEntry>): Steps<() => void>;
  /** As `Table.mark`. */
  mark(): () => void;
  /** Whether its keys are in order, and all of them right, as they lie in memory. */
  scrubbing(isRight: (key: SortedKey) => boolean): Steps<boolean>;
}

/** Of looking at keys one by one, when many are read at once. */
export const keysPerStep = 1_000;

export class Table implements Undoing {
  /** Given by the state that declares it, right after all collections were made. */
  name = "an undeclared collection";
  readonly scope: Scope;
  readonly trie = new HashTrie();
  readonly #follower: KeyFollower | undefined;

  constructor(scope: Scope, follower: KeyFollower | undefined) {
    this.scope = scope;
    this.#follower = follower;
  }

  /** The keys below are admitted (`key.ts`). */
  get(key: SortedKey): unknown {
    this.scope.noteRead();
    const entry = this.trie.get(key);
    return entry === undefined ? undefined : readOut(entry);
  }

  /** Asked for, it counts as a read: a loop until the collection is empty would have no end otherwise if nothing is removed. */
  get size(): number {
    this.scope.noteRead();
    return this.trie.size;
  }

  has(key: SortedKey): boolean {
    this.scope.noteRead();
    return this.trie.get(key) !== undefined;
  }

  set(key: SortedKey, value: unknown): void {
    this.scope.noteWrite(this.name);
    this.scope.weigh(key, this.name);
    const copied = this.#copy(key, value);
    this.scope.change();
    const previous = this.trie.put(key, copied, this.scope.copyHasBytes);
    if (previous === undefined) this.#follower?.inserted(key);
    this.scope.record(this, key, previous);
  }

  delete(key: SortedKey): TrieEntry | undefined {
    this.scope.noteWrite(this.name);
    const previous = this.trie.get(key);
    if (previous === undefined) return undefined;
    this.scope.change();
    this.trie.remove(key);
    this.#follower?.removed(key);
    this.scope.record(this, key, previous);
    return previous;
  }

  clear(): void {
    this.scope.noteWrite(this.name);
    const undo = this.mark();
    this.scope.change();
    this.trie.clear();
    this.#follower?.cleared();
    this.scope.record({ undo });
  }

  /** Answers what makes the content be that of now again. O(1), both. */
  mark(): () => void {
    const content = this.trie.snapshot();
    const undoFollower = this.#follower?.mark();
    return () => {
      this.trie.restore(content);
      undoFollower?.();
    };
  }

  /** In canonical order; of the content now, whatever is written meanwhile. */
  entries(): IterableIterator<TrieEntry> {
    return this.counted(entriesOf(this.trie.snapshot().root));
  }

  /** The content of now, to look keys up in later. */
  copyOfTrie(): HashTrie {
    const copy = new HashTrie();
    copy.restore(this.trie.snapshot());
    return copy;
  }

  /** Each step is an operation, and so is to begin: there may be no step. */
  *counted<Step>(steps: IterableIterator<Step>): IterableIterator<Step> {
    this.scope.noteRead();
    for (const step of steps) {
      this.scope.noteRead();
      yield step;
    }
  }

  undo(key: SortedKey, entry: TrieEntry | undefined): void {
    const previous = entry === undefined ? this.trie.remove(key) : this.trie.putEntry(entry);
    if (previous === undefined && entry !== undefined) this.#follower?.inserted(key);
    if (previous !== undefined && entry === undefined) this.#follower?.removed(key);
  }

  /** Answers what makes the whole content that of a snapshot; nothing of it can be undone. */
  *prepare(content: TrieSnapshot): Steps<() => void> {
    const follow = this.#follower === undefined ? undefined : yield* this.#follower.prepare(entriesOf(content.root));
    return () => {
      this.trie.restore(content);
      follow?.();
    };
  }

  /** Whether all that lies in memory is what was written (`HashTrie.scrubbing`). */
  *scrubbing(): Steps<boolean> {
    if (!(yield* this.trie.scrubbing())) return false;
    // A key that is not what it was is none of the entries'.
    return this.#follower === undefined || (yield* this.#follower.scrubbing((key) => this.trie.get(key) !== undefined));
  }

  digest(hash: Hash): Uint8Array {
    return digestOfTrie(this.trie.view().root, hash);
  }

  #copy(key: SortedKey, value: unknown): unknown {
    try {
      return this.scope.copy(value);
    } catch (cause) {
      if (!(cause instanceof NotCanonical)) throw cause;
      throw new NotCanonical(`${this.name}${describeKey(key)}${cause.path}`, cause.reason);
    }
  }
}

export function readOut(entry: TrieEntry): unknown {
  return entry.hasBytes ? copyOut(entry.value) : entry.value;
}

function describeKey(key: SortedKey): string {
  if (typeof key === "string") return `[${quote(key)}]`;
  if (typeof key === "number") return pathStep(key);
  return typeof key === "object" ? `[${key.map(String).join(", ")}]` : `[${String(key)}]`;
}
