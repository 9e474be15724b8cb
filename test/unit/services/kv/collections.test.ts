/** Lists, hashes, sets and sorted sets. */
import { expect, test } from "vitest";
import { KvWorld } from "../../../../test-support/kv-world.js";

const wrongType = { error: "WRONGTYPE Operation against a key holding the wrong kind of value" };

test("a list is pushed, popped and read at both ends", () => {
  const world = new KvWorld();

  expect(world.redis("LPUSH l b a")).toBe(2);
  expect(world.redis("RPUSH l c d e")).toBe(5);
  expect(world.redis("LRANGE l 0 -1")).toEqual(["a", "b", "c", "d", "e"]);
  expect(world.redis("LRANGE l -2 100")).toEqual(["d", "e"]);
  expect(world.redis("LRANGE l 3 1")).toEqual([]);
  expect(world.redis("LINDEX l -1")).toBe("e");
  expect(world.redis("LINDEX l 9")).toBeNull();
  expect(world.redis("LSET l 1 B")).toBe(true);
  expect(world.redis("LSET l 9 B")).toEqual({ error: "ERR index out of range" });
  expect(world.redis("LPOP l 2")).toEqual(["a", "B"]);
  expect(world.redis("RPOP l")).toBe("e");
  expect(world.redis("LPOP l 0")).toEqual([]);
  expect(world.redis("LPOP l -1")).toEqual({ error: "ERR value is out of range, must be positive" });
  expect(world.redis("LPOP l 9")).toEqual(["c", "d"]);
  expect(world.redis("EXISTS l")).toBe(0);
  expect(world.redis("LPOP l")).toBeNull();
  expect(world.redis("LPOP l 1")).toEqual({ nilArray: true });
  expect(world.redis("LPUSHX l x")).toBe(0);
});

test("a hash is written, read and emptied by field", () => {
  const world = new KvWorld();

  expect(world.redis("HSET h b 2 a 1")).toBe(2);
  expect(world.redis("HSET h b 3 c 4")).toBe(1);
  expect(world.redis("HSET h b")).toEqual({ error: "ERR wrong number of arguments for 'hset' command" });
  expect(world.redis("HSET h b 1 c")).toEqual({ error: "ERR wrong number of arguments for 'hset' command" });
  expect(world.redis("HGETALL h")).toEqual({ map: ["a", "1", "b", "3", "c", "4"] });
  expect(world.redis("HMGET h a z")).toEqual(["1", null]);
  expect([world.redis("HLEN h"), world.redis("HEXISTS h a"), world.redis("HEXISTS h z")]).toEqual([3, 1, 0]);
  expect(world.redis("HSETNX h a 9")).toBe(0);
  expect(world.redis("HDEL h a b z")).toBe(2);
  expect(world.redis("HDEL h c")).toBe(1);
  expect(world.redis("EXISTS h")).toBe(0);
  expect(world.redis("HGETALL h")).toEqual({ map: [] });
});

test("a set holds each member once, and pops all of them in some order that every replica repeats", () => {
  const world = new KvWorld();

  expect(world.redis("SADD s a b c a")).toBe(3);
  expect(world.redis("SADD s c d")).toBe(1);
  expect([world.redis("SISMEMBER s a"), world.redis("SISMEMBER s z"), world.redis("SCARD s")]).toEqual([1, 0, 4]);
  expect(world.redis("SREM s b z")).toBe(1);
  expect(world.redis("SMEMBERS s")).toHaveProperty("set.length", 3);
  const popped = [world.redis("SPOP s"), ...(world.redis("SPOP s 5") as { set: string[] }).set];
  expect(popped.toSorted()).toEqual(["a", "c", "d"]);
  expect(world.redis("SPOP s")).toBeNull();
  expect(world.redis("SPOP s 2")).toEqual({ set: [] });
  expect(world.redis("EXISTS s")).toBe(0);
});

