/**
 * What Redis clients rely on, asked through the two common ones for Node, and in raw bytes where those hide it.
 *
 * Owns: the claims. Run against the door alone (test/unit) and against replicas of a real cluster (test/e2e). `addresses` are replicas of one
 * group; with several, what one client writes another reads elsewhere. Every test begins with an empty database.
 */
import { Redis as IoRedis } from "ioredis";
import { createClient } from "redis";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";

export interface RespAddress {
  readonly host: string;
  readonly port: number;
}

export function describeRespConformance(title: string, addresses: () => readonly RespAddress[]): void {
  describe(title, () => {
    let here: IoRedis;
    let there: IoRedis;

    beforeAll(async () => {
      here = await connectIoRedis(addressAt(addresses(), 0));
      there = await connectIoRedis(addressAt(addresses(), 1));
    });

    afterAll(() => {
      here.disconnect();
      there.disconnect();
    });

    beforeEach(async () => {
      await here.flushall();
    });

    testStrings(() => here);
    testKeys(() => here);
    testCollections(() => here);
    testTransactions(
      () => here,
      () => there,
    );
    testNodeRedis(addresses);
    testTwoReplicas(
      () => here,
      () => there,
    );
  });
}

function addressAt(addresses: readonly RespAddress[], at: number): RespAddress {
  const address = addresses[at % addresses.length];
  if (address === undefined) throw new Error("no address");
  return address;
}

async function connectIoRedis({ host, port }: RespAddress): Promise<IoRedis> {
  const client = new IoRedis({
    host,
    port,
    lazyConnect: true,
    retryStrategy: () => null,
    connectionName: "conformance",
  });
  await client.connect();
  return client;
}

function testStrings(client: () => IoRedis): void {
  test("SET with all its options", async () => {
    const redis = client();

    expect(await redis.set("k", "v")).toBe("OK");
    expect(await redis.set("k", "w", "NX")).toBeNull();
    expect(await redis.set("k", "w", "XX")).toBe("OK");
    expect(await redis.set("k", "x", "GET")).toBe("w");
    expect(await redis.set("k", "y", "EX", 100)).toBe("OK");
    expect(await redis.ttl("k")).toBe(100);
    expect(await redis.set("k", "z", "KEEPTTL")).toBe("OK");
    expect(await redis.ttl("k")).toBeGreaterThan(90);
    await expect(redis.call("SET", "k", "v", "EX", "0")).rejects.toThrow("ERR invalid expire time in 'set' command");
    await expect(redis.call("SET", "k", "v", "NX", "XX")).rejects.toThrow("ERR syntax error");
  });

  test("values and keys are bytes", async () => {
    const redis = client();
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, code) => code));

    await redis.set(bytes, bytes);
    await redis.append(bytes, Buffer.from([0, 13, 10]));

    expect(await redis.getBuffer(bytes)).toEqual(Buffer.concat([bytes, Buffer.from([0, 13, 10])]));
    expect((await redis.keysBuffer("*"))[0]).toEqual(bytes);
  });

  test("arithmetic is exact in 64 bits", async () => {
    const redis = client();

    await redis.set("n", "9007199254740992");
    // The client itself rounds integers beyond 2^53, so the value is looked at as text.
    await redis.incr("n");
    expect(await redis.get("n")).toBe("9007199254740993");
    await redis.set("n", "9223372036854775807");
    await expect(redis.incr("n")).rejects.toThrow("ERR increment or decrement would overflow");
    await redis.set("n", "x");
    await expect(redis.incr("n")).rejects.toThrow("ERR value is not an integer or out of range");
    expect(await redis.incrbyfloat("f", 0.1)).toBe("0.1");
    expect(await redis.incrbyfloat("f", 0.2)).toBe("0.3");
  });

  test("GETEX, GETDEL, MSETNX, ranges", async () => {
    const redis = client();
    await redis.mset("a", "abcdef", "b", "2");

    expect(await redis.msetnx("b", "3", "c", "4")).toBe(0);
    expect(await redis.mget("a", "b", "c")).toEqual(["abcdef", "2", null]);
    expect(await redis.getrange("a", 1, -2)).toBe("bcde");
    expect(await redis.setrange("a", 8, "x")).toBe(9);
    expect(await redis.get("a")).toBe("abcdef\0\0x");
    expect(await redis.getex("b", "PX", 60_000)).toBe("2");
    expect(await redis.pttl("b")).toBeGreaterThan(50_000);
    expect(await redis.getdel("b")).toBe("2");
    expect(await redis.exists("b")).toBe(0);
  });

  test("a pipeline of thousands of commands is answered in order", async () => {
    const pipeline = client().pipeline();
    for (let at = 0; at < 3000; at += 1) pipeline.incr("n").get("n");

    const replies = (await pipeline.exec()) ?? [];

    expect(replies.length).toBe(6000);
    expect(replies.every(([error]) => error === null)).toBe(true);
    expect(replies.map(([, reply]) => Number(reply))).toEqual(
      Array.from({ length: 6000 }, (_, at) => Math.floor(at / 2) + 1),
    );
  });
}

