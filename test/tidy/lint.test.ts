/**
 * Lint and format are tests, so that `npm test` fails with them. The second half shows that each rule of .oxlintrc.json really
 * refuses what it should: a misspelt option would otherwise pass in silence for ever.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { repositoryRoot } from "../../test-support/source.js";

const tool = (name: string): string => join(repositoryRoot, "node_modules", ".bin", name);

function run(
  command: string,
  flags: readonly string[],
  directory: string,
): { readonly code: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync(command, flags, {
    cwd: directory,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  return { code: status, output: `${stdout}${stderr}` };
}

/** The rules that lint reports for small files laid out like the repository, as `path rule`. */
function reported(files: Readonly<Record<string, string>>): ReadonlySet<string> {
  const directory = mkdtempSync(join(tmpdir(), "quorate-lint-"));
  try {
    cpSync(join(repositoryRoot, ".oxlintrc.json"), join(directory, ".oxlintrc.json"));
    symlinkSync(join(repositoryRoot, "node_modules"), join(directory, "node_modules"));
    const compilerOptions = { noEmit: true, lib: ["ES2023"], types: [] };
    const config = { extends: join(repositoryRoot, "tsconfig.base.json"), compilerOptions, include: ["src", "test"] };
    writeFileSync(join(directory, "tsconfig.json"), JSON.stringify(config));
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(directory, path)), { recursive: true });
      writeFileSync(join(directory, path), text);
    }
    const { output } = run(tool("oxlint"), ["--type-aware", "--format", "unix", "."], directory);
    const found = output.matchAll(/^([^:\n]+):\d+:\d+: .*\[Error\/\w+\(([\w-]+)\)\]$/gm);
    return new Set([...found].map((match) => `${match[1] ?? ""} ${match[2] ?? ""}`));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe("lint and format", () => {
  test("lint finds nothing", () => {
    const { code, output } = run(tool("oxlint"), ["--type-aware", "--format", "unix"], repositoryRoot);

    expect(output.split("\n").filter((line) => line.includes("[Error/") || line.includes("[Warning/"))).toEqual([]);
    expect(code, output).toBe(0);
  });

  test("prettier would change nothing", { timeout: 240_000 }, () => {
    const { code, output } = run(tool("prettier"), ["--list-different", "--cache", "."], repositoryRoot);

    expect(output.split("\n").filter((line) => line !== "")).toEqual([]);
    expect(code).toBe(0);
  });
});

describe("the lint rules themselves", () => {
  test("refuse in any file of src what style forbids", () => {
    const long = `export function long(): number {\n${"  f(1);\n".repeat(70)}  return 1;\n}\nfunction f(x: number): void {\n  x = 2;\n}\n`;
    const found = reported({
      "src/node/type.ts": "export type T = number;",
      "src/node/long.ts": long,
      "src/node/a.ts": [
        'import { T } from "./type.js";',
        "export default 1;",
        'type Kind = "a" | "b";',
        "export async function wait(): Promise<void> {}",
        "export function many(a: T, b: T, c: T, d: T, e: T) { return a + b + c + d + e; }",
        'export function pick(kind: Kind): number { switch (kind) { case "a": return 1; } return 2; }',
        "export function loose(value: any, maybe: T | undefined): T { wait(); [1].forEach(wait); return value ?? maybe!; }",
        'console.log("x"); if (1 == loose(1, 2)) wait();',
      ].join("\n"),
    });

    const rules = [
      ...["consistent-type-imports", "no-default-export", "max-params", "explicit-module-boundary-types"],
      ...["switch-exhaustiveness-check", "no-explicit-any", "no-non-null-assertion", "no-floating-promises"],
      ...["no-misused-promises", "no-console", "eqeqeq"],
    ].map((rule) => `src/node/a.ts ${rule}`);
    const missed = [...rules, "src/node/long.ts max-lines-per-function", "src/node/long.ts no-param-reassign"].filter(
      (rule) => !found.has(rule),
    );
    expect(missed).toEqual([]);
  });

  test("refuse in every pure folder what would let the world in, and only there", () => {
    const impure =
      "export const a: unknown = [new Date(), Math.random(), JSON.stringify(1), Promise.resolve()];\nexport const b = async (): Promise<number> => 1;\n";
    const pure = [
      ...[
        "admission",
        "api",
        "audit",
        "base",
        "client",
        "collections",
        "consensus/raft",
        "execution",
        "model",
        "ports",
      ],
      ...["replica", "services/kv", "sim", "storage", "transport", "wire"],
    ].map((folder) => `src/${folder}/a.ts`);
    const found = reported(Object.fromEntries([...pure, "src/a.ts", "src/node/a.ts"].map((path) => [path, impure])));

    const wanted = [...pure, "src/a.ts"].flatMap((path) =>
      ["no-restricted-globals", "no-restricted-properties", "no-async-await"].map((rule) => `${path} ${rule}`),
    );
    expect(wanted.filter((rule) => !found.has(rule))).toEqual([]);
    expect([...found].filter((rule) => rule.startsWith("src/node/a.ts"))).toEqual([]);
  });
});
