/** Nothing is kept that nobody uses, and nothing becomes public by accident. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readSources, readText, repositoryRoot, sourceOf } from "../../test-support/source.js";
import * as publicApi from "./public-api.js";

const manifest = JSON.parse(readText("package.json")) as publicApi.Manifest;
const sources = publicApi.byPath(readSources("src"));
const listPath = "test/tidy/public-exports.txt";

/** Whole and tested, and not run by any replica yet: docs/internals/bft.md says so. */
const unconnected = ["src/sim/sim-signatures.ts"];

describe("reachability", () => {
  test("every file of src is reached from an export of the package or its command", () => {
    // What only describes states and messages in words is read by golden traces, and by people who debug.
    const imported = readSources("test", "test-support").flatMap(publicApi.importedPaths);
    const traced = imported.filter((path) => path.endsWith("/describe.ts"));
    const entries = [
      ...publicApi.publicEntries(manifest).values(),
      ...publicApi.binEntries(manifest),
      ...traced,
      ...unconnected,
    ];

    expect(publicApi.deadFiles(sources, entries)).toEqual([]);
  });

  test("every export of src is public or imported by another file", () => {
    const importers = readSources("src", "test", "test-support", "bench", "scripts", "examples");

    expect(publicApi.deadExports(sources, importers, manifest)).toEqual([]);
  });

  test("every entry of the package is built from a file that exists", () => {
    const entries = [...publicApi.publicEntries(manifest).values(), ...publicApi.binEntries(manifest)];

    expect(entries.filter((path) => !sources.has(path))).toEqual([]);
  });

  test("the public names are those of test/tidy/public-exports.txt (UPDATE=1 rewrites it)", () => {
    const names = publicApi.describePublicNames(sources, manifest);
    if (process.env["UPDATE"] === "1") writeFileSync(join(repositoryRoot, listPath), names);

    expect(names).toBe(readText(listPath));
  });
});

describe("the reachability check itself", () => {
  const small: publicApi.Manifest = {
    exports: { ".": { types: "./dist/index.d.ts", default: "./dist/index.js" } },
    bin: { quorate: "dist/main.js" },
  };
  const tree = publicApi.byPath([
    sourceOf("src/index.ts", 'export { a, type B } from "./a.js";\nexport * from "./c.js";'),
    sourceOf("src/main.ts", 'import { a } from "./a.js";\nnew Worker(new URL("./worker.js", import.meta.url));'),
    sourceOf("src/a.ts", "export const a = 1;\nexport type B = C;\nexport type C = 1;\nexport const unused = 1;"),
    sourceOf("src/c.ts", "export function c() {}"),
    sourceOf("src/worker.ts", ""),
    sourceOf("src/lonely.ts", ""),
  ]);

  test("finds a file that nothing leads to, and none that is started as a thread", () => {
    expect(publicApi.deadFiles(tree, ["src/index.ts", "src/main.ts"])).toEqual(["src/lonely.ts"]);
  });

  test("finds an export that nobody takes", () => {
    expect(publicApi.deadExports(tree, [...tree.values()], small)).toEqual(["src/a.ts:4: unused"]);
  });

  test("follows re-exports to the public names", () => {
    expect(publicApi.describePublicNames(tree, small)).toBe("quorate B type\nquorate a value\nquorate c value\n");
  });
});
