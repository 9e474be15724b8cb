/** Keys: expiry by agreed time, versions, names, scanning. */
import { defaultLimits } from "../../../../src/api/config.js";
import { describe, expect, test } from "vitest";
import { nextBetween, randomStream } from "../../../../src/base/random.js";
import { nodeHash } from "../../../../src/node/hash.js";
import { kv } from "../../../../src/services/kv/index.js";
import { KvWorld } from "../../../../test-support/kv-world.js";

describe("expiry", () => {
  test("a key is gone at its agreed time, for reads before any write has removed it", () => {
    const world = new KvWorld();
    world.redis("SET a 1 PX 100");

    world.now += 99;
    expect(world.read("GET a")).toBe("1");
    world.now += 1;
    expect(world.read("GET a")).toBeNull();
    expect(world.read("EXISTS a")).toBe(0);
    expect(world.read("KEYS *")).toEqual([]);
  });

  test("the machine is due when the first key expires, and sweeps without being asked", () => {
    const world = new KvWorld();
    expect(world.instance.dueAt()).toBeUndefined();
    world.redis("SET a 1 PX 500");
    world.redis("SET b 1 PX 200");
    expect(world.instance.dueAt()).toBe(1_000_200);

    world.pass(200);

    expect(world.read("DBSIZE")).toBe(1);
    expect(world.instance.dueAt()).toBe(1_000_500);
  });

  test("one entry sweeps a bounded number of keys, and the machine stays due until all are gone", () => {
    const world = new KvWorld();
    for (let key = 0; key < 250; key += 1) world.redis(`SET k${key} v PX 10`);

    world.pass(1000);
    expect(world.read("DBSIZE")).toBe(150);
    expect(world.instance.dueAt()).toBeLessThanOrEqual(world.now);
    world.pass(0);
    world.pass(0);

    expect(world.read("DBSIZE")).toBe(0);
    expect(world.instance.dueAt()).toBeUndefined();
  });

  test("EXPIRE obeys NX, XX, GT and LT, and refuses those that contradict", () => {
    const world = new KvWorld();
    world.redis("SET a 1");

    expect(world.redis("PEXPIRE a 500 XX")).toBe(0);
    expect(world.redis("PEXPIRE a 500 GT")).toBe(0);
    expect(world.redis("PEXPIRE a 500 NX")).toBe(1);
    expect(world.redis("PEXPIRE a 900 NX")).toBe(0);
    expect(world.redis("PEXPIRE a 400 GT")).toBe(0);
    expect(world.redis("PEXPIRE a 900 GT")).toBe(1);
    expect(world.redis("PEXPIRE a 950 LT")).toBe(0);
    expect(world.redis("PTTL a")).toBe(900);
    expect(world.redis("EXPIRE a 5 NX GT")).toHaveProperty("error");
    expect(world.redis("EXPIRE a 5 GT LT")).toHaveProperty("error");
    expect(world.redis("EXPIRE a 5 ZZ")).toEqual({ error: "ERR Unsupported option ZZ" });
    expect(world.redis("EXPIRE a 9223372036854775807")).toHaveProperty("error");
    expect(world.redis("EXPIRE nothing 5")).toBe(0);
  });

  test("a time in the past removes the key at once", () => {
    const world = new KvWorld();
    world.redis("SET a 1");

    expect(world.redis("EXPIRE a -1")).toBe(1);
    expect(world.redis("EXISTS a")).toBe(0);
    world.redis("SET a 1");
    expect(world.redis("EXPIREAT a 1")).toBe(1);
    expect(world.redis("EXISTS a")).toBe(0);
  });

  test("TTL and its like tell what is left, rounded as Redis does", () => {
    const world = new KvWorld();
    world.redis("SET a 1 PXAT 1001600");
    world.redis("SET b 1");

    expect(world.redis("PTTL a")).toBe(1600);
    expect(world.redis("TTL a")).toBe(2);
    expect(world.redis("PEXPIRETIME a")).toBe(1_001_600);
    expect(world.redis("EXPIRETIME a")).toBe(1002);
    expect([world.redis("TTL b"), world.redis("TTL c"), world.redis("EXPIRETIME c")]).toEqual([-1, -2, -2]);
    expect(world.redis("PERSIST a")).toBe(1);
    expect(world.redis("PERSIST a")).toBe(0);
    expect(world.redis("TTL a")).toBe(-1);
  });

  test("TIME is the agreed time", () => {
    expect(new KvWorld().redis("TIME")).toEqual(["1000", "0"]);
  });
});

