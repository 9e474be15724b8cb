/**
 * What differs between two contents of a collection.
 *
 * Owns: the walk through both tries at once. What they share is skipped whole, so two forks of one instance cost what was written between
 * them, and two that share nothing cost their size. Memory: the path to where the walk is.
 */
import { equalBytes } from "../base/bytes.js";
import { encodeValue } from "../wire/canonical.js";
import { entriesBelow, type TrieBranch, type TrieEntry, type TrieNode } from "./hash-trie.js";
import { compareKeys, isSameKey } from "./key.js";

interface TrieChange {
  readonly before: TrieEntry | undefined;
  readonly after: TrieEntry | undefined;
}

/** In canonical order. */
export function* changesBetween(
  before: TrieNode | undefined,
  after: TrieNode | undefined,
): Generator<TrieChange, void> {
  if (before === after) return;
  if (before?.kind === "branch" && after?.kind === "branch") yield* changesOfBranches(before, after);
  else yield* changesOfEntries(entriesOf(before), entriesOf(after));
}

/** Children lie behind their bits, the lowest first. */
function* changesOfBranches(before: TrieBranch, after: TrieBranch): Generator<TrieChange, void> {
  let beforeSlot = 0;
  let afterSlot = 0;
  for (let bit = 0; bit < 32; bit += 1) {
    const isBefore = ((before.bitmap >>> bit) & 1) === 1;
    const isAfter = ((after.bitmap >>> bit) & 1) === 1;
    if (!isBefore && !isAfter) continue;
    yield* changesBetween(
      isBefore ? before.children[beforeSlot] : undefined,
      isAfter ? after.children[afterSlot] : undefined,
    );
    if (isBefore) beforeSlot += 1;
    if (isAfter) afterSlot += 1;
  }
}

/** Merges two ordered walks. */
function* changesOfEntries(before: Iterator<TrieEntry>, after: Iterator<TrieEntry>): Generator<TrieChange, void> {
  let left = nextOf(before);
  let right = nextOf(after);
  while (left !== undefined || right !== undefined) {
    const order = orderOf(left, right);
    if (order < 0) yield { before: left, after: undefined };
    else if (order > 0) yield { before: undefined, after: right };
    else if (left !== right && !isSame(left, right)) yield { before: left, after: right };
    if (order <= 0) left = nextOf(before);
    if (order >= 0) right = nextOf(after);
  }
}

function entriesOf(node: TrieNode | undefined): Iterator<TrieEntry> {
  return node === undefined ? [][Symbol.iterator]() : entriesBelow(node);
}

function nextOf(entries: Iterator<TrieEntry>): TrieEntry | undefined {
  const { done, value } = entries.next();
  return done === true ? undefined : value;
}

function orderOf(left: TrieEntry | undefined, right: TrieEntry | undefined): number {
  if (left === undefined) return 1;
  if (right === undefined) return -1;
  if (left.position !== right.position) return left.position - right.position;
  return isSameKey(left.key, right.key) ? 0 : compareKeys(left.key, right.key);
}

function isSame(left: TrieEntry | undefined, right: TrieEntry | undefined): boolean {
  return equalBytes(encodeValue(left?.value), encodeValue(right?.value));
}
