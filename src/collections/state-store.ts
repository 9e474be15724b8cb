/**
 * One instance of a machine's state: its collections by name, as a whole.
 *
 * Owns: declaring, forking, digesting and installing all collections together. Leaves to others: single reads and writes, and
 * the bytes of a snapshot (`snapshot-format.ts`). Called by `typed-machine.ts`.
 */
import { ByteWriter } from "../base/bytes.js";
import { Mixer, type Fingerprint } from "../base/fingerprint.js";
import { invariant } from "../base/invariant.js";
import { doAll, type Steps } from "../base/steps.js";
import type { CommandLimits } from "../api/machine.js";
import type { Collection, Collections, Key, SortedKey, StateShape } from "../api/state.js";
import type { Hash } from "../ports/hash.js";
import type { HashTrie, TrieSnapshot } from "./hash-trie.js";
import { Scope } from "./scope.js";
import { readChunks, SnapshotRefused, writeChunks, type NamedContent } from "./snapshot-format.js";
import { cellKey, TableCell } from "./state-cell.js";
import { TableList } from "./state-list.js";
import { TableMap } from "./state-map.js";
import { TableSet } from "./state-set.js";
import { OrderFollower, TableSortedMap } from "./state-sorted-map.js";
import { keysPerStep, Table } from "./table.js";
import { TrieBuilder } from "./trie-builder.js";
import { digestOfTrie } from "./trie-digest.js";

export type Declare = (collections: Collections) => StateShape;

interface Declared {
  readonly table: Table;
  readonly kind: Collection["kind"];
  /** What a new instance starts with: a cell has its first value, everything else is empty. */
  readonly initial: TrieSnapshot;
}

interface NamedSum {
  readonly name: string;
  readonly content: Pick<HashTrie, "size" | "fingerprint">;
}

export class StateStore {
  readonly scope: Scope;
  readonly state: StateShape;
  /** Sorted by name. */
  readonly #declared: readonly Declared[];
  /** What is in each by now. */
  readonly #live: readonly NamedSum[];
  readonly #names: Fingerprint;

  /** `hidden` are the library's own: no command sees them. @throws Error if what `declare` returns is not made of the collections it was given. */
  constructor(declare: Declare, limits: CommandLimits, hidden: Declare) {
    this.scope = new Scope(limits);
    const made = new Map<Collection, Declared>();
    const collections = createCollections(this.scope, made);
    this.state = Object.freeze({ ...declare(collections) });
    checkOwnNames(this.state);
    this.#declared = nameTables({ ...this.state, ...hidden(collections) }, made);
    this.#live = this.#declared.map(({ table }) => ({ name: table.name, content: table.trie }));
    this.#names = fingerprintOfNames(this.#live);
  }

  /** O(number of collections). */
  fork(): readonly NamedContent[] {
    return this.#declared.map(({ table }) => ({ name: table.name, content: table.trie.snapshot() }));
  }

  /** Answers what makes the state be that of now again, whatever happened to it meanwhile. */
  mark(): () => void {
    const undos = this.#declared.map(({ table }) => table.mark());
    return () => {
      this.scope.abandon();
      for (const undo of undos) undo();
    };
  }

  digest(hash: Hash): Uint8Array {
    return digestOfContents(this.view(), hash);
  }

