/**
 * What a Redis client was answered stays true when the leader is killed: an answered INCR is counted once, one that was refused is not
 * counted, and only one without a clear answer may be either.
 */
import { Redis as IoRedis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DevCluster } from "../../test-support/dev-cluster.js";

let cluster: DevCluster;

beforeAll(async () => {
  cluster = await DevCluster.start();
  await cluster.whole();
});

afterAll(async () => {
  await cluster.stop();
});

/** One client at one replica that counts on a key of its own, one command at a time. */
class Counting {
  readonly key: string;
  answered = 0;
  refused = 0;
  unclear = 0;
  /** Answers that were not larger than the one before. */
  backwards = 0;
  #last = 0;
  #stopping = false;
  readonly #redis: IoRedis;
  readonly #done: Promise<void>;

  constructor(key: string, address: string) {
    const [host = "", port = ""] = address.split(":");
    this.key = key;
    this.#redis = new IoRedis({
      host,
      port: Number(port),
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      retryStrategy: () => 50,
    });
    this.#redis.on("error", () => {});
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#done;
    this.#redis.disconnect();
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      try {
        const value = await this.#redis.incr(this.key);
        this.answered += 1;
        if (value <= this.#last) this.backwards += 1;
        this.#last = value;
      } catch (cause) {
        if (/^(CLUSTERDOWN|BUSY|ERR) not executed/.test(cause instanceof Error ? cause.message : "")) this.refused += 1;
        else this.unclear += 1;
      }
      // Without this a replica that is away would be asked in a loop that never lets timers run.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

test("answered increments are counted once, refused ones never, through three kills of the leader", async () => {
  const clients = cluster.replicas.flatMap(({ id, redis }) =>
    [1, 2, 3].map((copy) => new Counting(`${id}${copy}`, redis)),
  );
  const total = (): number => clients.reduce((sum, { answered }) => sum + answered, 0);

  for (let kill = 0; kill < 3; kill += 1) {
    const before = total();
    await passed(() => total() > before + 300);
    const leader = await cluster.leader();
    cluster.kill(leader.id);
    const after = total();
    await passed(() => total() > after + 300);
    await cluster.whole();
  }
  await Promise.all(clients.map((client) => client.stop()));

  const [first] = cluster.replicas;
  const [host = "", port = ""] = first?.redis.split(":") ?? [];
  const reader = new IoRedis({ host, port: Number(port) });
  for (const { key, answered, unclear, backwards } of clients) {
    const value = Number(await reader.get(key));
    expect(value, `${key}: ${answered} answered, ${unclear} unclear`).toBeGreaterThanOrEqual(answered);
    expect(value, `${key}: ${answered} answered, ${unclear} unclear`).toBeLessThanOrEqual(answered + unclear);
    expect(backwards).toBe(0);
  }
  reader.disconnect();
});

async function passed(condition: () => boolean): Promise<void> {
  const end = performance.now() + 30_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error("Waited 30 s in vain for answers");
    await new Promise((resolve) => setImmediate(resolve));
  }
}
