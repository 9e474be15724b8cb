/** Keys of one place in a trie, found by trying numbers from 1000: pairs, one after the other. */
import { positionOf } from "../src/collections/key.js";

export function collidingNumbers(): number[] {
  const byPosition = new Map<number, number>();
  const found: number[] = [];
  for (let number = 1000; found.length < 6; number += 1) {
    const position = positionOf(number);
    const earlier = byPosition.get(position);
    if (earlier === undefined) byPosition.set(position, number);
    else found.push(earlier, number);
  }
  return found;
}
