/** Strings, arithmetic and their errors, as Redis answers them. */
import { describe, expect, test } from "vitest";
import { KvWorld } from "../../../../test-support/kv-world.js";

/** Each line is a command and what it answers, run one after another on one machine. */
function conversation(lines: readonly (readonly [string, unknown])[]): void {
  const world = new KvWorld();
  for (const [line, reply] of lines) expect(world.redis(line), line).toEqual(reply);
}

const notInteger = { error: "ERR value is not an integer or out of range" };
const syntax = { error: "ERR syntax error" };
const wrongType = { error: "WRONGTYPE Operation against a key holding the wrong kind of value" };

describe("SET", () => {
  test("NX and XX decide by the key's presence, and GET answers the old value whatever they decide", () => {
    conversation([
      ["SET a 1 XX", null],
      ["SET a 1 NX", true],
      ["SET a 2 NX", null],
      ["SET a 2 NX GET", "1"],
      ["SET a 2 XX GET", "1"],
      ["GET a", "2"],
      ["SET b 1 GET", null],
      ["GET b", "1"],
    ]);
  });

  test("refuses options that contradict each other, and times that are none", () => {
    conversation([
      ["SET a 1 NX XX", syntax],
      ["SET a 1 EX 10 PX 10", syntax],
      ["SET a 1 EX 10 KEEPTTL", syntax],
      ["SET a 1 EX", syntax],
      ["SET a 1 EX ten", notInteger],
      ["SET a 1 EX 0", { error: "ERR invalid expire time in 'set' command" }],
      ["SET a 1 PX -5", { error: "ERR invalid expire time in 'set' command" }],
      ["SETEX a 0 v", { error: "ERR invalid expire time in 'setex' command" }],
      ["EXISTS a", 0],
    ]);
  });

  test("forgets the expiry of the key unless KEEPTTL is given", () => {
    conversation([
      ["SET a 1 PX 5000", true],
      ["SET a 2 KEEPTTL", true],
      ["PTTL a", 5000],
      ["SET a 3", true],
      ["PTTL a", -1],
    ]);
  });

  test("with an absolute time that has passed leaves no key", () => {
    conversation([
      ["SET a 1", true],
      ["SET a 2 PXAT 5", true],
      ["EXISTS a", 0],
    ]);
  });

  test("replaces a key of any type, but with GET only a string", () => {
    conversation([
      ["RPUSH a x y", 2],
      ["SET a 1 GET", wrongType],
      ["SET a 1", true],
      ["TYPE a", { status: "string" }],
    ]);
  });
});

test("GETEX changes only the expiry, GETDEL and GETSET answer the old value", () => {
  conversation([
    ["SET a 1", true],
    ["GETEX a PX 700", "1"],
    ["PTTL a", 700],
    ["GETEX a", "1"],
    ["PTTL a", 700],
    ["GETEX a PERSIST", "1"],
    ["PTTL a", -1],
    ["GETEX a EX", syntax],
    ["GETEX nothing EX 5", null],
    ["GETSET a 2", "1"],
    ["GETDEL a", "2"],
    ["GETDEL a", null],
  ]);
});

test("MSET needs pairs, and MSETNX writes all or nothing", () => {
  conversation([
    ["MSET a 1 b", { error: "ERR wrong number of arguments for 'mset' command" }],
    ["MSET a 1 b 2", true],
    ["MSETNX c 3 b 4", 0],
    ["MGET a b c", ["1", "2", null]],
    ["MSETNX c 3 d 4", 1],
    ["RPUSH l x", 1],
    ["MGET a l d", ["1", null, "4"]],
  ]);
});