  /** Equal for equal states, like the digest, and costs the same however large they are. */
  fingerprint(): Fingerprint {
    return fingerprintOfContents(this.#live, this.#names);
  }

  /** As it lies in memory, until the next change. */
  view(): readonly NamedContent[] {
    return this.#declared.map(({ table }) => ({ name: table.name, content: table.trie.view() }));
  }

  /** Names of collections that are not what was written any more, as they lie in memory. */
  *scrubbing(): Steps<readonly string[]> {
    const damaged: string[] = [];
    for (const { table } of this.#declared) if (!(yield* table.scrubbing())) damaged.push(table.name);
    return damaged;
  }

  /** Begins with the content of another state, as far as it has collections of the same name and kind. */
  adopt(from: StateStore): void {
    for (const { table, kind } of this.#declared) {
      const same = from.#declared.find((other) => other.table.name === table.name && other.kind === kind);
      if (same !== undefined) doAll(table.prepare(same.table.trie.snapshot()))();
    }
  }

  /** Replaces everything, or nothing. @throws SnapshotRefused */
  install(chunks: Iterable<Uint8Array>): void {
    doAll(this.installing(chunks));
  }

  /** As `install`, all of it in the last step. @throws SnapshotRefused */
  *installing(chunks: Iterable<Uint8Array>): Steps<void> {
    const contents = new Map(
      this.#declared.map(({ table, initial }) => [table.name, new TrieBuilder(initial)] as const),
    );
    yield* readChunks(chunks, contents);
    const installs: (() => void)[] = [];
    for (const { table, kind } of this.#declared) {
      const content = contents.get(table.name)?.finish();
      invariant(content !== undefined, "every declared collection has its content");
      if (kind === "list" && !(yield* hasEveryIndex(content))) {
        throw new SnapshotRefused(`Cannot install the snapshot: the list ${table.name} has gaps`);
      }
      installs.push(yield* table.prepare(content.snapshot()));
    }
    for (const install of installs) install();
  }
}

function* hasEveryIndex(content: HashTrie): Steps<boolean> {
  for (let at = 0; at < content.size; at += 1) {
    if (content.get(at) === undefined) return false;
    if (at % keysPerStep === keysPerStep - 1) yield;
  }
  return true;
}

export function digestOfContents(contents: readonly NamedContent[], hash: Hash): Uint8Array {
  const writer = new ByteWriter();
  writer.varint(contents.length);
  for (const { name, content } of contents) {
    writer.text(name);
    writer.varint(content.size);
    writer.raw(digestOfTrie(content.root, hash));
  }
  return hash.sha256(writer.peek());
}

/** `names`: of theirs, which stay the same. */
export function fingerprintOfContents(
  contents: readonly NamedSum[],
  names: Fingerprint = fingerprintOfNames(contents),
): Fingerprint {
  const mixer = new Mixer().begin(names);
  for (const { content } of contents) mixer.number(content.size).fingerprint(content.fingerprint);
  return mixer.end();
}

function fingerprintOfNames(contents: readonly NamedSum[]): Fingerprint {
  const mixer = new Mixer().begin();
  for (const { name } of contents) mixer.text(name);
  return mixer.end();
}

export function chunksOf(contents: readonly NamedContent[]): Iterable<Uint8Array> {
  return writeChunks(contents);
}

function createCollections(scope: Scope, made: Map<Collection, Declared>): Collections {
  const keep = <Made extends Collection>(collection: Made, table: Table): Made => {
    made.set(collection, { table, kind: collection.kind, initial: table.trie.snapshot() });
    return collection;
  };
  return {
    map: <K extends Key, V>() => {
      const table = new Table(scope, undefined);
      return keep(new TableMap<K, V>(table), table);
    },
    sortedMap: <K extends SortedKey, V>() => {
      const follower = new OrderFollower();
      const table = new Table(scope, follower);
      return keep(new TableSortedMap<K, V>(table, follower.order), table);
    },
    set: <K extends Key>() => {
      const table = new Table(scope, undefined);
      return keep(new TableSet<K>(table), table);
    },
    list: <V>() => {
      const table = new Table(scope, undefined);
      return keep(new TableList<V>(table), table);
    },
    cell: <V>(initial: V) => {
      const table = new Table(scope, undefined);
      if (initial !== undefined) {
        const value = scope.copy(initial);
        table.trie.put(cellKey, value, scope.copyHasBytes);
      }
      return keep(new TableCell<V>(table, initial === undefined), table);
    },
  };
}

function checkOwnNames(state: StateShape): void {
  const taken = Object.keys(state).find((name) => name.startsWith("$"));
  if (taken !== undefined) throw new TypeError(`Cannot declare state.${taken}: names with $ are the library's own`);
}

function nameTables(state: StateShape, made: ReadonlyMap<Collection, Declared>): readonly Declared[] {
  const declared: Declared[] = [];
  for (const name of Object.keys(state).sort()) {
    const collection = state[name];
    const one = collection === undefined ? undefined : made.get(collection);
    if (one === undefined) {
      throw new TypeError(`Cannot declare state.${name}: it is not one of the collections that "state" was given`);
    }
    if (declared.includes(one)) throw new TypeError(`Cannot declare state.${name}: it has another name already`);
    one.table.name = name;
    declared.push(one);
  }
  if (declared.length !== made.size) {
    throw new TypeError(`Cannot declare the state: ${made.size} collections were made and ${declared.length} returned`);
  }
  return declared;
}
