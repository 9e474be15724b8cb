/** HTTP over a real cluster: retries with a key at any replica, limits, metrics (hazards C1, C4, N4). */
import { request } from "node:http";
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

const httpOf = (at: number): string => cluster.replicas[at]?.http ?? "";

async function post(at: number, path: string, body: string, headers: Record<string, string> = {}) {
  const response = await fetch(`http://${httpOf(at)}${path}`, { method: "POST", body, headers });
  return {
    status: response.status,
    body: (await response.json()) as Record<string, unknown>,
    headers: response.headers,
  };
}

test("a retry with the same key gets the first answer at any replica, another body is a conflict (C1)", async () => {
  const body = '{"key":"visits","by":1}';
  const key = { "Idempotency-Key": "visit-1" };

  const first = await post(0, "/v1/commands/increment", body, key);
  const retries = await Promise.all([0, 1, 2].map((at) => post(at, "/v1/commands/increment", body, key)));
  const other = await post(1, "/v1/commands/increment", '{"key":"visits","by":2}', key);
  const keyless = await post(2, "/v1/commands/increment", body);

  expect(first.status).toBe(200);
  for (const retry of retries) expect([retry.status, retry.body["output"]]).toEqual([200, first.body["output"]]);
  expect(Date.parse(first.headers.get("Idempotency-Expires") ?? "")).toBeGreaterThan(Date.now());
  expect([other.status, other.body["refused"]]).toEqual([409, "IDEMPOTENCY_CONFLICT"]);
  expect([first.body["output"], keyless.body["output"]]).toEqual([
    { value: { $bigint: "1" } },
    { value: { $bigint: "2" } },
  ]);
});

test("every replica answers reads of every level, each with the index and the age that it reflects", async () => {
  const { body: written } = await post(0, "/v1/commands/increment", '{"key":"read","by":1}');
  const index = Number(written["index"]);
  for (const asked of [
    "read=linearizable",
    "read=lease",
    `atLeast=${index}`,
    "maxStalenessMs=0",
    "maxStalenessMs=60000",
  ]) {
    for (const at of [0, 1, 2]) {
      const { status, body, headers } = await post(at, `/v1/queries/get?${asked}`, '"read"');

      expect([asked, status]).toEqual([asked, 200]);
      if (!asked.startsWith("max")) expect(Number(headers.get("Quorate-Index"))).toBeGreaterThanOrEqual(index);
      expect(Number(headers.get("Quorate-Age-Ms"))).toBe(body["ageMs"]);
    }
  }
  const local = await post(1, "/v1/queries/get?read=local", '"read"');

  expect(local.status).toBe(200);
  expect(local.body["ageMs"]).toBeLessThan(5_000);
});

test("a retry after the death of the leader gets the first answer", async () => {
  const key = { "Idempotency-Key": "visit-2" };
  const body = '{"key":"after-death","by":1}';
  const first = await post(0, "/v1/commands/increment", body, key);
  const leader = await cluster.leader();
  const other = cluster.replicas.findIndex(({ id }) => id !== leader.id);

  cluster.kill(leader.id);
  const retry = await post(other, "/v1/commands/increment", body, key);

  expect(retry.body["output"]).toEqual(first.body["output"]);
  await cluster.whole();
});

test("a query at any replica sees a command acknowledged at another", async () => {
  for (let count = 0; count < 20; count += 1) {
    const value = `value-${count}`;
    expect((await post(count % 3, "/v1/commands/set", JSON.stringify({ key: "seen", value }))).status).toBe(200);
    expect((await post((count + 1) % 3, "/v1/queries/get", '"seen"')).body["output"]).toMatchObject({ value });
  }
});

test("a body that goes on beyond the limit is cut off, however its length is told", async () => {
  const [host, port] = httpOf(0).split(":");
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const asked = request({ host, port, path: "/v1/commands/set", method: "POST" }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    asked.on("error", reject);
    for (let count = 0; count < 40; count += 1) asked.write("x".repeat(64 * 1024));
    asked.end();
  });

  expect(status).toBe(413);
});

test("metrics and status tell of the work that was done", async () => {
  const metrics = await (await fetch(`http://${httpOf(0)}/metrics`)).text();
  const valueOf = (name: string): number =>
    Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "m").exec(metrics)?.[1]);

  expect(valueOf("quorate_has_leader")).toBe(1);
  expect(valueOf("quorate_commands_executed_total")).toBeGreaterThan(20);
  expect(valueOf("quorate_disk_wal_fsyncs_total")).toBeGreaterThan(0);
  expect(valueOf("quorate_disk_wal_fsync_duration_seconds_count")).toBeGreaterThan(0);
  expect(await (await fetch(`http://${httpOf(0)}/readyz?verbose`)).text()).toMatch(/^\[\+\].* ok$/m);
  expect((await fetch(`http://${httpOf(0)}/debug/event-loop/reset`, { method: "POST" })).status).toBe(204);
});
