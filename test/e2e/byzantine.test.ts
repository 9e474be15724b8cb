/** `quorate dev --faults byzantine`: four real processes that order by PBFT, and go on without one of them, whichever it is. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DevCluster, quorateMain, until, type CardReplica } from "../../test-support/dev-cluster.js";
import { RespClient } from "../../test-support/resp-client.js";

let cluster: DevCluster;

beforeAll(async () => {
  cluster = await DevCluster.start(["--faults", "byzantine"]);
});

afterAll(async () => {
  await cluster.stop();
});

async function ask(replica: CardReplica, line: string, answer: string): Promise<void> {
  const client = await RespClient.connect(Number(replica.redis.split(":")[1]));
  try {
    client.send(line);
    expect(await client.read(answer)).toBe(answer);
  } finally {
    client.close();
  }
}

function replicaOf(id: string): CardReplica {
  return cluster.replicas.find((replica) => replica.id === id) ?? expect.fail(`no replica ${id}`);
}

test("what one replica has acknowledged is read at another, also after the primary was killed and is back", async () => {
  expect(cluster.replicas).toHaveLength(4);
  await ask(replicaOf("b"), "SET greeting hello", "+OK\r\n");
  await ask(replicaOf("c"), "GET greeting", "$5\r\nhello\r\n");

  const before = cluster.pidOf("a");
  cluster.kill("a");
  await ask(replicaOf("b"), "INCR count", ":1\r\n");
  await ask(replicaOf("d"), "INCR count", ":2\r\n");
  await until("the killed replica", async () => (cluster.pidOf("a") === before ? undefined : true));
  await ask(replicaOf("a"), "GET count", "$1\r\n2\r\n");
});

test("a cluster stays what it was made for", async () => {
  const args = [quorateMain, "dev", "--data", cluster.directory, "--faults", "crash"];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (bytes: Buffer) => (said += bytes.toString()));
  const [code] = (await once(child, "exit")) as [number];

  expect(said).toContain("was made for byzantine faults");
  expect(code).toBe(2);
});