test("a sorted set is in order of score, then of name", () => {
  const world = new KvWorld();

  expect(world.redis("ZADD z 2 b 1 a 2 aa -3.5 n")).toBe(4);
  expect(world.redis("ZRANGE z 0 -1")).toEqual(["n", "a", "aa", "b"]);
  expect(world.redis("ZRANGE z 0 1 REV")).toEqual(["b", "aa"]);
  expect(world.redis("ZRANGE z 0 0 WITHSCORES")).toEqual({ pairs: ["n", { double: "-3.5" }] });
  expect(world.redis("ZADD z 9 a")).toBe(0);
  expect(world.redis("ZADD z CH 8 a 2 b")).toBe(1);
  expect(world.redis("ZADD z NX 1 a 1 new")).toBe(1);
  expect(world.redis("ZADD z XX 1 none")).toBe(0);
  expect(world.redis("ZADD z GT 3 a")).toBe(0);
  expect(world.redis("ZSCORE z a")).toEqual({ double: "8" });
  expect(world.redis("ZADD z INCR 0.5 a")).toEqual({ double: "8.5" });
  expect(world.redis("ZADD z x a")).toEqual({ error: "ERR value is not a valid float" });
  expect(world.redis("ZADD z 1 a 2")).toEqual({ error: "ERR syntax error" });
  expect(world.redis("ZADD z NX XX 1 a")).toHaveProperty("error");
  expect(world.redis("ZPOPMIN z")).toEqual(["n", { double: "-3.5" }]);
  expect(world.redis("ZPOPMAX z 1")).toEqual({ pairs: ["a", { double: "8.5" }] });
  expect(world.redis("ZREM z aa b zz")).toBe(2);
  expect(world.redis("ZCARD z")).toBe(1);
  expect(world.redis("ZREM z new")).toBe(1);
  expect(world.redis("EXISTS z")).toBe(0);
});

test("commands refuse a key of another type and leave it alone", () => {
  const world = new KvWorld();
  const keys = {
    string: "SET string 1",
    list: "RPUSH list a",
    hash: "HSET hash f v",
    set: "SADD set a",
    zset: "ZADD zset 1 a",
  };
  for (const create of Object.values(keys)) world.redis(create);
  const commands = {
    string: ["GET $", "APPEND $ x", "INCR $", "GETRANGE $ 0 1", "GETDEL $", "GETEX $ EX 5"],
    list: ["LPUSH $ x", "LPOP $", "LLEN $", "LRANGE $ 0 -1", "LINDEX $ 0", "LSET $ 0 x"],
    hash: ["HSET $ f v", "HGET $ f", "HGETALL $", "HDEL $ f", "HLEN $", "HEXISTS $ f"],
    set: ["SADD $ x", "SPOP $", "SCARD $", "SISMEMBER $ a", "SMEMBERS $", "SREM $ a"],
    zset: ["ZADD $ 1 x", "ZPOPMIN $", "ZCARD $", "ZSCORE $ a", "ZRANGE $ 0 -1", "ZREM $ a"],
  };
  for (const [type, lines] of Object.entries(commands)) {
    for (const other of Object.keys(keys).filter((key) => key !== type)) {
      for (const line of lines) expect(world.redis(line.replace("$", other)), `${line} on ${other}`).toEqual(wrongType);
    }
  }
  expect(Object.keys(keys).map((key) => world.redis(`TYPE ${key}`))).toEqual(
    Object.keys(keys).map((status) => ({ status })),
  );
});

test("parts of a removed key are swept in bounded steps and never come back", () => {
  const world = new KvWorld();
  for (let batch = 0; batch < 60; batch += 1) {
    world.run("RPUSH", "l", ...Array.from({ length: 100 }, (_, at) => `${batch}-${at}`));
  }

  world.redis("DEL l");
  expect(world.redis("LRANGE l 0 -1")).toEqual([]);
  world.redis("RPUSH l new");

  let entries = 0;
  while ((world.instance.dueAt() ?? Infinity) <= world.now) {
    world.pass(0);
    entries += 1;
    expect(entries).toBeLessThan(10);
  }
  expect(world.redis("LRANGE l 0 -1")).toEqual(["new"]);
  expect(entries).toBeGreaterThan(1);
  expect(world.redis("DBSIZE")).toBe(1);
});

test("a push onto a long list costs no more than onto a short one", () => {
  const world = new KvWorld();
  // A command may do a million steps in collections; a push that copied the list would pass that within these.
  for (let push = 0; push < 40; push += 1) {
    world.run("LPUSH", "l", ...Array.from({ length: 500 }, (_, at) => String(at)));
  }
  const pushes = Array.from({ length: 1000 }, () => ["LPUSH", "l", "x"]);

  expect(world.runAll(pushes)?.at(-1)).toBe(21_000);
});
