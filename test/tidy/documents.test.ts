/** Documents say nothing about the code that is not there. Their code blocks are run by test/e2e/docs.test.ts. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { exists, filesBelow, readSources, readText, repositoryRoot } from "../../test-support/source.js";
import * as documents from "./documents.js";

const paths = filesBelow("", (path) => path.endsWith(".md"));
const texts = paths.map((path) => ({ path, text: readText(path) }));
const sources = readSources("src");
const wholeCode = sources.map(({ code }) => code).join("\n");
const wholeTests = readSources("test", "test-support")
  .filter(({ path }) => !path.startsWith("test/tidy/"))
  .map(({ text }) => text)
  .join("\n");

const invariantsPath = "docs/internals/invariants.md";
const walkPath = "docs/internals/walk.md";

/** A word of code, or both halves of `Type.member`. */
function isIn(code: string, name: string): boolean {
  return name
    .split(".")
    .every((word) => new RegExp(`(?<![\\w$])${word.replace(/[$#]/g, "\\$&")}(?![\\w$])`).test(code));
}

describe("documents", () => {
  test("name only paths that exist", () => {
    const missing = texts.flatMap(({ path, text }) =>
      documents
        .mentionedPaths(text)
        .filter((mention) => !exists(mention.text) && !exists(`src/${mention.text}`))
        .map((mention) => `${path}:${mention.line}: ${mention.text}`),
    );

    expect(missing).toEqual([]);
  });

  test("link only to files that exist", () => {
    const missing = texts.flatMap(({ path, text }) =>
      documents
        .linkedPaths(path, text)
        .filter((mention) => !exists(mention.text))
        .map((mention) => `${path}:${mention.line}: ${mention.text}`),
    );

    expect(missing).toEqual([]);
  });

  test("walk a request through functions that are where they are said to be", () => {
    const wrong: string[] = [];
    for (const row of documents.walkRows(readText(walkPath))) {
      const files = row.paths.map((path) => (exists(path) ? path : `src/${path}`));
      const code =
        files.length === 0
          ? wholeCode
          : sources
              .filter(({ path }) => files.includes(path))
              .map((source) => source.code)
              .join("\n");
      for (const name of row.names) if (!isIn(code, name)) wrong.push(`${walkPath}:${row.line}: ${name}`);
    }

    expect(wrong).toEqual([]);
  });

  test("list every invariant that code checks (UPDATE=1 rewrites the table)", () => {
    const table = documents.invariantTable(sources);
    const place = /\| number \| home[\s\S]*\|(?=\n)/;
    if (process.env["UPDATE"] === "1") {
      writeFileSync(
        join(repositoryRoot, invariantsPath),
        readText(invariantsPath).replace(place, () => table),
      );
    }

    expect(place.exec(readText(invariantsPath))?.[0].split("\n")).toEqual(table.split("\n"));
  });

  test("list no invariant that no test names", () => {
    const defined = documents.definedInvariants(readText(invariantsPath));

    expect(defined.filter((number) => !isIn(wholeTests, number))).toEqual([]);
  });

  test("give an invariant number to one folder only", () => {
    expect(documents.sharedInvariants(sources)).toEqual([]);
  });

  test("speak only of invariants that are defined", () => {
    const defined = documents.definedInvariants(readText(invariantsPath));

    const unknown = texts.flatMap(({ path, text }) =>
      documents
        .spokenInvariants(text)
        .filter((mention) => !defined.includes(mention.text))
        .map((mention) => `${path}:${mention.line}: ${mention.text}`),
    );

    expect(unknown).toEqual([]);
  });

  test("list only options that the code has", () => {
    const options = texts.filter(({ path }) => /^docs\/reference\/(config|limits|options)/.test(path));

    const unknown = options.flatMap(({ path, text }) =>
      documents
        .tabledNames(text)
        .filter(
          (mention) =>
            !mention.text.split(/[.\s]/).every((word) => /^[A-Z_]+$|^--/.test(word) || isIn(wholeCode, word)),
        )
        .map((mention) => `${path}:${mention.line}: ${mention.text}`),
    );

    expect(unknown).toEqual([]);
  });

  test("show only flags that our command takes", () => {
    const serverText = sources
      .filter(({ path }) => path.startsWith("src/server/"))
      .map(({ code }) => code)
      .join("\n");

    const unknown = texts.flatMap(({ path, text }) =>
      documents
        .ownFlags(text)
        .filter(
          (mention) => mention.text !== "--help" && mention.text !== "--version" && !isFlagOf(serverText, mention.text),
        )
        .map((mention) => `${path}:${mention.line}: ${mention.text}`),
    );

    expect(unknown).toEqual([]);
  });
});

/** A flag is written as it is, or as the setting it stands for: `--listen-http` for `listen.http`. */
function isFlagOf(code: string, flag: string): boolean {
  const dotted = flag.slice(2).replaceAll("-", ".");
  const camel = flag.slice(2).replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return code.includes(flag) || code.includes(`"${dotted}"`) || isIn(code, camel);
}

describe("the document checks themselves", () => {
  test("find paths and links, and leave code blocks and other words alone", () => {
    const text =
      "See `src/base/nothing.ts` and `raft/step.ts`, `a/b` and `/metrics`; [x](../up.md#part), [y](https://example.org).\n```ts\n`src/no.ts`\n```\n";

    expect(documents.mentionedPaths(text).map((mention) => mention.text)).toEqual([
      "src/base/nothing.ts",
      "raft/step.ts",
    ]);
    expect(documents.linkedPaths("docs/internals/a.md", text).map((mention) => mention.text)).toEqual(["docs/up.md"]);
  });

  test("read files and names from the rows of the walk", () => {
    const [row] = documents.walkRows("| 5 | `admission/admit.ts` | `admit()` takes a `Request`, `Admission.queue` |\n");

    expect(row).toEqual({ line: 1, paths: ["admission/admit.ts"], names: ["admit", "Request", "Admission.queue"] });
    expect(isIn("export function admit() {}", "admit")).toBe(true);
    expect(isIn("export function admitted() {}", "admit")).toBe(false);
  });

  test("tell defined, checked and spoken invariants apart", () => {
    expect(documents.definedInvariants("| R1 | x |\n| `S12` | y |\n| word | z |\n")).toEqual(["R1", "S12"]);
    expect(documents.checkedInvariants('invariant(a, "R1 nothing"); invariant(b, "T2 nobody"); say("UTF8");')).toEqual([
      "R1",
      "T2",
    ]);
    expect(
      documents.spokenInvariants("invariants R1, R2 and S3 hold; D1 is a hazard").map((mention) => mention.text),
    ).toEqual(["R1", "R2", "S3"]);
  });

  test("find options and flags that are not there", () => {
    expect(
      documents.tabledNames("| `electionTicksMin` | 10 |\n| --- | --- |\n").map((mention) => mention.text),
    ).toEqual(["electionTicksMin"]);
    expect(
      documents.ownFlags("Run `quorate start --listen-http 1` and `redis-cli --raw`.").map((mention) => mention.text),
    ).toEqual(["--listen-http"]);
    expect(isFlagOf('flag("--json")', "--json")).toBe(true);
    expect(isFlagOf('"listen.http"', "--listen-http")).toBe(true);
    expect(isFlagOf("nothing", "--json")).toBe(false);
  });
});
