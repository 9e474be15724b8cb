/** The commands for TypeScript and HTTP clients. */
import { expect, test } from "vitest";
import { kv } from "../../../../src/services/kv/index.js";
import { encodeValue } from "../../../../src/wire/canonical.js";
import { KvWorld, outputOf } from "../../../../test-support/kv-world.js";

function ask(world: KvWorld, name: string, input: unknown): unknown {
  return outputOf(world.command(name, input));
}

test("typed and Redis clients see the same keys, as UTF-8", () => {
  const world = new KvWorld();

  ask(world, "set", { key: "café", value: "naïve €" });

  expect(world.run("GET", "caf\xc3\xa9")).toBe("na\xc3\xafve \xe2\x82\xac");
  expect(world.query("get", "café")).toEqual({ value: "naïve €", version: 1 });
  expect(world.query("keys", { match: "caf*" })).toEqual({ keys: ["café"] });
  world.run("SET", "raw", "\xff");
  expect(world.query("get", "raw")).toEqual({ rejected: "notText", data: undefined });
});

test("set writes under a condition or says what the version is", () => {
  const world = new KvWorld();

  expect(ask(world, "set", { key: "k", value: "1", when: "present" })).toMatchObject({ rejected: "conditionFailed" });
  expect(ask(world, "set", { key: "k", value: "1", when: "absent" })).toEqual({ version: 2 });
  expect(ask(world, "set", { key: "k", value: "2", when: { version: 1 } })).toEqual({
    rejected: "conditionFailed",
    data: { version: 2 },
  });
  expect(ask(world, "set", { key: "k", value: "2", when: { version: 2 } })).toEqual({ version: 4 });
});

test("increment answers exact integers or why not", () => {
  const world = new KvWorld();

  expect(ask(world, "increment", { key: "n" })).toEqual({ value: 1n });
  expect(ask(world, "increment", { key: "n", by: 9_223_372_036_854_775_806n })).toEqual({ value: 2n ** 63n - 1n });
  expect(ask(world, "increment", { key: "n" })).toMatchObject({ rejected: "overflow" });
  world.redis("SET t x");
  expect(ask(world, "increment", { key: "t" })).toMatchObject({ rejected: "notInteger" });
  world.redis("RPUSH l x");
  expect(ask(world, "increment", { key: "l" })).toMatchObject({ rejected: "wrongType" });
});

test("expire and delete say whether they changed anything", () => {
  const world = new KvWorld();
  ask(world, "set", { key: "k", value: "1", ttlMs: 50 });

  expect(ask(world, "expire", { key: "k", ttlMs: null })).toEqual({ changed: true });
  expect(ask(world, "expire", { key: "k", ttlMs: null })).toEqual({ changed: false });
  expect(ask(world, "expire", { key: "k", ttlMs: 70 })).toEqual({ changed: true });
  expect(world.query("get", "k")).toEqual({ value: "1", version: 4, expiresAt: world.now + 70 });
  expect(ask(world, "delete", { keys: ["k", "other"] })).toEqual({ deleted: 1 });
  expect(world.query("get", "k")).toBeUndefined();
});

test.each([
  ["set", { key: 1, value: "x" }],
  ["set", { key: "k", value: "x", ttlMs: 0 }],
  ["set", { key: "k", value: "x", when: "maybe" }],
  ["delete", { keys: "k" }],
  ["increment", { key: "k", by: 1.5 }],
  ["expire", { key: "k" }],
  ["redis", { commands: [["GET", 1]] }],
  ["redis", { commands: [["SET", "k", "€"]] }],
  ["redis", { commands: [], watch: [["k"]] }],
  ["redisRead", "GET k"],
  ["get", undefined],
])("%s refuses an input of another shape before it is ordered: %j", async (name, input) => {
  expect(await kv.admit(name, encodeValue(input))).toMatchObject({ status: "invalid" });
});
