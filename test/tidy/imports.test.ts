/** Imports point one way: the table of docs/internals/architecture.md holds, and no file reaches itself. */
import { describe, expect, test } from "vitest";
import { filesBelow, readSources, readText, sourceOf } from "../../test-support/source.js";
import { findImportCycle, forbiddenImports, parseImportTable } from "./import-table.js";

const table = parseImportTable(readText("docs/internals/architecture.md"));

describe("imports", () => {
  test("every import of src is allowed by the table", () => {
    const forbidden = readSources("src").flatMap((source) => forbiddenImports(table, source));

    expect(forbidden).toEqual([]);
  });

  test("no file of src imports itself, directly or by others", () => {
    expect(findImportCycle(readSources("src"))).toBeUndefined();
  });

  test("every row of the table is a folder or file that exists", () => {
    const inside = filesBelow("src", () => true).map((path) => path.slice("src/".length));

    const missing = [...table.keys()].filter(
      (row) => !inside.some((path) => path.startsWith(`${row}/`) || path === `${row}.ts`),
    );

    expect(missing).toEqual([]);
  });

  test("examples, benchmarks and scripts take the package by its public names", () => {
    const others = readSources("examples", "bench", "scripts");

    const reaching = others
      .filter(({ code }) => /(from|import\()\s*["'][^"']*\/(dist|src)\//.test(code))
      .map(({ path }) => path);

    expect(reaching).toEqual([]);
  });
});

describe("the import check itself", () => {
  const small = parseImportTable(
    "| `base` | – |\n| `wire` | `base`, `ports/hash`, `consensus (types)` |\n| `consensus` | `base` |\n| `consensus/raft` | `consensus/*` |\n",
  );
  const judged = (path: string, text: string): readonly string[] => forbiddenImports(small, sourceOf(path, text));

  test("refuses an import up the table", () => {
    expect(judged("src/base/a.ts", 'import { x } from "../wire/b.js";')).toHaveLength(1);
    expect(judged("src/wire/b.ts", 'import { x } from "../base/a.js";')).toEqual([]);
  });

  test("refuses a value where only types are allowed", () => {
    expect(judged("src/wire/b.ts", 'import { x } from "../consensus/c.js";')).toHaveLength(1);
    expect(judged("src/wire/b.ts", 'import type { X } from "../consensus/c.js";')).toEqual([]);
  });

  test("refuses another file of a folder of which one file is allowed", () => {
    expect(judged("src/wire/b.ts", 'import type { X } from "../ports/disk.js";')).toHaveLength(1);
    expect(judged("src/wire/b.ts", 'import type { X } from "../ports/hash.js";')).toEqual([]);
  });

  test("refuses the sibling protocol and allows what both share", () => {
    expect(judged("src/consensus/raft/r.ts", 'import { x } from "../bft/b.js";')).toHaveLength(1);
    expect(judged("src/consensus/raft/r.ts", 'import { x } from "../quorum.js";')).toEqual([]);
  });

  test("refuses node: and packages where they are not named", () => {
    expect(judged("src/base/a.ts", 'import { readFileSync } from "node:fs";\nimport { z } from "zod";')).toHaveLength(
      2,
    );
  });

  test("refuses a folder without a row", () => {
    expect(judged("src/helpers/a.ts", "")).toHaveLength(1);
  });

  test("finds a cycle that only types make", () => {
    const one = sourceOf("src/base/a.ts", 'import type { B } from "./b.js";');
    const other = sourceOf("src/base/b.ts", 'export * from "./a.js";');

    expect(findImportCycle([one, other])).toEqual(["src/base/a.ts", "src/base/b.ts", "src/base/a.ts"]);
    expect(findImportCycle([one])).toBeUndefined();
  });
});
