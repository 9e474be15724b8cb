/**
 * A persistent hash trie: entries by the position of their key, with O(1) snapshots.
 *
 * Owns: the shape. Leaves to others: what keys and values mean, journals, digests (`trie-digest.ts`). Called by `table.ts`.
 *
 * Branches are 32 wide and keep present children only, behind a bitmap (Bagwell, "Ideal Hash Trees", 2001). A branch belongs to the
 * trie that made it since its last snapshot and is then changed in place; all other branches may be shared and are copied first.
 *
 * Invariants: M1 the shape follows from the keys alone: a branch other than the root has two or more leaves below it, and keys
 * of one position share a bucket sorted by key. M2 a node that a snapshot can reach never changes, but for its cached digest.
 */
import { equalFingerprints, FingerprintSum, noFingerprint, type Fingerprint } from "../base/fingerprint.js";
import { invariant } from "../base/invariant.js";
import type { Steps } from "../base/steps.js";
import type { SortedKey } from "../api/state.js";
import { fingerprintOfEntry, mixedWeight } from "./entry-fingerprint.js";
import { compareKeys, isSameKey, positionBits, positionCount, positionOf } from "./key.js";

export interface TrieEntry {
  readonly kind: "entry";
  readonly position: number;
  readonly key: SortedKey;
  readonly value: unknown;
  /** The value has bytes in it, so a reader is given a copy. */
  readonly hasBytes: boolean;
}

/** Two or more entries of one position. */
export interface TrieBucket {
  readonly kind: "bucket";
  readonly position: number;
  readonly entries: readonly TrieEntry[];
}

export type TrieLeaf = TrieEntry | TrieBucket;
export type TrieNode = TrieBranch | TrieLeaf;

/** What its class says takes no room in it: there are as many as entries, and most are copied again and again. */
export class TrieBranch {
  /** Equal to its trie's: nobody else can reach it. */
  readonly epoch: number;
  bitmap: number;
  readonly children: TrieNode[];
  digest: Uint8Array | undefined = undefined;

  constructor(epoch: number, bitmap: number, children: TrieNode[]) {
    this.epoch = epoch;
    this.bitmap = bitmap;
    this.children = children;
  }

  get kind(): "branch" {
    return "branch";
  }
}

/** The same for entries. */
class PlainEntry implements TrieEntry {
  readonly position: number;
  key: SortedKey;
  readonly value: unknown;

  constructor(key: SortedKey, value: unknown) {
    this.position = positionOf(key);
    this.key = key;
    this.value = value;
  }

  get kind(): "entry" {
    return "entry";
  }

  get hasBytes(): boolean {
    return false;
  }
}

class EntryWithBytes extends PlainEntry {
  override get hasBytes(): boolean {
    return true;
  }
}

export interface TrieSnapshot {
  readonly root: TrieBranch;
  readonly size: number;
  readonly fingerprint: Fingerprint;
  /** Not less than that of any branch in it. */
  readonly epoch: number;
}

const levelBits = 5;
const levelCount = positionBits / levelBits;
/** Of a scrub: a few microseconds. */
const leavesPerStep = 8;
const weightPerStep = 4_096;

export class HashTrie {
  #epoch = 1;
  #root = new TrieBranch(1, 0, []);
  #size = 0;
  readonly #sum = new FingerprintSum();
  /** So often the whole content was replaced, and so often anything of it. */
  #replacements = 0;
  #changes = 0;
  /** What a scrub has seen by now: everything below a position, changes since then included. */
  #scrubbedBelow = 0;
  readonly #scrubbed = new FingerprintSum();

  /** Of the whole content. What goes is taken out as it is then: an entry that changed by itself leaves its trace. */
  get fingerprint(): Fingerprint {
    return this.#sum;
  }

  get size(): number {
    return this.#size;
  }

  get(key: SortedKey): TrieEntry | undefined {
    return this.#at(positionOf(key), key);
  }