function testKeys(client: () => IoRedis): void {
  test("a key with a time to live goes away by itself", async () => {
    const redis = client();
    await redis.set("short", "v", "PX", 150);
    await redis.set("long", "v", "PX", 60_000);
    expect(await redis.exists("short", "long")).toBe(2);

    while ((await redis.exists("short")) === 1) expect(await redis.pttl("long")).toBeGreaterThan(1_000);

    expect(await redis.exists("long")).toBe(1);
    expect(await redis.pttl("short")).toBe(-2);
  });

  test("EXPIRE and its conditions", async () => {
    const redis = client();
    await redis.set("k", "v");

    expect(await redis.ttl("k")).toBe(-1);
    expect(await redis.expire("k", 100, "XX")).toBe(0);
    expect(await redis.expire("k", 100, "NX")).toBe(1);
    expect(await redis.expire("k", 50, "GT")).toBe(0);
    expect(await redis.expire("k", 50, "LT")).toBe(1);
    expect(await redis.persist("k")).toBe(1);
    expect(await redis.pexpire("k", -1)).toBe(1);
    expect(await redis.exists("k")).toBe(0);
  });

  test("SCAN returns every key once", async () => {
    const redis = client();
    const names = Array.from({ length: 500 }, (_, at) => `key:${at}`);
    await redis.mset(...names.flatMap((name) => [name, "v"]));
    await redis.rpush("list", "x");

    const found: string[] = [];
    for await (const keys of redis.scanStream({ match: "key:*", count: 37 })) found.push(...(keys as string[]));
    const typed: string[] = [];
    for await (const keys of redis.scanStream({ type: "list" })) typed.push(...(keys as string[]));

    expect(found.toSorted()).toEqual(names.toSorted());
    expect(typed).toEqual(["list"]);
    expect(await redis.dbsize()).toBe(501);
  });

  test("names: RENAME, COPY, TYPE, RANDOMKEY, UNLINK", async () => {
    const redis = client();
    await redis.set("a", "1");

    expect(await redis.rename("a", "b")).toBe("OK");
    await expect(redis.rename("a", "b")).rejects.toThrow("ERR no such key");
    expect(await redis.copy("b", "c")).toBe(1);
    expect(await redis.renamenx("b", "c")).toBe(0);
    expect(await redis.type("c")).toBe("string");
    expect(["b", "c"]).toContain(await redis.randomkey());
    expect(await redis.unlink("b", "c", "d")).toBe(2);
    expect(await redis.randomkey()).toBeNull();
  });

  test("errors are Redis's own", async () => {
    const redis = client();

    await expect(redis.call("NOSUCH", "a")).rejects.toThrow(
      "ERR unknown command 'NOSUCH', with args beginning with: 'a'",
    );
    await expect(redis.call("GET")).rejects.toThrow("ERR wrong number of arguments for 'get' command");
    await expect(redis.select(1)).rejects.toThrow("ERR DB index is out of range");
    await expect(redis.call("AUTH", "x")).rejects.toThrow("ERR AUTH <password> called without any password configured");
    await redis.lpush("l", "x");
    await expect(redis.get("l")).rejects.toThrow("WRONGTYPE Operation against a key holding the wrong kind of value");
  });
}

function testCollections(client: () => IoRedis): void {
  test("lists, hashes, sets and sorted sets", async () => {
    const redis = client();

    expect(await redis.rpush("l", "b", "c")).toBe(2);
    expect(await redis.lpush("l", "a")).toBe(3);
    expect(await redis.lrange("l", 0, -1)).toEqual(["a", "b", "c"]);
    expect(await redis.lpop("l", 2)).toEqual(["a", "b"]);
    expect(await redis.hset("h", { f: "1", g: "2" })).toBe(2);
    expect(await redis.hgetall("h")).toEqual({ f: "1", g: "2" });
    expect(await redis.sadd("s", "x", "y", "x")).toBe(2);
    expect((await redis.smembers("s")).toSorted()).toEqual(["x", "y"]);
    expect(["x", "y"]).toContain(await redis.spop("s"));
    expect(await redis.zadd("z", 2, "two", 1, "one")).toBe(2);
    expect(await redis.zrange("z", 0, -1, "WITHSCORES")).toEqual(["one", "1", "two", "2"]);
    expect(await redis.zpopmin("z")).toEqual(["one", "1"]);
  });
}

