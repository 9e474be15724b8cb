/** With `faults: "value"` a client is never told what one replica alone has: neither a wrong count, nor by a leader. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { startReplica } from "quorate/server";
import { connect } from "quorate/client";
import { defaultLimits } from "../../src/api/config.js";
import type { Replica } from "../../src/api/replica.js";
import { freePorts } from "../../test-support/ports.js";
import { until } from "../../test-support/dev-cluster.js";
import { counterWrongAt, rightCounter } from "../../test-support/faulty-machine.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-votes-"));
const running: Replica[] = [];
afterAll(async () => {
  await Promise.all(running.map((replica) => replica.stop()));
  rmSync(folder, { recursive: true, force: true });
});

/** b computes wrongly at its command `wrongAt`, and leads. */
async function startAll(name: string, wrongAt: number): Promise<readonly Replica[]> {
  const ports = (await freePorts(6)).map((port) => `127.0.0.1:${port}`);
  const members = ["a", "b", "c"].map((id, at) => {
    const [peer = "", client = ""] = ports.slice(2 * at);
    return { id, role: "voter" as const, incarnation: 1, peer, client };
  });
  const audit = { ...defaultLimits.audit, everyMs: 200 };
  const storage = { ...defaultLimits.storage, segmentBytes: 2 * 1024 * 1024, reserveBytes: 1024 * 1024 };
  const limits = { ...defaultLimits, audit, storage };
  const started = await Promise.all(
    members.map(({ id }) =>
      startReplica(counterWrongAt(id === "b" ? wrongAt : undefined), {
        ...{ id, clusterId: name, members, bootstrap: true, limits, dataDir: join(folder, `${name}-${id}`) },
      }),
    ),
  );
  running.push(...started);
  const [, b] = started;
  await until("b to lead", async () => {
    if (b?.status().role === "leader" && started.every((replica) => replica.status().ready)) return true;
    await Promise.all(started.map((replica) => replica.transferLeadership("b").catch(() => undefined)));
    return undefined;
  });
  return started;
}

const endpointsOf = ([replica]: readonly Replica[]): readonly string[] =>
  (replica?.status().members ?? []).map(({ client }) => client);

test(
  "the leader computes wrongly: whoever votes is told what the others have, at once",
  { timeout: 120_000 },
  async () => {
    const wrongAt = 30;
    const replicas = await startAll("voted", wrongAt);
    const [a, b] = replicas;
    const [, wrong = ""] = endpointsOf(replicas);
    const client = await connect(rightCounter, {
      endpoints: endpointsOf(replicas),
      faults: "value",
      timeoutMs: 60_000,
    });
    const counts: number[] = [];
    while (counts.length < wrongAt + 20) counts.push(await client.add({ by: 1 }));

    expect(counts).toEqual(counts.map((_, at) => at + 1));
    const { votes } = client.$status();
    expect(votes?.outvoted).toBeGreaterThanOrEqual(1);
    expect(Object.keys(votes?.dissents ?? {})).toEqual([wrong]);
    // Its outputs are compared by audits, so it is named as well, and made right.
    await until("b to be healed", async () => {
      const { count, state } = b?.status().quarantine ?? {};
      return count === 1 && state === "sound" ? true : undefined;
    });
    expect(a?.status().audit.findings.map(({ kind, differing }) => [kind, differing])).toEqual([["named", ["b"]]]);
    expect(await client.add({ by: 1 })).toBe(counts.length + 1);
    await client.$close();
  },
);

test(
  "with too few replicas left to agree nothing is believed, and the outcome is unknown",
  { timeout: 120_000 },
  async () => {
    const [a, b, c] = await startAll("few", Infinity);
    if (a === undefined || b === undefined || c === undefined) throw new Error("three replicas");
    const client = await connect(rightCounter, { endpoints: endpointsOf([a]), faults: "value", timeoutMs: 60_000 });
    expect(await client.add({ by: 1 })).toBe(1);
    await a.stop();
    expect(await client.add({ by: 1 })).toBe(2);
    await c.stop();

    expect(await client.$try.add({ by: 1 }, { timeoutMs: 1_500 })).toMatchObject({ status: "unknown" });
    await client.$close();
  },
);

test("fewer than three endpoints cannot vote", async () => {
  const options = { endpoints: ["127.0.0.1:1", "127.0.0.1:2"], faults: "value" } as const;
  await expect(connect(rightCounter, options)).rejects.toThrow("give the endpoints of all replicas, three or more");
});
