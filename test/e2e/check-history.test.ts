/** `quorate check-history` as a user runs it: verdicts, explanations, bad input, exit codes. */
import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";

function check(lines: readonly unknown[], ...flags: readonly string[]) {
  const input = lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n");
  const words = ["dist/server/main.js", "check-history", "-", ...flags];
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { input, encoding: "utf8" });
  return { status, stdout, stderr, lines: stdout.split("\n").filter((line) => line !== "") };
}

const write = { p: 1, call: 0, ret: 1, f: "write", value: 1, out: {} };
const stale = { p: 2, call: 2, ret: 3, f: "read", out: { value: null } };
const good = { id: "good", model: "register", ops: [write, { ...stale, out: { value: 1 } }] };
const bad = {
  id: 7,
  model: "register",
  ops: [write, stale, { p: 3, call: 9, ret: 10, f: "write", value: 5, out: {} }],
};

describe("quorate check-history", () => {
  test("answers one JSON line a history, in order, and exits with 1 if one is not linearizable", () => {
    const { status, lines } = check([good, "", bad]);
    const verdicts = lines.map((line) => JSON.parse(line) as { id: unknown; linearizable: unknown; ms: unknown });

    expect(verdicts.map(({ id, linearizable }) => [id, linearizable])).toEqual([
      ["good", true],
      [7, false],
    ]);
    expect(verdicts.every(({ ms }) => typeof ms === "number")).toBe(true);
    expect(status).toBe(1);
    expect(check([good]).status).toBe(0);
  });

  test("--explain shows the shortest prefix that cannot be ordered, indented, and nothing after it", () => {
    const { lines } = check([good, bad], "--explain");

    expect(lines.slice(2).every((line) => line.startsWith("  "))).toBe(true);
    expect(lines.slice(2).join("\n")).toContain("2 operations cannot be put into one order");
    expect(lines.find((line) => line.includes(">"))).toMatch(/2 to 3 .* read -> null/);
    expect(lines.join("\n")).not.toContain("write 5");
  });

  test.each([
    ["no JSON", "{", "line 1"],
    ["an unknown model", { ...good, model: "queue" }, 'its model is "queue"'],
    [
      "an operation that the model does not have",
      { ...good, ops: [{ ...write, f: "pop" }] },
      'operation 0: its f is "pop"',
    ],
    [
      "a return before the call",
      { ...good, ops: [{ ...write, call: 2 }] },
      "operation 0: it returns at 1, before its call at 2",
    ],
    [
      "an answer that is missing",
      { ...good, ops: [{ ...stale, out: undefined }] },
      "operation 0: its out is not an object",
    ],
    ["a key that is missing", { ...good, model: "kv" }, "operation 0: its key is not a text"],
  ])("refuses %s with exit code 2, and says where", (_what, line, message) => {
    const { status, stderr } = check([line]);

    expect(status).toBe(2);
    expect(stderr).toContain(message);
  });

  test("a file that is not there is a wrong usage", () => {
    const { status, stderr } = spawnSync(process.execPath, ["dist/server/main.js", "check-history", "nowhere.jsonl"], {
      encoding: "utf8",
    });

    expect(status).toBe(2);
    expect(stderr).toContain("nowhere.jsonl");
  });
});
