/**
 * The keys of a sorted map in ascending order, with O(1) snapshots.
 *
 * Owns: a B-tree of keys, copied where a snapshot can see it and changed in place elsewhere, like the trie. Leaves to others: values
 * and digests, which the trie beside it has. Its shape depends on history and is never observable. Called by `state-sorted-map.ts`.
 *
 * Invariants: M3 keys of a node grow; child `i` holds the keys from separator `i - 1` to below separator `i`. M4 no node but the
 * root is empty. Nodes that lost most of their keys are kept until they are empty: that costs depth, never order.
 */
import { invariant } from "../base/invariant.js";
import type { SortedKey } from "../api/state.js";
import type { Steps } from "../base/steps.js";
import { compareKeys } from "./key.js";

interface OrderLeaf {
  readonly kind: "leaf";
  readonly epoch: number;
  readonly keys: SortedKey[];
}

interface OrderInner {
  readonly kind: "inner";
  readonly epoch: number;
  readonly separators: SortedKey[];
  readonly children: OrderNode[];
}

export type OrderNode = OrderLeaf | OrderInner;

interface Split {
  readonly separator: SortedKey;
  readonly right: OrderNode;
}

const keysMax = 64;
/** In one step. */
const keysPerScrub = 32;

export class KeyOrder {
  #epoch = 1;
  #root: OrderNode = { kind: "leaf", epoch: 1, keys: [] };

  /** `key` is not in it. */
  insert(key: SortedKey): void {
    this.#root = this.#own(this.#root);
    const split = this.#insertBelow(this.#root, key);
    if (split === undefined) return;
    this.#root = {
      kind: "inner",
      epoch: this.#epoch,
      separators: [split.separator],
      children: [this.#root, split.right],
    };
  }

  /** `key` is in it. */
  remove(key: SortedKey): void {
    this.#root = this.#own(this.#root);
    this.#removeBelow(this.#root, key);
    while (this.#root.kind === "inner" && this.#root.children.length <= 1) {
      this.#root = this.#root.children[0] ?? { kind: "leaf", epoch: this.#epoch, keys: [] };
    }
  }

  clear(): void {
    this.#root = { kind: "leaf", epoch: this.#epoch, keys: [] };
  }

  snapshot(): OrderNode {
    this.#epoch += 1;
    return this.#root;
  }

  restore(root: OrderNode): void {
    this.#epoch += 1;
    this.#root = root;
  }

  /**
   * Looks at every key again, some in each step, between which keys may come and go: whether they grow, are found where they are, and `isRight`
   * says so of each.
   */
  *scrubbing(isRight: (key: SortedKey) => boolean): Steps<boolean> {
    let last: SortedKey | undefined;
    for (let isAtEnd = false; !isAtEnd;) {
      let left = keysPerScrub;
      isAtEnd = true;
      for (const key of keysUpward(this.#root, last)) {
        const order = last === undefined ? -1 : compareKeys(last, key);
        if (order > 0 || !isRight(key)) return false;
        // The last one is come upon again, unless it has gone meanwhile.
        if (order === 0 && left < keysPerScrub) return false;
        last = key;
        left -= 1;
        isAtEnd = left > 0;
        if (left === 0) break;
      }
      yield;
    }
    return true;
  }

  first(): SortedKey | undefined {
    let node = this.#root;
    while (node.kind === "inner") node = childOf(node, 0);
    return node.keys[0];
  }

  last(): SortedKey | undefined {
    let node = this.#root;
    while (node.kind === "inner") node = childOf(node, node.children.length - 1);
    return node.keys.at(-1);
  }

  #insertBelow(node: OrderNode, key: SortedKey): Split | undefined {
    if (node.kind === "leaf") {
      node.keys.splice(countBelow(node.keys, key), 0, key);
      return node.keys.length > keysMax ? this.#splitLeaf(node) : undefined;
    }
    const at = countUpTo(node.separators, key);
    const child = this.#own(childOf(node, at));
    node.children[at] = child;
    const split = this.#insertBelow(child, key);
    if (split === undefined) return undefined;
    node.separators.splice(at, 0, split.separator);
    node.children.splice(at + 1, 0, split.right);
    return node.children.length > keysMax ? this.#splitInner(node) : undefined;
  }

