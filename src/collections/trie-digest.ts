/**
 * Digests of tries: equal for equal content, whatever its history.
 *
 * Owns: the tree of SHA-256 over the trie's shape, which itself follows from the content (M1). A branch caches its digest until it
 * changes, so the work after a change is the changed branches and the entries right below them. Two contents with one digest would
 * be a collision of SHA-256: every key, value and bitmap is hashed whole, behind a byte that says what it is.
 */
import { ByteWriter } from "../base/bytes.js";
import type { Hash } from "../ports/hash.js";
import { writeValue } from "../wire/canonical.js";
import type { TrieBranch, TrieEntry } from "./hash-trie.js";

const label = { branch: 1, entry: 2, child: 3, bucket: 4 } as const;

export function digestOfTrie(branch: TrieBranch, hash: Hash): Uint8Array {
  // One writer for each level of the way down, used again by all branches of that level.
  return digestOfBranch(branch, hash, { writers: [], level: 0 });
}

interface Descent {
  readonly writers: ByteWriter[];
  level: number;
}

function digestOfBranch(branch: TrieBranch, hash: Hash, descent: Descent): Uint8Array {
  if (branch.digest !== undefined) return branch.digest;
  const writer = (descent.writers[descent.level] ??= new ByteWriter());
  descent.level += 1;
  writer.reset();
  writer.u8(label.branch);
  writer.u32(branch.bitmap >>> 0);
  // As deep as the trie is: six levels.
  for (const child of branch.children) {
    if (child.kind === "branch") {
      writer.u8(label.child);
      writer.raw(digestOfBranch(child, hash, descent));
    } else if (child.kind === "entry") {
      writeEntry(writer, child);
    } else {
      writer.u8(label.bucket);
      writer.varint(child.entries.length);
      for (const entry of child.entries) writeEntry(writer, entry);
    }
  }
  descent.level -= 1;
  branch.digest = hash.sha256(writer.peek());
  return branch.digest;
}

function writeEntry(writer: ByteWriter, entry: TrieEntry): void {
  writer.u8(label.entry);
  writeValue(writer, entry.key);
  writeValue(writer, entry.value);
}