  #at(position: number, key: SortedKey): TrieEntry | undefined {
    let node: TrieNode | undefined = this.#root;
    for (let level = 0; node !== undefined && node.kind === "branch"; level += 1) {
      const bit = bitOf(position, level);
      node = (node.bitmap & bit) === 0 ? undefined : node.children[slotOf(node, bit)];
    }
    if (node === undefined) return undefined;
    if (node.kind === "entry") return isSameKey(node.key, key) ? node : undefined;
    const entry = node.entries[countBelow(node.entries, key)];
    return entry !== undefined && isSameKey(entry.key, key) ? entry : undefined;
  }

  /** Answers what it replaces. `key` is admitted and `value` frozen, both by the caller. */
  put(key: SortedKey, value: unknown, hasBytes: boolean): TrieEntry | undefined {
    const entry = newEntry(key, value, hasBytes);
    const previous = this.putEntry(entry);
    // The key that is there already stays: the collector has long put it where it need not move it again.
    if (previous !== undefined) entry.key = previous.key;
    return previous;
  }

  putEntry(entry: TrieEntry): TrieEntry | undefined {
    const previous = this.#place(entry);
    this.#counted(entry);
    if (previous !== undefined) this.#discounted(previous);
    return previous;
  }

  #counted({ key, value, position }: TrieEntry): void {
    this.#changes += 1;
    const fingerprint = fingerprintOfEntry(key, value);
    this.#sum.add(fingerprint);
    if (position < this.#scrubbedBelow) this.#scrubbed.add(fingerprint);
  }

  #discounted({ key, value, position }: TrieEntry): void {
    this.#changes += 1;
    const fingerprint = fingerprintOfEntry(key, value);
    this.#sum.remove(fingerprint);
    if (position < this.#scrubbedBelow) this.#scrubbed.remove(fingerprint);
  }

  #place(entry: TrieEntry): TrieEntry | undefined {
    let branch = this.#ownRoot();
    for (let level = 0; level < levelCount; level += 1) {
      const bit = bitOf(entry.position, level);
      const slot = slotOf(branch, bit);
      if ((branch.bitmap & bit) === 0) {
        branch.bitmap |= bit;
        branch.children.splice(slot, 0, entry);
        this.#size += 1;
        return undefined;
      }
      const child = branch.children[slot];
      invariant(child !== undefined, "M1 a bit in the bitmap has its child");
      if (child.kind !== "branch") return this.#putAtLeaf(branch, slot, { child, entry, level });
      const own = this.#own(child);
      branch.children[slot] = own;
      branch = own;
    }
    throw new Error("M1 positions end before the levels do");
  }

  /** Answers what it removes. */
  remove(key: SortedKey): TrieEntry | undefined {
    const entry = this.get(key);
    if (entry === undefined) return undefined;
    this.#removeBelow(this.#ownRoot(), entry, 0);
    this.#size -= 1;
    this.#discounted(entry);
    return entry;
  }

  /** The content as it is now; later changes leave it alone. O(1). */
  snapshot(): TrieSnapshot {
    this.#epoch += 1;
    return this.view();
  }

  /** Replaces the whole content. The snapshot, of this trie or another, stays what it is. */
  restore(snapshot: TrieSnapshot): void {
    this.#epoch = Math.max(this.#epoch, snapshot.epoch) + 1;
    this.#root = snapshot.root;
    this.#size = snapshot.size;
    this.#sum.set(snapshot.fingerprint);
    this.#replaced();
  }

  clear(): void {
    this.#root = new TrieBranch(this.#epoch, 0, []);
    this.#size = 0;
    this.#sum.set(noFingerprint);
    this.#replaced();
  }

  #replaced(): void {
    this.#replacements += 1;
    this.#changes += 1;
  }

  /**
   * Looks at every entry again, as it lies in memory, some in each step, between which the trie may be changed: whether all of them
   * are what was put in. True as well if the whole content is replaced meanwhile: then the next scrub looks at that. One at a time.
   */
  *scrubbing(): Steps<boolean> {
    const replacements = this.#replacements;
    this.#scrubbed.set(noFingerprint);
    this.#scrubbedBelow = 0;
    for (let isAtEnd = false; !isAtEnd;) {
      const changes = this.#changes;
      let left = leavesPerStep;
      let until = mixedWeight() + weightPerStep;
      for (const leaf of leavesFrom(this.#root, this.#scrubbedBelow)) {
        if (!this.#scrubLeaf(leaf)) return false;
        left -= 1;
        if (left > 0 && mixedWeight() < until) continue;
        yield;
        left = leavesPerStep;
        until = mixedWeight() + weightPerStep;
        if (this.#replacements !== replacements) return true;
        if (this.#changes !== changes) break;
      }
      isAtEnd = this.#changes === changes || this.#scrubbedBelow === positionCount;
    }
    return equalFingerprints(this.#scrubbed, this.#sum);
  }

  #scrubLeaf(leaf: TrieLeaf): boolean {
    const { position } = leaf;
    // A flipped bit must not lead the walk back.
    if (!(position >= this.#scrubbedBelow && position < positionCount)) return false;
    if (leaf.kind === "entry") {
      if (!this.#scrubEntry(leaf, position)) return false;
    } else for (const entry of leaf.entries) if (!this.#scrubEntry(entry, position)) return false;
    this.#scrubbedBelow = position + 1;
    return true;
  }

  #scrubEntry(entry: TrieEntry, position: number): boolean {
    const isInPlace = positionOf(entry.key) === position && entry.position === position;
    if (!isInPlace || this.#at(position, entry.key) !== entry) return false;
    this.#scrubbed.add(fingerprintOfEntry(entry.key, entry.value));
    return true;
  }

  /** For the digest, which may cache what it finds. Valid until the next change. */
  view(): TrieSnapshot {
    const { high, low } = this.#sum;
    return { root: this.#root, size: this.#size, fingerprint: { high, low }, epoch: this.#epoch };
  }

  #putAtLeaf(
    branch: TrieBranch,
    slot: number,
    at: { child: TrieLeaf; entry: TrieEntry; level: number },
  ): TrieEntry | undefined {
    const { child, entry, level } = at;
    if (child.position === entry.position) {
      // By far the most: nothing else has its position.
      if (child.kind === "entry" && isSameKey(child.key, entry.key)) {
        branch.children[slot] = entry;
        return child;
      }
      const { leaf, previous } = withEntry(child, entry);
      branch.children[slot] = leaf;
      if (previous === undefined) this.#size += 1;
      return previous;
    }
    branch.children[slot] = this.#split(child, entry, level + 1);
    this.#size += 1;
    return undefined;
  }

  /** Branches down to the first level at which the two positions differ. */
  #split(one: TrieLeaf, other: TrieEntry, level: number): TrieBranch {
    const oneBit = bitOf(one.position, level);
    const otherBit = bitOf(other.position, level);
    const children =
      oneBit === otherBit
        ? [this.#split(one, other, level + 1)]
        : one.position < other.position
          ? [one, other]
          : [other, one];
    return new TrieBranch(this.#epoch, oneBit | otherBit, children);
  }

  #removeBelow(branch: TrieBranch, entry: TrieEntry, level: number): void {
    const bit = bitOf(entry.position, level);
    const slot = slotOf(branch, bit);
    const child = branch.children[slot];
    invariant(child !== undefined, "M1 an entry that was found lies on its path");
    if (child.kind === "branch") {
      const own = this.#own(child);
      this.#removeBelow(own, entry, level + 1);
      branch.children[slot] = onlyLeafOf(own) ?? own;
      return;
    }
    const rest = child.kind === "bucket" ? withoutEntry(child, entry) : undefined;
    if (rest !== undefined) {
      branch.children[slot] = rest;
      return;
    }
    branch.bitmap &= ~bit;
    branch.children.splice(slot, 1);
  }

  #ownRoot(): TrieBranch {
    this.#root = this.#own(this.#root);
    return this.#root;
  }

  /** The branch itself or a copy of it, about to be changed: its digest is forgotten. */
  #own(branch: TrieBranch): TrieBranch {
    if (branch.epoch !== this.#epoch) return new TrieBranch(this.#epoch, branch.bitmap, branch.children.slice());
    branch.digest = undefined;
    return branch;
  }
}

export function newEntry(key: SortedKey, value: unknown, hasBytes: boolean): PlainEntry {
  return hasBytes ? new EntryWithBytes(key, value) : new PlainEntry(key, value);
}

/** In the order of positions, and of keys in a bucket. `from` is the first position wanted. */
export function* leavesFrom(root: TrieBranch, from: number): IterableIterator<TrieLeaf> {
  const path = seek(root, from);
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const child = top.branch.children[top.next];
    top.next += 1;
    if (child === undefined) path.pop();
    else if (child.kind === "branch") path.push({ branch: child, next: 0 });
    else yield child;
  }
}

export function* entriesOf(root: TrieBranch): IterableIterator<TrieEntry> {
  for (const leaf of leavesFrom(root, 0)) {
    if (leaf.kind === "entry") yield leaf;
    else yield* leaf.entries;
  }
}

/** The same for any part of a trie. */
export function* entriesBelow(node: TrieNode): IterableIterator<TrieEntry> {
  if (node.kind === "branch") yield* entriesOf(node);
  else if (node.kind === "bucket") yield* node.entries;
  else yield node;
}

interface PathStep {
  readonly branch: TrieBranch;
  next: number;
}

/** The path to the first leaf at or behind a position. */
function seek(root: TrieBranch, from: number): PathStep[] {
  const path: PathStep[] = [];
  let branch = root;
  for (let level = 0; level < levelCount; level += 1) {
    const bit = bitOf(from, level);
    const slot = slotOf(branch, bit);
    const child = (branch.bitmap & bit) === 0 ? undefined : branch.children[slot];
    if (child?.kind !== "branch") {
      const isBefore = child !== undefined && child.position < from;
      path.push({ branch, next: isBefore ? slot + 1 : slot });
      return path;
    }
    path.push({ branch, next: slot + 1 });
    branch = child;
  }
  return path;
}

function withEntry(
  leaf: TrieLeaf,
  entry: TrieEntry,
): { readonly leaf: TrieLeaf; readonly previous: TrieEntry | undefined } {
  const entries = leaf.kind === "entry" ? [leaf] : leaf.entries.slice();
  const at = countBelow(entries, entry.key);
  const found = entries[at];
  const previous = found !== undefined && isSameKey(found.key, entry.key) ? found : undefined;
  entries.splice(at, previous === undefined ? 0 : 1, entry);
  if (entries.length === 1) return { leaf: entry, previous };
  return { leaf: { kind: "bucket", position: entry.position, entries }, previous };
}

/** Entries of a bucket with a smaller key; by halving, since an attacker may have chosen many keys of one position. */
function countBelow(entries: readonly TrieEntry[], key: SortedKey): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entry = entries[middle];
    if (entry !== undefined && compareKeys(entry.key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function withoutEntry(bucket: TrieBucket, entry: TrieEntry): TrieLeaf | undefined {
  const entries = bucket.entries.filter((other) => !isSameKey(other.key, entry.key));
  return entries.length > 1 ? { kind: "bucket", position: bucket.position, entries } : entries[0];
}

function onlyLeafOf(branch: TrieBranch): TrieLeaf | undefined {
  const only = branch.children.length === 1 ? branch.children[0] : undefined;
  return only?.kind === "branch" ? undefined : only;
}

/** Of the branches in which two positions, which differ, part. */
export function levelOfDifference(one: number, other: number): number {
  return Math.floor((Math.clz32(one ^ other) - (32 - positionBits)) / levelBits);
}

/** The child's of a branch at this level. */
export function bitOf(position: number, level: number): number {
  return 1 << ((position >>> (positionBits - levelBits * (level + 1))) & 31);
}

/** Children before this bit. */
function slotOf(branch: TrieBranch, bit: number): number {
  let bits = branch.bitmap & (bit - 1);
  bits -= (bits >>> 1) & 0x5555_5555;
  bits = (bits & 0x3333_3333) + ((bits >>> 2) & 0x3333_3333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
