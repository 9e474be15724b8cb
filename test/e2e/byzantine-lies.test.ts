/** Four real processes, of which the first primary lies in each named way in turn: the others serve, and what it signed twice is kept. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { lies } from "../../src/sim/lies.js";
import { DevCluster, until } from "../../test-support/dev-cluster.js";
import { RespClient } from "../../test-support/resp-client.js";

test.each(lies)("%s: what is acknowledged by one honest replica is read at the others", async (lie) => {
  const cluster = await DevCluster.start(["--faults", "byzantine", "--lie", lie]);
  try {
    const [liar, ...honest] = cluster.replicas;
    expect(liar?.id).toBe("a");
    for (const [at, { redis }] of honest.entries()) {
      const client = await RespClient.connect(Number(redis.split(":")[1]));
      client.send("INCR count");
      expect(await client.read(`:${at + 1}\r\n`)).toBe(`:${at + 1}\r\n`);
      client.close();
    }
    if (lie === "equivocate") {
      const kept = (dataDir: string): readonly string[] =>
        existsSync(join(dataDir, "contradictions")) ? readdirSync(join(dataDir, "contradictions")) : [];
      const names = await until("evidence", async () => {
        const found = honest.flatMap(({ dataDir }) => kept(dataDir)).filter((name) => name.endsWith(".jsonl"));
        return found.length > 0 ? found : undefined;
      });
      expect(names.every((name) => name.startsWith("a-"))).toBe(true);
    }
  } finally {
    await cluster.stop();
  }
});
