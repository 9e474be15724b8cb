/** What test/e2e/docs.test.ts stands on: a block that it did not see would never be run. */
import { expect, test } from "vitest";
import {
  commandsOf,
  compiledPath,
  docBlocks,
  isCompiled,
  matchesShown,
  withPorts,
} from "../../test-support/doc-blocks.js";

const document = [
  "```ts file=bank.ts",
  "export const a = 1;",
  "```",
  "text",
  "```ts fragment",
  "…",
  "```",
  "````ts",
  "```",
  "````",
  "```sh run",
  "redis-cli -p 7379 ping",
  "```",
  "```sh run=bank.ts",
  "npm test",
  "```",
  "```console",
  "$ echo a \\",
  "  b",
  "a b",
  "$ echo c",
  "```",
].join("\n");

test("every block is found with its words, its line and its whole text", () => {
  const blocks = docBlocks("docs/a.md", document);

  expect(blocks.map(({ line, language, words }) => [line, language, ...words])).toEqual([
    [1, "ts", "file=bank.ts"],
    [5, "ts", "fragment"],
    [8, "ts"],
    [11, "sh", "run"],
    [14, "sh", "run=bank.ts"],
    [17, "console"],
  ]);
  expect(blocks.filter(isCompiled).map(compiledPath)).toEqual(["docs_a/bank.ts", "docs_a/line-8.ts"]);
  expect(blocks.flatMap(commandsOf)).toEqual([
    { line: 11, command: "redis-cli -p 7379 ping", machine: undefined, expected: undefined },
    { line: 14, command: "npm test", machine: "docs_a/bank.ts", expected: undefined },
    { line: 18, command: "echo a \\\n  b", machine: undefined, expected: "a b\n" },
    { line: 21, command: "echo c", machine: undefined, expected: "" },
  ]);
});

test("output is compared as shown, with … for what changes", () => {
  expect(matchesShown("OK\n", "OK\n")).toBe(true);
  expect(matchesShown("term … of …\n", "term 3 of 5\n")).toBe(true);
  expect(matchesShown("OK\n", "(error) no\n")).toBe(false);
  expect(matchesShown("a.c\n", "abc\n")).toBe(false);
  expect(matchesShown("", "anything")).toBe(false);
});

test("usual ports become those of the cluster, other numbers stay", () => {
  expect(
    withPorts("redis-cli -p 7379 SET n 73790 && curl http://127.0.0.1:7300/livez", [
      [7379, 1],
      [7300, 2],
    ]),
  ).toBe("redis-cli -p 1 SET n 73790 && curl http://127.0.0.1:2/livez");
});
