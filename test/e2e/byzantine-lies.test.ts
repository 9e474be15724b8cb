/** Four real processes, of which the first primary lies in each named way in turn: the others serve, and what it signed twice is kept. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { connect } from "../../src/node/create-client.js";
import { lies, twin } from "../../src/sim/lies.js";
import { DevCluster, until } from "../../test-support/dev-cluster.js";
import counters from "../../test-support/odd-machine.js";
import { quorate } from "../../test-support/places.js";
import { RespClient } from "../../test-support/resp-client.js";

const onTheWire = lies.filter((lie) => lie !== "corrupt-outputs");

test.each([...onTheWire, twin])("%s: what is acknowledged by one honest replica is read at the others", async (lie) => {
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
    if (lie === twin) {
      const isHeard = (name: string): boolean =>
        readFileSync(join(cluster.directory, "logs", `${name}.log`), "utf8").includes('"isConnected":true');
      await until("both to be heard", async () => isHeard("a") && isHeard("a-twin"));
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

test("corrupt-outputs: audits name the replica that computes something else, and no client that votes is misled", async () => {
  const machine = "test-support/odd-machine.ts";
  const cluster = await DevCluster.start([machine, "--faults", "byzantine", "--lie", "corrupt-outputs"]);
  try {
    const { clusterId } = (await statusOf(cluster, "b")) ?? {};
    const endpoints = cluster.replicas.map(({ client }) => client);
    const client = await connect(counters, {
      endpoints,
      clusterId: clusterId ?? "",
      faults: "byzantine",
      timeoutMs: 60_000,
    });
    let count = 0;
    const add = async (): Promise<void> => expect(await client.add({ name: "apples", by: 1 })).toBe((count += 1));
    await add();
    await until("it to be named", async () => {
      await add();
      const found = (await statusOf(cluster, "b"))?.audit.findings ?? [];
      return found.some(({ differing }) => differing.join() === "a") ? true : undefined;
    });
    const { out } = await quorate("audit", "--endpoints", cluster.replicas.map(({ http }) => http).join(","));
    expect(out.slice(out.indexOf("a differs from"))).toMatch(
      /first entry +\d+: outputs differ behind it\n +asked +.*add\(/,
    );
    // It is made again twice, differs each time, and is left out for good; the others go on.
    await until(
      "the end of it",
      async () => {
        await add();
        return (await statusOf(cluster, "a"))?.quarantine.state === "stopped" ? true : undefined;
      },
      120,
    );
    await add();
    expect((await statusOf(cluster, "b"))?.quarantine.state).toBe("sound");
    await client.$close();
  } finally {
    await cluster.stop();
  }
});

interface Status {
  readonly clusterId: string;
  readonly quarantine: { readonly state: string };
  readonly audit: { readonly findings: readonly { readonly differing: readonly string[] }[] };
}

async function statusOf(cluster: DevCluster, id: string): Promise<Status | undefined> {
  const http = cluster.replicas.find((replica) => replica.id === id)?.http ?? "";
  const answer = await fetch(`http://${http}/v1/status`, { signal: AbortSignal.timeout(1_000) }).catch(() => undefined);
  return answer === undefined ? undefined : ((await answer.json()) as Status);
}
