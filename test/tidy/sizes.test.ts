/**
 * No file grows until nobody reads it. Lines of code are counted, comments are not, so that explaining costs nothing.
 * Functions are lint's (`max-lines-per-function`), since it knows where one ends.
 */
import { describe, expect, test } from "vitest";
import { type Source, countCodeLines, headerOf, readSources, readText, sourceOf } from "../../test-support/source.js";

const limits = { withReason: 400, never: 600, joining: 299 };

/** The joining objects: in every well-known system of this kind they grew to thousands of lines. */
const joiningFiles: ReadonlySet<string> = new Set(["src/replica/engine.ts", "src/replica/host.ts"]);

type Ratchet = ReadonlyMap<string, number>;

function parseRatchet(text: string): Ratchet {
  const lines = text.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.split(/\s+/)[0] ?? "", Number(line.split(/\s+/)[1])]));
}

/** What is wrong with the size of one file, or undefined. */
function oversize(source: Source): string | undefined {
  const lines = countCodeLines(source);
  if (joiningFiles.has(source.path) && lines > limits.joining) {
    return `${source.path}: ${lines} lines of code, and the limit of a joining object is ${limits.joining}`;
  }
  if (lines > limits.never) return `${source.path}: ${lines} lines of code, and the limit is ${limits.never}`;
  if (lines > limits.withReason && !/\breason\b/i.test(headerOf(source))) {
    return `${source.path}: ${lines} lines of code, and over ${limits.withReason} its header must give the reason`;
  }
  return undefined;
}

function judge(sources: readonly Source[], ratchet: Ratchet): readonly string[] {
  const found: string[] = [];
  for (const source of sources) {
    const excess = oversize(source);
    const kept = ratchet.get(source.path);
    if (excess !== undefined && (kept === undefined || countCodeLines(source) > kept)) found.push(excess);
    if (excess === undefined && kept !== undefined)
      found.push(`${source.path}: no longer needs its line in size-ratchet.txt`);
  }
  const known = new Set(sources.map(({ path }) => path));
  for (const path of ratchet.keys())
    if (!known.has(path)) found.push(`${path}: is in size-ratchet.txt and does not exist`);
  return found;
}

const everySource = (): readonly Source[] => readSources("src", "test", "test-support", "bench", "scripts", "examples");

describe("sizes", () => {
  test("every file is within its limit, or in the ratchet and not grown", () => {
    expect(judge(everySource(), parseRatchet(readText("test/tidy/size-ratchet.txt")))).toEqual([]);
  });

  test("every file starts by saying what it is for", () => {
    const silent = readSources("src").filter(({ text }) => !/^(#!.*\n)?(\/\/ oxlint.*\n)*\/\*\*/.test(text));

    expect(silent.map(({ path }) => path)).toEqual([]);
  });
});

describe("the size check itself", () => {
  const file = (path: string, lines: number, header: string): Source =>
    sourceOf(path, `${header}\n${"a();\n".repeat(lines)}`);

  test("wants a reason above 400 lines and refuses 601", () => {
    expect(judge([file("src/a.ts", 400, "")], new Map())).toEqual([]);
    expect(judge([file("src/a.ts", 401, "/** Long. */")], new Map())).toHaveLength(1);
    expect(judge([file("src/a.ts", 600, "/** Long for a reason: one table. */")], new Map())).toEqual([]);
    expect(judge([file("src/a.ts", 601, "/** Long for a reason: one table. */")], new Map())).toHaveLength(1);
  });

  test("holds engine and host under 300 lines of code and ignores their comments", () => {
    expect(judge([file("src/replica/engine.ts", 300, "")], new Map())).toHaveLength(1);
    expect(judge([file("src/replica/host.ts", 299, `/**\n${" * more\n".repeat(200)} */`)], new Map())).toEqual([]);
  });

  test("lets a ratcheted file stay or shrink, and refuses its growth and its leftovers", () => {
    const ratchet = parseRatchet("# why\nsrc/a.ts 700\n");

    expect(judge([file("src/a.ts", 700, "")], ratchet)).toEqual([]);
    expect(judge([file("src/a.ts", 701, "")], ratchet)).toHaveLength(1);
    expect(judge([file("src/a.ts", 10, "")], ratchet)).toHaveLength(1);
    expect(judge([], ratchet)).toHaveLength(1);
  });
});