describe("WATCH", () => {
  function watched(world: KvWorld, key: string): readonly (readonly [string, number])[] {
    const versions = world.read(`WATCH ${key}`) as readonly number[];
    return [[key, versions[0] ?? -1]];
  }

  test.each([
    ["written", ["SET k 2"]],
    ["removed", ["DEL k"]],
    ["removed and written again with the same value", ["DEL k", "SET k 1"]],
    ["given an expiry", ["EXPIRE k 100"]],
    ["renamed", ["RENAME k other"]],
    ["renamed over", ["SET other 1", "RENAME other k"]],
    ["flushed", ["FLUSHALL"]],
    ["flushed and written again", ["FLUSHALL", "SET k 1"]],
  ])("notices that a key was %s", (_what, changes) => {
    const world = new KvWorld();
    world.redis("SET k 1");
    const watch = watched(world, "k");
    for (const change of changes) world.redis(change);

    expect(world.runAll([["SET", "k", "mine"]], watch)).toBeNull();
    expect(world.redis("GET k")).not.toBe("mine");
  });

  test("notices that an absent key was created and removed again", () => {
    const world = new KvWorld();
    const watch = watched(world, "k");
    world.redis("SET k 1");
    world.redis("DEL k");

    expect(world.runAll([["SET", "k", "mine"]], watch)).toBeNull();
  });

  test("notices that a key has expired, though nothing has looked at it since", () => {
    const world = new KvWorld();
    world.redis("SET k 1 PX 10");
    const watch = watched(world, "k");
    // More keys are due before it than one entry sweeps.
    for (let key = 0; key < 300; key += 1) world.redis(`SET z${key} v PX 5`);
    world.now += 10;

    expect(world.runAll([["SET", "k", "mine"]], watch)).toBeNull();
  });

  test("notices changes of parts of lists, hashes, sets and sorted sets", () => {
    const world = new KvWorld();
    for (const [create, change] of [
      ["RPUSH k a b", "LSET k 0 c"],
      ["HSET k f v", "HSET k f w"],
      ["SADD k a b", "SREM k a"],
      ["ZADD k 1 a", "ZADD k 2 a"],
    ] as const) {
      world.redis("DEL k");
      world.redis(create);
      const watch = watched(world, "k");
      world.redis(change);
      expect(world.runAll([["PING"]], watch), change).toBeNull();
    }
  });

  test("does not mind reads, changes of other keys, or commands that changed nothing", () => {
    const world = new KvWorld();
    world.redis("SET k 1");
    world.redis("SADD s a");
    const watch = [...watched(world, "k"), ...watched(world, "s")];
    world.redis("SET other 1");
    world.redis("GET k");
    world.redis("TTL k");
    world.redis("SETNX k 2");
    world.redis("SADD s a");
    world.redis("PERSIST k");

    expect(world.runAll([["INCR", "k"]], watch)).toEqual([2]);
  });

  test("an error inside a transaction does not undo the other commands", () => {
    const world = new KvWorld();

    const replies = world.runAll(
      [
        ["SET", "a", "x"],
        ["INCR", "a"],
        ["SET", "b", "y"],
      ],
      [],
    );

    expect(replies).toEqual([true, { error: "ERR value is not an integer or out of range" }, true]);
    expect(world.redis("MGET a b")).toEqual(["x", "y"]);
  });
});

describe("names", () => {
  test("RENAME takes value, type and expiry along, and buries what it replaces", () => {
    const world = new KvWorld();
    world.redis("RPUSH a x y z");
    world.redis("PEXPIRE a 700");
    world.redis("RPUSH b old");

    expect(world.redis("RENAME a b")).toBe(true);

    expect(world.redis("LRANGE b 0 -1")).toEqual(["x", "y", "z"]);
    expect(world.redis("PTTL b")).toBe(700);
    expect(world.redis("EXISTS a")).toBe(0);
    expect(world.redis("RENAME a b")).toEqual({ error: "ERR no such key" });
    expect(world.redis("RENAME b b")).toBe(true);
    world.redis("SET c 1");
    expect(world.redis("RENAMENX b c")).toBe(0);
    expect(world.redis("RENAMENX b d")).toBe(1);
  });

  test("COPY gives a key of its own, of every type, with the expiry", () => {
    const world = new KvWorld();
    for (const [create, look, change] of [
      ["SET a 1", "GET", "APPEND a x"],
      ["RPUSH a x y", "LRANGE 0 -1", "LPOP a"],
      ["HSET a f v g w", "HGETALL", "HDEL a f"],
      ["SADD a x y", "SMEMBERS", "SREM a x"],
      ["ZADD a 1 x 2 y", "ZRANGE 0 -1 WITHSCORES", "ZREM a x"],
    ] as const) {
      world.redis("FLUSHALL");
      world.redis(create);
      world.redis("PEXPIRE a 800");
      const [name, ...rest] = look.split(" ");
      const before = world.run(name ?? "", "a", ...rest);
      expect(world.redis("COPY a b")).toBe(1);
      world.redis(change);
      expect(world.run(name ?? "", "b", ...rest), create).toEqual(before);
      expect(world.redis("PTTL b")).toBe(800);
      expect(world.redis("COPY a b")).toBe(0);
      expect(world.redis("COPY a b REPLACE")).toBe(1);
    }
    expect(world.redis("COPY a b DB 1")).toEqual({ error: "ERR DB index is out of range" });
    expect(world.redis("COPY a a")).toEqual({ error: "ERR source and destination objects are the same" });
  });
});

