/** Logs that never hold a replica up and cannot be forged (hazard L7, threat 12). */
import { execFileSync } from "node:child_process";
import { constants, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { logLineBytesMax, openLogs, openSink, safeLine, type LogSink } from "../../../src/server/logs.js";

/** A reader who takes nothing while `isFull`. */
class TestSink implements LogSink {
  readonly lines: string[] = [];
  isFull = false;

  take(line: string): boolean {
    if (this.isFull) return false;
    this.lines.push(line);
    return true;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

describe("a reader that does not read", () => {
  test("costs lines, which are counted and told once it reads again (L7)", () => {
    const sink = new TestSink();
    const logs = openLogs("info", sink);

    sink.isFull = true;
    logs.logger.info("one");
    logs.logger.info("two");
    sink.isFull = false;
    logs.logger.info("three");

    expect(logs.dropped()).toBe(2);
    expect(sink.lines.map((line) => JSON.parse(line) as object)).toMatchObject([
      { msg: "log lines were dropped", count: 2 },
      { msg: "three" },
    ]);
  });
});

test("a pipe that nobody reads does not hold the writer (L7)", async () => {
  const folder = mkdtempSync(join(tmpdir(), "quorate-logs-"));
  const path = join(folder, "pipe");
  execFileSync("mkfifo", [path]);
  // Open for both, so that opening does not wait for a reader; we never read.
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const sink = openSink(fd, 10_000);
  const line = `${"x".repeat(999)}\n`;

  const taken = Array.from({ length: 200 }, () => sink.take(line));
  await sink.close(1);

  // A pipe holds 64 KiB by default; what is beyond it and the buffer was refused.
  expect(taken[0]).toBe(true);
  expect(taken.at(-1)).toBe(false);
  expect(taken.filter(Boolean).length).toBeLessThan(100);
  rmSync(folder, { recursive: true });
});

test("a file has every line, in order, once the sink is closed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "quorate-logs-"));
  const path = join(folder, "log");
  const sink = openSink(openSync(path, "a"), 10_000);

  for (const line of ["one\n", "two\n", "three\n"]) expect(sink.take(line)).toBe(true);
  await sink.close(5_000);

  expect(readFileSync(path, "utf8")).toBe("one\ntwo\nthree\n");
  rmSync(folder, { recursive: true });
});

describe("lines", () => {
  test.each(["a\nb", "\u001b[2J", "\u009b31m", "\u2028", "\u0000", '"}\n{"level":60'])(
    "%j stays within one line of JSON without control characters",
    (text) => {
      const sink = new TestSink();

      openLogs("info", sink).logger.info({ text }, "told");

      const [line] = sink.lines;
      expect(line).toMatch(/^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*\n$/);
      expect(JSON.parse(line ?? "")).toMatchObject({ text, msg: "told" });
    },
  );

  test("a line beyond the limit becomes a note about it", () => {
    const line = safeLine(`${JSON.stringify({ msg: "x".repeat(logLineBytesMax) })}\n`);

    expect(JSON.parse(line)).toMatchObject({ msg: "a log line was too long", limit: logLineBytesMax });
  });

  test("a level below the wanted one costs nothing", () => {
    const sink = new TestSink();

    openLogs("warn", sink).logger.info("quiet");

    expect(sink.lines).toHaveLength(0);
  });
});
