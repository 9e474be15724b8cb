/**
 * The pure folders see the world only through inputs. The compiler refuses what needs a platform and lint refuses values; this
 * test adds what neither can say: the names in types, and `for…in`, whose order is nobody's choice.
 */
import { describe, expect, test } from "vitest";
import { type Source, lineOf, readSources, sourceOf } from "../../test-support/source.js";

const banned: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [/\bDate\b/g, "time is an input (ports/clock, agreed time)"],
  [/\bMath\s*\.\s*random\b/g, "draw from a named stream of base/random"],
  [/\basync\b|\bawait\b/g, "completions are inputs"],
  [/\bPromise\b/g, "completions are inputs"],
  [/\b(WeakRef|WeakMap|WeakSet|FinalizationRegistry)\b/g, "the garbage collector is not an input"],
  [/\bfor\s*\(\s*(?:const|let|var)\s+[^;)]*?\s+in\s/g, "sort the keys before you iterate"],
  [/\bglobalThis\b/g, "ask a port"],
  [/\b(toLocale\w*|localeCompare|Intl)\b/g, "it differs between machines: compare code units"],
  [/\bexport\s+default\b/g, "name it"],
  [/(?<=^|[\n;{}]\s*)(?:export\s+)?(?:const\s+)?enum\s/g, "a union of literals"],
];

/** Types only: what an edge keeps. `Promise` is a type there, never a value. */
const mayNamePromise = /^src\/api\//;
/** Files whose weak maps are keyed by objects of this process and only looked up: nothing observes when an entry goes. */
const mayKeepWeakly: ReadonlySet<string> = new Set(["src/guard/install.ts"]);
/** Files that look whether the properties are in order already, which costs less than a list of them, or read what was made in order. */
const mayIterateProperties: ReadonlySet<string> = new Set([
  "src/wire/canonical.ts",
  "src/collections/plain.ts",
  "src/collections/entry-fingerprint.ts",
]);
/** It stands between machines and the platform, and reaches that by names. */
const mayReachPlatform: ReadonlySet<string> = new Set(["src/guard/install.ts"]);

export function isPure(path: string): boolean {
  return path.startsWith("src/") && !/^src\/(node|server)\//.test(path);
}

function impurities(source: Source): readonly string[] {
  const found: string[] = [];
  for (const [pattern, instead] of banned) {
    for (const match of source.bare.matchAll(pattern)) {
      const word = match[0].trim();
      if (isAllowed(source, word, match.index ?? 0)) continue;
      found.push(`${source.path}:${lineOf(source.bare, match.index ?? 0)}: ${word}: ${instead}`);
    }
  }
  return found;
}

function isAllowed(source: Source, word: string, at: number): boolean {
  // A member or a field of that name is not the global.
  if (/[.#]\s*$/.test(source.bare.slice(0, at)) && !word.startsWith("Math") && !word.startsWith("toLocale"))
    return word !== "localeCompare";
  if (word === "Promise") return mayNamePromise.test(source.path) && /^Promise(Like)?\s*</.test(source.bare.slice(at));
  if (word.startsWith("for")) return mayIterateProperties.has(source.path);
  if (word === "globalThis") return mayReachPlatform.has(source.path);
  return word.startsWith("Weak") && word !== "WeakRef" && mayKeepWeakly.has(source.path);
}

describe("purity", () => {
  test("no pure file names a clock, entropy, a promise, a weak reference or a platform", () => {
    const found = readSources("src")
      .filter(({ path }) => isPure(path))
      .flatMap(impurities);

    expect(found).toEqual([]);
  });

  test.each([
    ["const a = new Date();", 1],
    ["let a: Date;", 1],
    ["const a = Math.random();", 1],
    ["async function a() { await b(); }", 2],
    ["function a(): Promise<void> {}", 1],
    ["const a = new WeakRef(b);", 1],
    ["for (const key in object) a(key);", 1],
    ["globalThis.setTimeout(a, 1);", 1],
    ["a.localeCompare(b);", 1],
    ["export default 1;", 1],
    ["enum A { b }", 1],
    ["// Date, Math.random and async", 0],
    ['const a = "await a Promise";', 0],
    ["for (const key of keys) a(key);", 0],
    ["const process = peer.process;", 0],
  ])("judges `%s` with %i findings", (text, count) => {
    expect(impurities(sourceOf("src/base/a.ts", text))).toHaveLength(count);
  });

  test("lets api name a promise in a type and nowhere else", () => {
    expect(impurities(sourceOf("src/api/a.ts", "export interface A { b(): Promise<void> }"))).toEqual([]);
    expect(impurities(sourceOf("src/api/a.ts", "const a = Promise.resolve();"))).toHaveLength(1);
  });
});
