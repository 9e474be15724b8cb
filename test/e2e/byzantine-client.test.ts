/**
 * A client under Byzantine faults: it signs for itself, and believes what f + 1 replicas have. One of four computes wrongly; another door
 * is asked in the client's name by whoever is not the client.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "quorate/client";
import { startReplica } from "quorate/server";
import { afterAll, expect, test } from "vitest";
import { defaultLimits } from "../../src/api/config.js";
import type { Replica } from "../../src/api/replica.js";
import { newSigner } from "../../src/node/signatures.js";
import { freePorts } from "../../test-support/ports.js";
import { until } from "../../test-support/dev-cluster.js";
import { counterWrongAt, rightCounter } from "../../test-support/faulty-machine.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-byzantine-client-"));
const running: Replica[] = [];
afterAll(async () => {
  await Promise.all(running.map((replica) => replica.stop()));
  rmSync(folder, { recursive: true, force: true });
});

const ids = ["a", "b", "c", "d"] as const;

/** The primary computes wrongly at its command `wrongAt`. */
async function startAll(clusterId: string, wrongAt: number): Promise<readonly string[]> {
  const ports = (await freePorts(8)).map((port) => `127.0.0.1:${port}`);
  const members = ids.map((id, at) => {
    const [peer = "", client = ""] = ports.slice(2 * at);
    return { id, role: "voter" as const, incarnation: 1, peer, client };
  });
  const signers = new Map(ids.map((id) => [id, newSigner()]));
  const keys = new Map([...signers].map(([id, { publicKey }]) => [id, publicKey]));
  const storage = { ...defaultLimits.storage, segmentBytes: 2 * 1024 * 1024, reserveBytes: 1024 * 1024 };
  const limits = { ...defaultLimits, storage };
  const started = await Promise.all(
    members.map(({ id }, at) => {
      const [, signer] = [...signers][at] ?? [];
      if (signer === undefined) throw new Error("each has a key");
      return startReplica(counterWrongAt(id === "a" ? wrongAt : undefined), {
        ...{ id, clusterId, members, bootstrap: true, limits, dataDir: join(folder, `${clusterId}-${id}`) },
        byzantine: { signer, keys },
      });
    }),
  );
  running.push(...started);
  await until("all to be ready", () =>
    Promise.resolve(started.every((replica) => replica.status().ready) || undefined),
  );
  return members.map(({ client }) => client);
}

test("a client is told what the others have although the primary computes wrongly", { timeout: 120_000 }, async () => {
  const wrongAt = 10;
  const endpoints = await startAll("signed", wrongAt);
  const client = await connect(rightCounter, {
    endpoints,
    clusterId: "signed",
    faults: "byzantine",
    timeoutMs: 60_000,
  });
  const counts: number[] = [];
  while (counts.length < wrongAt + 10) counts.push(await client.add({ by: 1 }));

  expect(counts).toEqual(counts.map((_, at) => at + 1));
  expect(Object.keys(client.$status().votes?.dissents ?? {})).toEqual([endpoints[0]]);

  // What is signed for another cluster is signed for no replica of this one.
  await expect(
    connect(rightCounter, { endpoints, clusterId: "other", faults: "byzantine", connectTimeoutMs: 5_000 }),
  ).rejects.toMatchObject({ code: "WRONG_CLUSTER" });
  await client.$close();
});

test("what it takes to tell a lie from the truth is asked for", async () => {
  const endpoints = ["a:1", "b:1", "c:1", "d:1"];

  await expect(connect(rightCounter, { endpoints, faults: "byzantine" })).rejects.toThrow("give the clusterId");
  await expect(
    connect(rightCounter, { endpoints: endpoints.slice(1), clusterId: "x", faults: "byzantine" }),
  ).rejects.toThrow("four or more");
});
