/** The scanner under every structure test: what it mistakes, all of them would miss. */
import { describe, expect, test } from "vitest";
import {
  countCodeLines,
  exportsOf,
  headerOf,
  importsOf,
  resolveImport,
  sourceOf,
  startedBy,
} from "../../test-support/source.js";

describe("the scanner of sources", () => {
  test("blanks comments and keeps every line and column", () => {
    const text = 'const a = 1; // one "two"\n/* three\n four */ const b = "// five";\n';

    const { code, bare } = sourceOf("a.ts", text);

    expect(code).toBe('const a = 1;             \n        \n         const b = "// five";\n');
    expect(bare).toBe('const a = 1;             \n        \n         const b = "       ";\n');
  });

  test("finds the code inside templates and none inside their text", () => {
    const { bare } = sourceOf("a.ts", "const a = `x ${b({ c: `y ${d} z` })} Date`; e();");

    expect(bare).toBe("const a = `  ${b({ c: `  ${d}  ` })}     `; e();");
  });

  test("tells a regular expression from a division", () => {
    const { bare } = sourceOf("a.ts", 'const a = /["/*]/g.test(b); const c = d / e / "f";');

    expect(bare).toBe('const a = /     /g.test(b); const c = d / e / " ";');
  });

  test("counts lines of code without comments and blank lines", () => {
    const source = sourceOf("a.ts", "/** Header. */\n\nconst a = 1;\n// no\nconst b = 2; // yes\n");

    expect(countCodeLines(source)).toBe(2);
    expect(headerOf(source)).toBe("/** Header. */");
  });

  test("lists imports of every form with what they take", () => {
    const source = sourceOf(
      "src/a/b.ts",
      [
        'import type { A, B as C } from "../x.js";',
        'import { type D, type E } from "./y.js";',
        'import f, { g } from "node:fs";',
        'import * as h from "./z.js";',
        'import "./side.js";',
        'export { i } from "./i.js";',
        'export * from "./j.js";',
        'const k = await import("./k.js");',
        'type L = import("./l.js").L;',
        'const m = new Worker(new URL("./m.js", import.meta.url));',
        '// import { no } from "./comment.js";',
        "const text = 'import { no } from \"./text.js\";';",
      ].join("\n"),
    );

    expect(startedBy(source)).toEqual(["src/a/m.ts"]);
    const found = importsOf(source).map(
      ({ specifier, typeOnly, names }) => `${specifier} ${typeOnly} ${names.join("+")}`,
    );

    expect(found.sort()).toEqual([
      "../x.js true A+B",
      "./i.js false i",
      "./j.js false *",
      "./k.js false *",
      "./l.js false *",
      "./side.js false ",
      "./y.js true D+E",
      "./z.js false *",
      "node:fs false g+default",
    ]);
  });

  test("resolves a specifier to the source it is compiled from", () => {
    expect(resolveImport("src/a/b.ts", "../c/d.js")).toBe("src/c/d.ts");
    expect(resolveImport("bench/run.mjs", "./raw.mjs")).toBe("bench/raw.mjs");
  });

  test("lists exports with their kind", () => {
    const source = sourceOf(
      "a.ts",
      [
        "export const a = 1;",
        "export async function b() {}",
        "export interface C {}",
        "export type D = 1;",
        "export abstract class E {}",
        "export default class F {}",
        "export { g as h, type I };",
        'export { no } from "./x.js";',
      ].join("\n"),
    );

    const found = exportsOf(source).map(({ name, type }) => `${name} ${type ? "type" : "value"}`);

    expect(found.sort()).toEqual([
      "C type",
      "D type",
      "E value",
      "I type",
      "a value",
      "b value",
      "default value",
      "h value",
    ]);
  });
});
