/** Progress is drawn at a terminal and told now and then elsewhere. */
import { expect, test } from "vitest";
import { openProgress } from "../../../src/server/progress.js";

function screen(isTTY: boolean) {
  const written: string[] = [];
  let at = 0;
  const stream = { isTTY, columns: 20, write: (text: string) => void written.push(text) };
  return { written, pass: (ms: number) => (at += ms), progress: openProgress(stream, () => at) };
}

test("a terminal has one line, drawn at once, at most ten times a second, no wider than it is", () => {
  const { written, pass, progress } = screen(true);

  progress.show("1 of 2", 0.5);
  progress.show("too soon", 0.5);
  pass(100);
  progress.show("nothing to measure");
  progress.end();

  expect(written).toEqual([
    `\r\u001b[K${"█".repeat(15)}${"░".repeat(4)}`,
    "\r\u001b[Knothing to measure",
    "\r\u001b[K",
  ]);
});

test("anything else has a line every ten seconds", () => {
  const { written, pass, progress } = screen(false);

  progress.show("too soon", 0.1);
  pass(10_000);
  progress.show("5 of 10", 0.5);
  progress.show("too soon again", 0.6);
  progress.end();

  expect(written).toEqual(["5 of 10\n"]);
});
