/** Taking Redis commands out of bytes, however they are cut. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { splitInline } from "../../../../src/server/resp/inline.js";
import { defaultRespLimits } from "../../../../src/server/resp/limits.js";
import { RespParser, type Parsed } from "../../../../src/server/resp/parser.js";

const limits = { ...defaultRespLimits, bulkBytesMax: 1000, queryBytesMax: 1500, argumentsMax: 10, inlineBytesMax: 200 };

function parse(...chunks: readonly string[]): readonly Parsed[] {
  const parser = new RespParser(limits);
  const parsed: Parsed[] = [];
  for (const chunk of chunks) {
    parser.push(chunk);
    for (let next = parser.next(); next !== undefined; next = parser.next()) parsed.push(next);
  }
  return parsed;
}

function encode(argv: readonly string[]): string {
  return `*${argv.length}\r\n${argv.map((text) => `$${text.length}\r\n${text}\r\n`).join("")}`;
}

const command = (...argv: readonly string[]): Parsed => ({ kind: "command", argv });
const fault = (message: string): Parsed => ({ kind: "protocolError", message: `Protocol error: ${message}` });

const bytes = fc.string({
  unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
  maxLength: 60,
});

test("whatever commands are sent, and wherever the stream is cut, the same commands come out", () => {
  const commands = fc.array(fc.array(bytes, { minLength: 1, maxLength: 6 }), { maxLength: 6 });
  const cuts = fc.array(fc.nat(2000), { maxLength: 12 });
  fc.assert(
    fc.property(commands, cuts, (sent, places) => {
      const stream = sent.map(encode).join("");
      const ends = [...new Set(places.map((place) => Math.min(place, stream.length)))].toSorted((a, b) => a - b);
      const chunks = [...ends, stream.length].map((end, at) => stream.slice(at === 0 ? 0 : (ends[at - 1] ?? 0), end));

      expect(parse(...chunks)).toEqual(sent.map((argv) => command(...argv)));
    }),
    { seed: 1, numRuns: 300 },
  );
});

test("any bytes give commands or one protocol error, after which nothing comes", () => {
  const noise = fc.string({ unit: fc.constantFrom("*", "$", "\r", "\n", "1", "-", "2", "a", '"', " "), maxLength: 60 });
  fc.assert(
    fc.property(noise, (text) => {
      const parsed = parse(...text, "\r\n*1\r\n$1\r\na\r\n");
      const failed = parsed.findIndex(({ kind }) => kind === "protocolError");
      expect(failed === -1 || failed === parsed.length - 1).toBe(true);
    }),
    { seed: 2, numRuns: 500 },
  );
});

describe("protocol errors", () => {
  test.each([
    ["*11\r\n", fault("invalid multibulk length")],
    ["*x\r\n", fault("invalid multibulk length")],
    ["*99999999999999999999\r\n", fault("invalid multibulk length")],
    ["*1\r\n:1\r\n", fault("expected '$', got ':'")],
    ["*1\r\n$-1\r\n", fault("invalid bulk length")],
    ["*1\r\n$x\r\n", fault("invalid bulk length")],
    ["*1\r\n$1001\r\n", fault("invalid bulk length")],
    ["*2\r\n$800\r\n" + "x".repeat(800) + "\r\n$800\r\n", fault("too big query")],
    ['SET "a\r\n', fault("unbalanced quotes in request")],
    ["x".repeat(201), fault("too big inline request")],
    ["x".repeat(201) + "\r\n", fault("too big inline request")],
  ])("%j", (text, expected) => {
    expect(parse(text)).toEqual([expected]);
  });

  test("come after the commands in front of them", () => {
    expect(parse("PING\r\n*1\r\n!")).toEqual([command("PING"), fault("expected '$', got '!'")]);
  });
});

test("empty arrays and blank lines are no commands", () => {
  expect(parse("*0\r\n*-1\r\n\r\n  \r\nPING\n")).toEqual([command("PING")]);
});

test("what a client has sent of an unfinished command is counted, what it has only announced is not", () => {
  const parser = new RespParser(limits);
  parser.push("*2\r\n$3\r\nGET\r\n$900\r\nabc");
  expect(parser.next()).toBeUndefined();
  expect(parser.waitingChars).toBe(6);
  parser.push("x".repeat(897));
  expect(parser.waitingChars).toBe(903);
  parser.push("\r\n");
  expect(parser.next()).toEqual(command("GET", "abc" + "x".repeat(897)));
  expect(parser.waitingChars).toBe(0);
});

test.each([
  ["set  a\tb", ["set", "a", "b"]],
  ["\"a b\" 'c d'", ["a b", "c d"]],
  ['"\\x41\\n\\"\\q"', ['A\n"q']],
  ["'it\\'s' 'a\\n'", ["it's", "a\\n"]],
  ['a"b"', ["ab"]],
  ['"a"b', undefined],
  ['"a', undefined],
  ["", []],
])("an inline command %j has the arguments %j", (line, expected) => {
  expect(splitInline(line)).toEqual(expected);
});