  /** Keys often arrive in ascending order, so the left half is left full. */
  #splitLeaf(node: OrderLeaf): Split {
    const keys = node.keys.splice(keysMax * 0.75);
    const separator = keys[0];
    invariant(separator !== undefined, "M4 a split leaves keys on both sides");
    return { separator, right: { kind: "leaf", epoch: this.#epoch, keys } };
  }

  #splitInner(node: OrderInner): Split {
    const children = node.children.splice(keysMax * 0.75);
    const separators = node.separators.splice(keysMax * 0.75 - 1);
    const separator = separators.shift();
    invariant(separator !== undefined, "M3 there is a separator between two children");
    return { separator, right: { kind: "inner", epoch: this.#epoch, separators, children } };
  }

  #removeBelow(node: OrderNode, key: SortedKey): void {
    if (node.kind === "leaf") {
      const at = countBelow(node.keys, key);
      const found = node.keys[at];
      invariant(found !== undefined && compareKeys(found, key) === 0, "M3 a key that is present is found");
      node.keys.splice(at, 1);
      return;
    }
    const at = countUpTo(node.separators, key);
    const child = this.#own(childOf(node, at));
    node.children[at] = child;
    this.#removeBelow(child, key);
    if (!isEmpty(child)) return;
    node.children.splice(at, 1);
    node.separators.splice(Math.max(0, at - 1), 1);
  }

  #own(node: OrderNode): OrderNode {
    if (node.epoch === this.#epoch) return node;
    if (node.kind === "leaf") return { kind: "leaf", epoch: this.#epoch, keys: node.keys.slice() };
    const { separators, children } = node;
    return { kind: "inner", epoch: this.#epoch, separators: separators.slice(), children: children.slice() };
  }
}

/** Ascending, from the first key that is not below `from`. */
export function* keysUpward(root: OrderNode, from: SortedKey | undefined): IterableIterator<SortedKey> {
  const path: { readonly node: OrderInner; next: number }[] = [];
  let node = root;
  while (node.kind === "inner") {
    const at = from === undefined ? 0 : countUpTo(node.separators, from);
    path.push({ node, next: at + 1 });
    node = childOf(node, at);
  }
  const { keys } = node;
  for (let at = from === undefined ? 0 : countBelow(keys, from); at < keys.length; at += 1) yield keys[at] as SortedKey;
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const child = top.node.children[top.next];
    top.next += 1;
    if (child === undefined) path.pop();
    else if (child.kind === "inner") path.push({ node: child, next: 0 });
    else yield* child.keys;
  }
}

/** Where a walk downward begins: below a key, at or below it, or at the end. */
export type UpperBound = { readonly kind: "below" | "through"; readonly key: SortedKey } | undefined;

/** Descending, from the last key within the bound. */
export function* keysDownward(root: OrderNode, bound: UpperBound): IterableIterator<SortedKey> {
  const path: { readonly node: OrderInner; next: number }[] = [];
  let node = root;
  while (node.kind === "inner") {
    const at = countWithin(node.separators, bound);
    path.push({ node, next: at - 1 });
    node = childOf(node, at);
  }
  const { keys } = node;
  for (let at = countWithin(keys, bound) - 1; at >= 0; at -= 1) yield keys[at] as SortedKey;
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const child = top.node.children[top.next];
    top.next -= 1;
    if (child === undefined) path.pop();
    else if (child.kind === "inner") path.push({ node: child, next: child.children.length - 1 });
    else for (let at = child.keys.length - 1; at >= 0; at -= 1) yield child.keys[at] as SortedKey;
  }
}

function countWithin(keys: readonly SortedKey[], bound: UpperBound): number {
  if (bound === undefined) return keys.length;
  return bound.kind === "below" ? countBelow(keys, bound.key) : countUpTo(keys, bound.key);
}

/** Keys less than `key`. */
function countBelow(keys: readonly SortedKey[], key: SortedKey): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeys(keys[middle] as SortedKey, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Keys less than or equal to `key`. */
function countUpTo(keys: readonly SortedKey[], key: SortedKey): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeys(keys[middle] as SortedKey, key) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function childOf(node: OrderInner, at: number): OrderNode {
  const child = node.children[at];
  invariant(child !== undefined, "M4 an inner node has a child for every key");
  return child;
}

function isEmpty(node: OrderNode): boolean {
  return node.kind === "leaf" ? node.keys.length === 0 : node.children.length === 0;
}
