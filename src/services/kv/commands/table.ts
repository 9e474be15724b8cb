/**
 * The table of Redis commands that the machine executes.
 *
 * Owns: gathering the rows, and finding one by its name as a client wrote it. Used by the machine and by the door, so both agree on
 * what is known, how many arguments it takes, and whether it is ordered.
 */
import type { CommandRow } from "./command.js";
import { expiryCommands } from "./expiry.js";
import { hashCommands } from "./hashes.js";
import { keyCommands } from "./keys.js";
import { listCommands } from "./lists.js";
import { numberCommands } from "./numbers.js";
import { setCommands } from "./sets.js";
import { sortedSetCommands } from "./sorted-sets.js";
import { stringCommands } from "./strings.js";

export const commandRows: readonly CommandRow[] = [
  ...stringCommands,
  ...numberCommands,
  ...keyCommands,
  ...expiryCommands,
  ...listCommands,
  ...hashCommands,
  ...setCommands,
  ...sortedSetCommands,
];

/** Both common spellings, so that most names are found without making a string. */
const byName: ReadonlyMap<string, CommandRow> = new Map(
  commandRows.flatMap((row) => [
    [row.name, row],
    [row.name.toUpperCase(), row],
  ]),
);

const nameLengthMax = Math.max(...commandRows.map((row) => row.name.length));

export function findCommand(name: string): CommandRow | undefined {
  const row = byName.get(name);
  if (row !== undefined || name.length > nameLengthMax) return row;
  return byName.get(name.toLowerCase());
}

export function hasArity(row: CommandRow, count: number): boolean {
  return row.arity < 0 ? count >= -row.arity : count === row.arity;
}
