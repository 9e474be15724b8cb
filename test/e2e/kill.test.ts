/**
 * The main promise, with real processes: whatever was acknowledged is there, and is there once, however often the leader is
 * killed. Half of the kills come during heavy writes.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { enginePlaces } from "../../src/api/config.js";
import { connect } from "../../src/node/create-client.js";
import { kv } from "../../src/services/kv/index.js";
import { DevCluster, until } from "../../test-support/dev-cluster.js";

const counters = 4;
let cluster: DevCluster;

const connectAll = () => connect(kv, { endpoints: cluster.replicas.map(({ client }) => client), timeoutMs: 30_000 });
type KvClient = Awaited<ReturnType<typeof connectAll>>;

/** Writers that go on until told to stop, and a record of what was acknowledged. */
class Load {
  readonly #name: string;
  readonly acknowledged: string[] = [];
  readonly increments = new Array<number>(counters).fill(0);
  readonly failures: string[] = [];
  #lastAt = performance.now();
  /** Longest time without an acknowledged write since it was last taken. */
  #longestGap = 0;
  #stopping = false;
  #next = 0;
  readonly #workers: Promise<void>[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  counter(at: number): string {
    return `${this.#name}-counter-${at}`;
  }

  start(client: KvClient, writers: number, valueLength: number): void {
    for (let count = 0; count < writers; count += 1) this.#workers.push(this.#write(client, count, valueLength));
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#workers);
  }

  takeLongestGap(): number {
    const gap = this.#longestGap;
    this.#longestGap = 0;
    return gap;
  }

  async #write(client: KvClient, writer: number, valueLength: number): Promise<void> {
    const value = "v".repeat(valueLength);
    while (!this.#stopping) {
      try {
        if (writer % 2 === 0) {
          const key = `${this.#name}-${(this.#next += 1)}`;
          await client.set({ key, value: `${key} ${value}` });
          this.acknowledged.push(key);
        } else {
          const counter = writer % counters;
          await client.increment({ key: this.counter(counter), by: 1 });
          this.increments[counter] = (this.increments[counter] ?? 0) + 1;
        }
        const now = performance.now();
        this.#longestGap = Math.max(this.#longestGap, now - this.#lastAt);
        this.#lastAt = now;
      } catch (cause) {
        this.failures.push(String(cause));
      }
    }
  }
}

async function killLeader(load: Load): Promise<number> {
  const leader = await cluster.leader();
  const before = load.acknowledged.length;
  await until("writes going on", async () => (load.acknowledged.length > before + 10 ? true : undefined));
  load.takeLongestGap();
  const restarts = cluster.events.filter(({ event }) => event === "restarted").length;
  cluster.kill(leader.id);
  const after = load.acknowledged.length;
  await until("the restart", async () =>
    cluster.events.filter(({ event }) => event === "restarted").length > restarts ? true : undefined,
  );
  await cluster.whole();
  await until("writes after the kill", async () => (load.acknowledged.length > after + 10 ? true : undefined));
  return load.takeLongestGap();
}

async function checkEverything(client: KvClient, load: Load): Promise<void> {
  const missing: string[] = [];
  for (let at = 0; at < load.acknowledged.length; at += 500) {
    const keys = load.acknowledged.slice(at, at + 500);
    const values = await Promise.all(keys.map((key) => client.get(key)));
    keys.forEach((key, offset) => {
      if (values[offset]?.value.startsWith(`${key} `) !== true) missing.push(key);
    });
  }
  expect(missing).toEqual([]);
  for (const [counter, count] of load.increments.entries()) {
    if (count === 0) continue;
    expect(Number((await client.get(load.counter(counter)))?.value)).toBe(count);
  }
}

describe.each(enginePlaces)("with the engine %s", (engine) => {
  const kills = engine === "inline" ? 20 : 10;

  beforeAll(async () => {
    cluster = await DevCluster.start(["--engine", engine]);
  });

  afterAll(async () => {
    await cluster.stop();
  });

  test(
    `${kills} kills of the leader under load lose nothing, apply nothing twice, and refuse nothing`,
    { timeout: 300_000 },
    async () => {
      const client = await connectAll();
      const load = new Load("kill");
      load.start(client, 8, 16);
      const gaps: number[] = [];
      for (let kill = 0; kill < kills / 2; kill += 1) gaps.push(await killLeader(load));
      load.start(client, 120, 1000);
      for (let kill = 0; kill < kills / 2; kill += 1) gaps.push(await killLeader(load));
      await load.stop();

      gaps.sort((a, b) => a - b);
      const median = gaps[gaps.length >> 1] ?? 0;
      console.log(
        `${kills} kills, ${load.acknowledged.length} writes: longest gap without a write ` +
          `median ${median.toFixed(0)} ms, worst ${(gaps.at(-1) ?? 0).toFixed(0)} ms`,
      );
      expect(load.failures).toEqual([]);
      await checkEverything(client, load);
      await client.$close();
    },
  );

  test("all three killed at once and started again have everything", { timeout: 120_000 }, async () => {
    const client = await connectAll();
    const load = new Load("all");
    load.start(client, 16, 64);
    await until("writes", async () => (load.acknowledged.length > 200 ? true : undefined));
    const restarts = cluster.events.filter(({ event }) => event === "restarted").length;
    for (const { id } of cluster.replicas) cluster.kill(id);
    await until("three restarts", async () =>
      cluster.events.filter(({ event }) => event === "restarted").length >= restarts + 3 ? true : undefined,
    );
    const before = load.acknowledged.length;
    await until("writes after the restart", async () => (load.acknowledged.length > before + 100 ? true : undefined));
    await load.stop();

    expect(load.failures).toEqual([]);
    await checkEverything(client, load);
    await client.$close();
  });
});