describe("SCAN", () => {
  function scanAll(world: KvWorld, options: string, between: (step: number) => void): readonly string[] {
    const found: string[] = [];
    let cursor = "0";
    let step = 0;
    do {
      const [next, keys] = world.read(`SCAN ${cursor} ${options}`) as readonly [string, readonly string[]];
      found.push(...keys);
      cursor = next;
      between(step);
      step += 1;
      expect(step).toBeLessThan(1000);
    } while (cursor !== "0");
    return found;
  }

  test("returns every key that stays, exactly once, while others come and go", () => {
    const world = new KvWorld();
    for (let key = 0; key < 500; key += 1) world.redis(`SET stays${key} v`);
    for (let key = 0; key < 500; key += 1) world.redis(`SET goes${key} v`);

    const found = scanAll(world, "COUNT 25", (step) => {
      for (let key = 0; key < 20; key += 1) {
        world.redis(`DEL goes${step * 20 + key}`);
        world.redis(`SET new${step * 20 + key} v`);
      }
    });

    const staying = found.filter((key) => key.startsWith("stays"));
    expect(staying.length).toBe(500);
    expect(new Set(staying).size).toBe(500);
  });

  test("filters by pattern and type", () => {
    const world = new KvWorld();
    world.redis("MSET one 1 two 2 three 3");
    world.redis("RPUSH tail x");

    expect(scanAll(world, "MATCH t*", () => {}).toSorted()).toEqual(["tail", "three", "two"]);
    expect(scanAll(world, "MATCH t* TYPE string", () => {}).toSorted()).toEqual(["three", "two"]);
    expect(scanAll(world, "TYPE LIST", () => {})).toEqual(["tail"]);
    expect(world.read("SCAN x")).toEqual({ error: "ERR invalid cursor" });
    expect(world.read("SCAN 0 COUNT 0")).toEqual({ error: "ERR syntax error" });
  });
});

test("RANDOMKEY finds every key sooner or later, and none where none is", () => {
  const world = new KvWorld();
  expect(world.redis("RANDOMKEY")).toBeNull();
  world.redis("MSET a 1 b 2 c 3");

  const seen = new Set<unknown>();
  for (let draw = 0; draw < 100; draw += 1) seen.add(world.redis("RANDOMKEY"));

  expect([...seen].toSorted()).toEqual(["a", "b", "c"]);
});

test("a query refuses to write", () => {
  expect(new KvWorld().read("SET a 1")).toEqual({ error: "ERR 'set' is not a command that only reads" });
});

test("a request stops once its replies are heavy, and says how far it came by their number", () => {
  const world = new KvWorld();
  world.run("SET", "big", "x".repeat(600_000));

  const replies = world.runAll([
    ["GET", "big"],
    ["GET", "big"],
    ["SET", "after", "1"],
  ]);

  expect(replies?.length).toBe(2);
  expect(world.redis("EXISTS after")).toBe(0);
});

test("a read whose reply would be too large answers an error, a write is undone", () => {
  const world = new KvWorld();
  for (let part = 0; part < 12; part += 1) world.run("RPUSH", "l", "x".repeat(100_000));

  expect(world.redis("LRANGE l 0 -1")).toHaveProperty("error");
  expect(world.runAll([["LPOP", "l", "12"]])).toHaveProperty("failed");
  expect(world.redis("LLEN l")).toBe(12);
});

test("two machines that execute the same log are equal, and so is one installed from a snapshot", () => {
  const first = new KvWorld();
  const second = new KvWorld();
  const random = randomStream(20261123, "kv");
  const pick = (choices: readonly string[]): string => choices[nextBetween(random, 0, choices.length - 1)] ?? "";
  for (let step = 0; step < 600; step += 1) {
    const key = pick(["a", "b", "c"]);
    const line = pick([
      `SET ${key} ${step}`,
      `SET ${key} ${step} PX 30`,
      `LPUSH l${key} ${step}`,
      `RPOP l${key} 2`,
      `SADD s${key} ${step} ${step + 1}`,
      `SPOP s${key}`,
      `HSET h${key} ${pick(["x", "y"])} ${step}`,
      `HDEL h${key} x`,
      `ZADD z${key} ${step % 7} ${pick(["m", "n"])}`,
      `ZPOPMIN z${key}`,
      `RENAME s${key} sa`,
      `DEL l${key} h${key}`,
      "RANDOMKEY",
    ]);
    expect(first.redis(line)).toEqual(second.redis(line));
    first.now += 3;
    second.now += 3;
  }

  expect(first.instance.digest()).toEqual(second.instance.digest());
  const restored = kv.open({ hash: nodeHash, limits: defaultLimits.machine });
  restored.install(first.instance.fork().chunks());
  expect(restored.digest()).toEqual(first.instance.digest());
});
