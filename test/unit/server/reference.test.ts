/** The reference pages say what the code says: options, metrics, exit codes, refusals. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { exitCodes } from "../../../src/server/exit-codes.js";
import { metricNames } from "../../../src/server/metrics.js";
import { environmentNameOf, options } from "../../../src/server/options.js";

const page = (name: string): string =>
  readFileSync(new URL(`../../../docs/reference/${name}.md`, import.meta.url), "utf8");
/** The formatter pads cells. */
const withoutPadding = (row: string): string => row.replace(/ {2,}/g, " ");
const firstCells = (text: string): readonly string[] =>
  [...text.matchAll(/^\| `([^`]+)`/gm)].map(([, cell]) => cell ?? "");

test("config.md lists every option with its flag, its environment variable, its default and its meaning, and no other", () => {
  const rows = options.map(({ path, flag, fallback, required, meaning }) => {
    const standard = required ? "required" : fallback === undefined ? "–" : `\`${String(fallback)}\``;
    return `| \`${path}\` | \`--${flag}\` | \`${environmentNameOf(path)}\` | ${standard} | ${meaning} |`;
  });

  expect(
    page("config")
      .match(/^\| `.*$/gm)
      ?.map(withoutPadding),
  ).toEqual(rows);
});

test("metrics.md lists every metric and no other", () => {
  const listed = firstCells(page("metrics")).map((cell) => cell.replace(/\{.*/, ""));

  expect([...listed].sort()).toEqual([...metricNames].sort());
});

describe("cli.md", () => {
  test("lists every exit code", () => {
    for (const [name, code] of Object.entries(exitCodes))
      expect(withoutPadding(page("cli"))).toMatch(new RegExp(`^\\| ${code} \\| ${name} \\|`, "m"));
  });
});
