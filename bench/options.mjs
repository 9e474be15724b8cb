/**
 * What the larger benchmarks are told, read in one way.
 *
 * Owns: `--dir`, `--json`, `--write` and `--help`, which all of them have, and lists in one argument. Leaves to others: what else there is, and what it
 * means. Called by `goals.mjs`, `run.mjs` and `bft.mjs`.
 */
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";

/** `texts`: options that take a text, with their defaults; `flags`: those that take none. Prints `usage` and ends the process if asked to. */
export function readOptions(usage, texts, flags = []) {
  const flag = { type: "boolean", default: false };
  const { values } = parseArgs({
    options: {
      ...Object.fromEntries(Object.entries(texts).map(([name, value]) => [name, { type: "string", default: value }])),
      ...Object.fromEntries([...flags, "json", "write", "help"].map((name) => [name, flag])),
      dir: { type: "string", default: tmpdir() },
    },
  });
  if (values.help) {
    console.log(usage);
    process.exit(0);
  }
  return { ...values, dir: resolve(values.dir) };
}

/** An empty text is an empty list. */
export const names = (text) => (text === "" ? [] : text.split(","));
export const numbers = (text) => names(text).map(Number);