function testTransactions(client: () => IoRedis, other: () => IoRedis): void {
  test("EXEC runs everything, and errors undo nothing", async () => {
    const replies = await client().multi().set("a", "x").incr("a").set("b", "y").exec();

    expect(replies?.map(([error, reply]) => (error === null ? reply : error.message))).toEqual([
      "OK",
      "ERR value is not an integer or out of range",
      "OK",
    ]);
    expect(await client().mget("a", "b")).toEqual(["x", "y"]);
  });

  test("a command that cannot be queued discards the transaction", async () => {
    const redis = client();
    await redis.call("MULTI");
    await redis.call("SET", "a", "1");
    await expect(redis.call("SET", "a")).rejects.toThrow("wrong number of arguments");
    await expect(redis.call("EXEC")).rejects.toThrow("EXECABORT Transaction discarded because of previous errors.");
    expect(await redis.exists("a")).toBe(0);
  });

  test("WATCH notices a change made through another connection, also one that was made undone", async () => {
    const redis = client();
    for (const change of [() => other().set("k", "theirs"), () => other().multi().set("k", "1").del("k").exec()]) {
      await redis.del("k");
      await redis.watch("k");
      await change();
      expect(await redis.multi().set("k", "mine").exec()).toBeNull();
      expect(await redis.get("k")).not.toBe("mine");
    }
    await redis.watch("k");
    expect(await redis.multi().set("k", "mine").exec()).toEqual([[null, "OK"]]);
  });

  test("counters under optimistic locking lose no increment", async () => {
    await client().set("n", "0");
    const increment = async (redis: IoRedis): Promise<void> => {
      for (let done = 0; done < 15;) {
        await redis.watch("n");
        const value = Number(await redis.get("n"));
        if (
          (await redis
            .multi()
            .set("n", value + 1)
            .exec()) !== null
        )
          done += 1;
      }
    };

    await Promise.all([increment(client()), increment(other())]);

    expect(await client().get("n")).toBe("30");
  });
}

function testNodeRedis(addresses: () => readonly RespAddress[]): void {
  test.each([2, 3] as const)("node-redis speaks RESP%i", async (RESP) => {
    const { host, port } = addressAt(addresses(), 0);
    const redis = createClient({ RESP, socket: { host, port, reconnectStrategy: false }, name: "conformance" });
    await redis.connect();
    try {
      expect(await redis.ping()).toBe("PONG");
      expect(await redis.set("k", "v", { expiration: { type: "EX", value: 100 }, condition: "NX" })).toBe("OK");
      expect(await redis.get("k")).toBe("v");
      expect(await redis.get("none")).toBeNull();
      expect(await redis.hSet("h", { f: "1" })).toBe(1);
      expect({ ...(await redis.hGetAll("h")) }).toEqual({ f: "1" });
      expect(await redis.zAdd("z", [{ score: 1.5, value: "m" }])).toBe(1);
      expect(await redis.zRangeWithScores("z", 0, -1)).toEqual([{ score: 1.5, value: "m" }]);
      expect(await redis.zPopMin("z")).toEqual({ score: 1.5, value: "m" });
      expect(await redis.sAdd("s", ["x"])).toBe(1);
      expect([...(await redis.sMembers("s"))]).toEqual(["x"]);
      expect(await redis.multi().incr("n").get("n").exec()).toEqual([1, "1"]);
      expect(await redis.clientGetName()).toBe("conformance");
      expect(await redis.info("server")).toContain("redis_version:7.0.0");
      const many = await Promise.all(Array.from({ length: 500 }, () => redis.incr("many")));
      expect(many).toEqual(Array.from({ length: 500 }, (_, at) => at + 1));
      const keys: string[] = [];
      for await (const page of redis.scanIterator()) keys.push(...page);
      expect(keys.toSorted()).toEqual(["h", "k", "many", "n", "s"]);
    } finally {
      redis.destroy();
    }
  });
}

function testTwoReplicas(here: () => IoRedis, there: () => IoRedis): void {
  test("what was answered to one client is seen by the next, wherever it is connected", async () => {
    for (let round = 0; round < 50; round += 1) {
      await here().set("k", String(round));
      expect(await there().get("k")).toBe(String(round));
      await there().incr("n");
      expect(await here().get("n")).toBe(String(round + 1));
    }
  });
}
