/** Redis clients and tools against a real cluster: every replica takes reads and writes. */
import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DevCluster } from "../../test-support/dev-cluster.js";
import { requireTool } from "../../test-support/require-tool.js";
import { describeRespConformance, type RespAddress } from "../../test-support/resp-conformance.js";

let cluster: DevCluster;

beforeAll(async () => {
  cluster = await DevCluster.start();
  await cluster.whole();
});

afterAll(async () => {
  await cluster.stop();
});

function addresses(): readonly RespAddress[] {
  return cluster.replicas.map(({ redis }) => {
    const [host = "", port = ""] = redis.split(":");
    return { host, port: Number(port) };
  });
}

describeRespConformance("Redis clients at two replicas", addresses);

test("redis-benchmark runs its default tests and pipelined ones without errors, at leader and follower", async (context) => {
  requireTool(context, "redis-benchmark", "redis-tools");
  const leader = await cluster.leader();
  const follower = cluster.replicas.find(({ id }) => id !== leader.id);

  for (const { redis } of [leader, follower ?? leader]) benchmark(redis);
});

function benchmark(address: string): void {
  const [host = "", port = ""] = address.split(":");
  for (const [flags, titles] of [
    [["1000"], ["PING_INLINE", "SET", "GET", "LPUSH", "RPOP", "SPOP", "ZPOPMIN", "LRANGE_600", "MSET"]],
    [
      ["5000", "-P", "16", "-t", "set,get,incr", "-r", "1000"],
      ["SET", "GET", "INCR"],
    ],
  ] as const) {
    const target = ["-h", host, "-p", port, "-q", "-n"];
    const { status, stdout, stderr } = spawnSync("redis-benchmark", [...target, ...flags], { encoding: "utf8" });
    expect(status, stdout + stderr).toBe(0);
    expect(`${stdout}${stderr}`).not.toMatch(/error|warning/i);
    for (const title of titles) expect(stdout).toMatch(new RegExp(`${title}.*requests per second`));
  }
}

test("redis-cli talks in RESP2 and RESP3", (context) => {
  requireTool(context, "redis-cli", "redis-tools");
  const [first] = addresses();
  const ask = (...flags: readonly string[]): string => {
    const target = ["-h", first?.host ?? "", "-p", String(first?.port ?? 0)];
    return spawnSync("redis-cli", [...target, ...flags], { encoding: "utf8" }).stdout.trim();
  };

  expect(ask("set", "cli", "hello")).toBe("OK");
  expect(ask("get", "cli")).toBe("hello");
  expect(ask("-3", "--json", "hgetall", "none")).toBe("{}");
  expect(ask("--no-raw", "get", "none")).toBe("(nil)");
  expect(ask("get")).toBe("ERR wrong number of arguments for 'get' command");
});