test("ranges are read and written by bytes, from either end, with zeros between", () => {
  const world = new KvWorld();
  world.redis("SET a abcdef");

  expect(world.redis("GETRANGE a 1 3")).toBe("bcd");
  expect(world.redis("GETRANGE a -3 -1")).toBe("def");
  expect(world.redis("GETRANGE a 4 100")).toBe("ef");
  expect(world.redis("GETRANGE a 5 1")).toBe("");
  expect(world.redis("GETRANGE a -100 0")).toBe("a");
  expect(world.redis("SETRANGE a 2 XX")).toBe(6);
  expect(world.redis("GET a")).toBe("abXXef");
  expect(world.redis("SETRANGE b 3 x")).toBe(4);
  expect(world.redis("GET b")).toBe("\0\0\0x");
  expect(world.run("SETRANGE", "c", "9", "")).toBe(0);
  expect(world.redis("EXISTS c")).toBe(0);
  expect(world.redis("SETRANGE a -1 x")).toEqual({ error: "ERR offset is out of range" });
  expect(world.redis("SETRANGE a 999999999 x")).toHaveProperty("error");
  expect(world.redis("APPEND a g")).toBe(7);
  expect(world.redis("STRLEN a")).toBe(7);
});

describe("arithmetic", () => {
  test("is exact in 64 bits and refuses what does not fit", () => {
    conversation([
      ["SET a 9223372036854775806", true],
      ["INCR a", 9223372036854775807n],
      ["INCR a", { error: "ERR increment or decrement would overflow" }],
      ["GET a", "9223372036854775807"],
      ["SET b -9223372036854775808", true],
      ["DECR b", { error: "ERR increment or decrement would overflow" }],
      ["INCRBY b 9223372036854775807", -1],
      ["DECRBY c -9223372036854775808", { error: "ERR decrement would overflow" }],
      ["INCRBY c 9007199254740993", 9007199254740993n],
      ["INCRBY c -9007199254740993", 0],
    ]);
  });

  test("takes only integers in their shortest form, and keeps the expiry", () => {
    conversation([
      ["SET a 10 PX 900", true],
      ["INCRBY a 5", 15],
      ["PTTL a", 900],
      ["SET b 1.5", true],
      ["INCR b", notInteger],
      ["SET b +1", true],
      ["INCR b", notInteger],
      ["SET b 01", true],
      ["INCR b", notInteger],
      ["INCRBY a 9223372036854775808", notInteger],
      ["INCRBY a x", notInteger],
      ["RPUSH l x", 1],
      ["INCR l", wrongType],
    ]);
  });

  test("of fractions is exact in decimals, so it cannot depend on a platform", () => {
    conversation([
      ["SET a 10.50", true],
      ["INCRBYFLOAT a 0.1", "10.6"],
      ["INCRBYFLOAT a -5", "5.6"],
      ["SET a 5.0e3", true],
      ["INCRBYFLOAT a 2.0e2", "5200"],
      ["INCRBYFLOAT b 0.1", "0.1"],
      ["INCRBYFLOAT b 0.2", "0.3"],
      ["INCRBYFLOAT b -0.3", "0"],
      ["INCRBYFLOAT b 1e-17", "0.00000000000000001"],
      ["INCRBYFLOAT b x", { error: "ERR value is not a valid float" }],
      ["INCRBYFLOAT b inf", { error: "ERR increment would produce NaN or Infinity" }],
      ["INCRBYFLOAT b 1e9999", { error: "ERR value is not a valid float" }],
    ]);
  });
});

test("a command that is unknown or has the wrong number of arguments is told so in Redis's words", () => {
  const world = new KvWorld();

  expect(world.redis("NOPE a b")).toEqual({ error: "ERR unknown command 'NOPE', with args beginning with: 'a' 'b' " });
  expect(world.redis("GET")).toEqual({ error: "ERR wrong number of arguments for 'get' command" });
  expect(world.redis("get a b")).toEqual({ error: "ERR wrong number of arguments for 'get' command" });
});

test("a value may hold any bytes", () => {
  const world = new KvWorld();
  const bytes = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join("");

  world.run("SET", bytes, bytes);

  expect(world.run("GET", bytes)).toBe(bytes);
  expect(world.run("KEYS", "*")).toEqual([bytes]);
});
