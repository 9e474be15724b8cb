/**
 * What a command may do to the state, and how it is taken back.
 *
 * Owns: who may write now, the deterministic budgets, and the journal by which a command that failed is rolled back. Every
 * read and write of a collection asks here first. Called by the collections and by `typed-machine.ts`.
 *
 * Invariants: M7 the state changes only between `begin` and its end. M8 after `rollback` the content is that of `begin`. M9 whoever
 * passed a budget fails, even if the command caught the error.
 */
import type { CommandLimits } from "../api/machine.js";
import type { SortedKey } from "../api/state.js";
import { PlainCopier } from "./plain.js";

/** Undoes a change, by what was recorded of it. */
export interface Undoing {
  undo(key: unknown, previous: unknown): void;
}

/** The same on every replica: counts of the command alone lead here. */
class BudgetExceeded extends Error {
  override readonly name = "BudgetExceeded";
}

class WriteRefused extends Error {
  override readonly name = "WriteRefused";
}

/** A longer journal is let go. */
const journalKept = 192;

export class Scope {
  readonly #limits: CommandLimits;
  readonly #copier: PlainCopier;
  #mode: "closed" | "reading" | "writing" | "migrating" = "closed";
  #operations = 0;
  /**
   * Three for each change: who undoes it, the key, and what was there. The first `#changes` are of this command: the array itself stays, since a new one
   * would grow again with each command.
   */
  #journal: unknown[] = [];
  #changes = 0;
  #isChanging = false;

  constructor(limits: CommandLimits) {
    this.#limits = limits;
    this.#copier = new PlainCopier(limits.bytesMax);
  }

  /**
   * `serving`: for the library's own reads, which have bounds of their own and are not counted. `migrating`: nothing is counted either, and
   * nothing can be taken back.
   */
  begin(mode: "reading" | "writing" | "serving" | "migrating"): void {
    this.#mode = mode === "serving" ? "reading" : mode;
    this.#operations = mode === "serving" || mode === "migrating" ? -Infinity : 0;
    this.#copier.bytes = mode === "migrating" ? -Number.MAX_SAFE_INTEGER : 0;
    this.#isChanging = false;
  }

  /** A change was begun and not ended: the stack ended within it, and even if the command caught that, no journal can mend it. */
  get isTorn(): boolean {
    return this.#isChanging;
  }

  /** Keeps what was done. */
  commit(): void {
    this.#end();
  }

  /** Takes it back, the last change first. */
  rollback(): void {
    for (let at = 3 * (this.#changes - 1); at >= 0; at -= 3) {
      const undoing = this.#journal[at] as Undoing;
      undoing.undo(this.#journal[at + 1], this.#journal[at + 2]);
    }
    this.#end();
  }

  /** @throws BudgetExceeded */
  checkBudgets(): void {
    const { operationsMax, bytesMax } = this.#limits;
    if (this.#operations > operationsMax) {
      throw new BudgetExceeded(`Cannot use the state more than ${operationsMax} times in one command (operationsMax)`);
    }
    if (this.#copier.bytes > bytesMax)
      throw new BudgetExceeded(`Cannot write more than ${bytesMax} bytes in one command (bytesMax)`);
  }

  /** Before each read, and each step of an iteration. */
  noteRead(): void {
    this.#operations += 1;
    if (this.#operations > this.#limits.operationsMax) this.checkBudgets();
  }

  /** Before each write. */
  noteWrite(collection: string): void {
    if (this.#mode !== "writing" && this.#mode !== "migrating") {
      throw new WriteRefused(
        `Cannot write to ${collection}: ${this.#mode === "reading" ? "queries only read" : "no command is being executed"}`,
      );
    }
    this.noteRead();
  }

  /** The frozen copy that is kept. @throws NotCanonical with a path inside of the value, BudgetExceeded */
  copy(value: unknown): unknown {
    try {
      const copied = this.#copier.copy(value);
      if (this.#copier.bytes > this.#limits.bytesMax) this.checkBudgets();
      return copied;
    } catch (cause) {
      // What takes more bytes than are left is no fault of the value alone.
      this.checkBudgets();
      throw cause;
    }
  }

  /** Counts the key of a value that is copied next. @throws NotCanonical */
  weigh(key: SortedKey, collection: string): void {
    this.#copier.weigh(key, collection);
  }

  /** Whether there are bytes in the last copy. */
  get copyHasBytes(): boolean {
    return this.#copier.hasBytes;
  }

  /** Right before a structure is changed. */
  change(): void {
    this.#isChanging = true;
  }

  /** Right after it was changed. */
  record(undoing: Undoing, key?: unknown, previous?: unknown): void {
    if (this.#mode !== "migrating") {
      const at = 3 * this.#changes;
      this.#journal[at] = undoing;
      this.#journal[at + 1] = key;
      this.#journal[at + 2] = previous;
      this.#changes += 1;
    }
    this.#isChanging = false;
  }

  /** Forgets what was done, without taking it back: whoever calls restores the state as a whole. */
  abandon(): void {
    this.#end();
  }

  #end(): void {
    this.#mode = "closed";
    if (this.#journal.length > journalKept) this.#journal = [];
    else for (let at = 3 * this.#changes - 1; at >= 0; at -= 1) this.#journal[at] = undefined;
    this.#changes = 0;
  }
}
