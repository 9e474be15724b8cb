/** Logs that never hold a replica up and cannot be forged (hazard L7, threat 12). */
import { describe, expect, test } from "vitest";
import { logLineBytesMax, openLogs, safeLine, type LogSink } from "../../../src/server/logs.js";

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
