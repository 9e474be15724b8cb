/** A program is told that replicas differ, on every replica, wherever their engines run; and the one that differs is healed. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { startReplica } from "quorate/server";
import { defaultLimits, enginePlaces, type EnginePlace } from "../../src/api/config.js";
import type { DivergenceReport, Replica } from "../../src/api/replica.js";
import { connect } from "../../src/node/create-client.js";
import { freePorts } from "../../test-support/ports.js";
import { until } from "../../test-support/dev-cluster.js";
import { counterWrongAt, rightCounter } from "../../test-support/faulty-machine.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-divergence-"));
const running: Replica[] = [];
afterAll(async () => {
  await Promise.all(running.map((replica) => replica.stop()));
  rmSync(folder, { recursive: true, force: true });
});

const wrongAt = 40;

/** b computes wrongly at its command `wrongAt`. */
async function startAll(engine: EnginePlace): Promise<readonly Replica[]> {
  const ports = (await freePorts(6)).map((port) => `127.0.0.1:${port}`);
  const members = ["a", "b", "c"].map((id, at) => {
    const [peer = "", client = ""] = ports.slice(2 * at);
    return { id, role: "voter" as const, incarnation: 1, peer, client };
  });
  const audit = { ...defaultLimits.audit, everyMs: 200 };
  const storage = { ...defaultLimits.storage, segmentBytes: 2 * 1024 * 1024, reserveBytes: 1024 * 1024 };
  const options = {
    clusterId: engine,
    members,
    bootstrap: true,
    limits: { ...defaultLimits, audit, storage },
  };
  const started = await Promise.all(
    members.map(({ id }) =>
      startReplica(counterWrongAt(id === "b" ? wrongAt : undefined), {
        ...options,
        id,
        engine,
        dataDir: join(folder, `${engine}-${id}`),
      }),
    ),
  );
  running.push(...started);
  return started;
}

const clientOf = (replica: Replica): string =>
  replica.status().members.find(({ id }) => id === replica.status().id)?.client ?? "";

test.each(enginePlaces)("with the engine %s", { timeout: 120_000 }, async (engine) => {
  const replicas = await startAll(engine);
  const [a, b, c] = replicas;
  if (a === undefined || b === undefined || c === undefined) throw new Error("three replicas");
  const told = new Map<Replica, DivergenceReport[]>(replicas.map((replica) => [replica, []]));
  const unheard: DivergenceReport[] = [];
  const unhear = (report: DivergenceReport): void => void unheard.push(report);
  for (const [replica, reports] of told) replica.on("divergence", (report) => void reports.push(report));
  a.on("divergence", unhear);
  a.off("divergence", unhear);
  const client = await connect(rightCounter, { endpoints: [a, c].map(clientOf), timeoutMs: 60_000 });
  let count = 0;
  const add = async (): Promise<void> => {
    count += 1;
    await client.add({ by: 1 });
  };
  while (count < wrongAt - 5) await add();
  // By an instruction: one that it takes behind the wrong command could tell it before the others do.
  await a.checkpoint();
  await until("a certified checkpoint", async () => (b.status().checkpoint.certifiedIndex > 0 ? true : undefined));
  while (count < wrongAt + 5) await add();
  await until("every program to be told", async () =>
    replicas.every((replica) => (told.get(replica)?.length ?? 0) > 0) ? true : undefined,
  );
  const healed = await until("the end of its quarantine", async () => {
    const { quarantine } = b.status();
    return quarantine.count > 0 && quarantine.state === "sound" ? quarantine : undefined;
  });
  await add();

  const expected = { kind: "named", agreeing: ["a", "c"], differing: ["b"] };
  for (const reports of told.values()) expect(reports).toEqual([expect.objectContaining(expected)]);
  expect(unheard).toEqual([]);
  expect(healed).toMatchObject({ count: 1 });
  expect(healed.rebuiltFrom).toBeGreaterThan(0);
  await client.$close();
  const there = await connect(rightCounter, { endpoints: [clientOf(b)], timeoutMs: 60_000 });
  expect(await there.count(undefined)).toBe(count);
  await there.$close();
});
