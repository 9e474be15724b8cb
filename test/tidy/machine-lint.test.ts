/** The lint configurations that ship for users' machines: what they name in machines that are bad on purpose, and that good ones pass. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { repositoryRoot } from "../../test-support/source.js";

interface LintConfiguration {
  readonly rules: Readonly<Record<string, unknown>>;
}

const configurationIn = (file: string): LintConfiguration =>
  JSON.parse(readFileSync(join(repositoryRoot, "lint", file), "utf8")) as LintConfiguration;

/** What oxlint reports with the shipped configuration, as `file rule`. */
function reported(...paths: readonly string[]): readonly string[] {
  const { stdout, status } = spawnSync(
    join(repositoryRoot, "node_modules", ".bin", "oxlint"),
    ["-c", "lint/oxlint.json", "--format", "unix", ...paths],
    { cwd: repositoryRoot, encoding: "utf8" },
  );
  expect(status, stdout).not.toBe(null);
  const found = stdout.matchAll(/^([^:\n]+):\d+:\d+: .*\[Error\/\w+\(([\w-]+)\)\]$/gm);
  return [...new Set([...found].map((match) => `${basename(match[1] ?? "", ".ts")} ${match[2] ?? ""}`))].sort();
}

describe("the shipped lint configuration", () => {
  test("names what bad machines use, before anything is executed", () => {
    expect(reported("test-support/bad-machines")).toEqual([
      "chance no-restricted-properties",
      "clock no-restricted-globals",
      "digits no-restricted-properties",
      "later no-restricted-globals",
      "locale no-restricted-properties",
      "price no-restricted-globals",
      "promise no-async-await",
      "promise no-restricted-globals",
      "settings no-restricted-globals",
      "setup no-restricted-globals",
    ]);
  });

  test("finds nothing in the machines of this repository", () => {
    expect(reported("examples/01-bank/bank.ts", "examples/02-auction/auction.ts", "src/services")).toEqual([]);
  });

  test("says the same for ESLint, which can name syntax as well", () => {
    const { "oxc/no-async-await": _, ...shared } = configurationIn("oxlint.json").rules;
    const { "no-restricted-syntax": syntax, ...rest } = configurationIn("eslint.json").rules;

    expect(rest).toEqual(shared);
    expect(JSON.stringify(syntax)).toContain("BinaryExpression[operator='**']");
  });
});
