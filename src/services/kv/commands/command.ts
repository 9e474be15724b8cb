/**
 * What the table of Redis commands says about each of them, and what their implementations share.
 *
 * Owns: the shape of a row and small readers of arguments. Filled by the files beside this one, gathered by `table.ts`.
 */
import { parseSafeInteger } from "../integers.js";
import type { Reply } from "../reply.js";
import { errors } from "../reply.js";
import { find, findForWrite } from "../keyspace.js";
import type { Reading, Stored, Writing } from "../state.js";

/** Arguments as latin1 text, the command's name first. */
export type Argv = readonly string[];

interface Row {
  /** In lower case. */
  readonly name: string;
  /** Exact count of arguments, name included; at least so many if negative. */
  readonly arity: number;
  /** Places of keys: first, last (negative: from the end), step; 0 if there are none. */
  readonly keys: readonly [number, number, number];
  /**
   * Whether the reply may be as large as a value, so that a pipeline of these is answered in pieces; "withOptions": only if there
   * are more arguments than the command needs.
   */
  readonly bulky: "never" | "always" | "withOptions";
}

/**
 * `read`: answered by a query. `write`: changes state, so it is ordered. `ordered`: changes nothing, but its answer needs a fresh agreed
 * time or a random number, which only the order gives.
 */
export type CommandRow =
  | (Row & { readonly access: "read"; readonly run: (reading: Reading, argv: Argv) => Reply })
  | (Row & { readonly access: "write" | "ordered"; readonly run: (writing: Writing, argv: Argv) => Reply });

type Keys = readonly [number, number, number];

export const noKeys: Keys = [0, 0, 0];
export const oneKey: Keys = [1, 1, 1];
export const allKeys: Keys = [1, -1, 1];

interface Shape {
  readonly name: string;
  readonly arity: number;
  readonly keys: Keys;
}

type Read = (reading: Reading, argv: Argv) => Reply;
type Write = (writing: Writing, argv: Argv) => Reply;

export const read = (shape: Shape, run: Read): CommandRow => ({ ...shape, access: "read", bulky: "never", run });
export const readBulky = (shape: Shape, run: Read): CommandRow => ({ ...shape, access: "read", bulky: "always", run });
export const write = (shape: Shape, run: Write): CommandRow => ({ ...shape, access: "write", bulky: "never", run });
export const writeBulky = (shape: Shape, run: Write): CommandRow => ({
  ...shape,
  access: "write",
  bulky: "always",
  run,
});
export const writeBulkyWithOptions = (shape: Shape, run: Write): CommandRow => ({
  ...shape,
  access: "write",
  bulky: "withOptions",
  run,
});
export const ordered = (shape: Shape, run: Write): CommandRow => ({ ...shape, access: "ordered", bulky: "never", run });

export function isBulky(row: CommandRow, argv: Argv): boolean {
  return row.bulky === "always" || (row.bulky === "withOptions" && argv.length > Math.abs(row.arity));
}

/** The argument at `place`; empty if it is not there, which arity has excluded where it matters. */
export function argument(argv: Argv, place: number): string {
  return argv[place] ?? "";
}

/** An option's name, compared in upper case. */
export function option(argv: Argv, place: number): string {
  return argument(argv, place).toUpperCase();
}

type OfKind<Kind extends Stored["kind"]> = Extract<Stored, { readonly kind: Kind }>;

/** What the key holds if it is of that kind, `undefined` if it is absent. */
export function findKind<Kind extends Stored["kind"]>(
  reading: Reading,
  key: string,
  kind: Kind,
): OfKind<Kind> | undefined | "wrongType" {
  return ofKind(find(reading, key), kind);
}

export function findKindForWrite<Kind extends Stored["kind"]>(
  writing: Writing,
  key: string,
  kind: Kind,
): OfKind<Kind> | undefined | "wrongType" {
  return ofKind(findForWrite(writing, key), kind);
}

function ofKind<Kind extends Stored["kind"]>(
  stored: Stored | undefined,
  kind: Kind,
): OfKind<Kind> | undefined | "wrongType" {
  if (stored === undefined) return undefined;
  return isOfKind(stored, kind) ? stored : "wrongType";
}

function isOfKind<Kind extends Stored["kind"]>(stored: Stored, kind: Kind): stored is OfKind<Kind> {
  return stored.kind === kind;
}

/** The optional count of LPOP and its like. */
export type Count =
  | { readonly kind: "none" }
  | { readonly kind: "some"; readonly count: number }
  | { readonly kind: "bad"; readonly error: Reply };

export function readCount(argv: Argv, place: number): Count {
  const text = argv[place];
  if (text === undefined) return { kind: "none" };
  const count = parseSafeInteger(text);
  return count === undefined || count < 0 ? { kind: "bad", error: errors.notPositive } : { kind: "some", count };
}

/** Places of START and STOP, which count from the end if negative, within `count`; `undefined` if nothing lies between them. */
export function rangeWithin(start: number, stop: number, count: number): { first: number; last: number } | undefined {
  const first = Math.max(0, start < 0 ? count + start : start);
  const last = Math.min(count - 1, stop < 0 ? count + stop : stop);
  return first > last ? undefined : { first, last };
}
