/**
 * A cluster of real processes whose members change while clients write: whatever was acknowledged is there once, on the members of the
 * end, none of which need be one of the beginning.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { connect } from "../../src/node/create-client.js";
import { kv } from "../../src/services/kv/index.js";
import { quorateMain, until } from "../../test-support/dev-cluster.js";
import {
  endpointFlags,
  flagOf,
  memberFlags,
  placesOf,
  quorate,
  statusOf,
  untilReady,
  type Place,
} from "../../test-support/places.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-member-"));
const running = new Map<string, ChildProcess>();

afterAll(() => {
  for (const child of running.values()) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

function start(place: Place, known: readonly Place[], how: "--bootstrap" | "--join"): void {
  const flags = [...memberFlags(place, known), "--cluster-id", "shop", "--data", join(folder, place.id), how];
  const child = spawn(process.execPath, [quorateMain, "start", ...flags], { stdio: "ignore" });
  running.set(place.id, child);
}

test("a cluster under writes gains d, loses a, and counts exactly", { timeout: 240_000 }, async () => {
  const places = await placesOf("abcd");
  const founders = places.slice(0, 3);
  const [a, b, c, d] = places;
  if (a === undefined || b === undefined || c === undefined || d === undefined) throw new Error("four places");
  for (const place of founders) start(place, founders, "--bootstrap");
  await untilReady(founders);
  const client = await connect(kv, { endpoints: [b.client, c.client], timeoutMs: 30_000 });
  await client.set({ key: "count", value: "0" });
  let acknowledged = 0;
  let isStopping = false;
  const writers = Array.from({ length: 4 }, async () => {
    while (!isStopping) {
      await client.increment({ key: "count", by: 1 });
      acknowledged += 1;
    }
  });
  const goOn = async (): Promise<void> => {
    const before = acknowledged;
    await until("writes", async () => (acknowledged > before + 100 ? true : undefined));
  };
  await goOn();

  start(d, [a, b, c, d], "--join");
  const added = await quorate("member", "add", flagOf(d), ...endpointFlags(founders));
  expect(added).toMatchObject({ code: 0, out: expect.stringContaining("d votes") });
  await goOn();
  expect(await quorate("member", "add", flagOf(d), ...endpointFlags(founders))).toMatchObject({ code: 1 });
  expect(await quorate("transfer", "a", ...endpointFlags([d]))).toMatchObject({ code: 0 });
  await goOn();
  // All or nothing: d is a member already.
  const twice = await quorate("member", "change", "--remove", "b", "--add", flagOf(d), ...endpointFlags([b, c, d]));
  expect(twice).toMatchObject({ code: 1, err: expect.stringContaining("it is a member already") });
  const removed = await quorate("member", "change", "--remove", "a", ...endpointFlags([b, c, d]));
  expect(removed).toMatchObject({ code: 0, out: "the members were changed\n" });
  await goOn();
  running.get("a")?.kill("SIGTERM");
  await untilReady([b, c, d]);
  await goOn();
  isStopping = true;
  await Promise.all(writers);

  const listed = (await quorate("member", "list", ...endpointFlags([b, c, d]))).out;
  expect(listed).toMatch(/^b .*\n(?:.*\n)*/m);
  expect(listed).not.toMatch(/^a /m);
  const ofD = await connect(kv, { endpoints: [d.client], timeoutMs: 30_000 });
  expect(await ofD.get("count")).toMatchObject({ value: String(acknowledged) });
  expect(acknowledged).toBeGreaterThan(100);
  await ofD.$close();
  await client.$close();

  // Started again with the founders' list: what the log says of the members counts, and it is the same everywhere.
  for (const id of "bcd") running.get(id)?.kill("SIGKILL");
  for (const place of [b, c]) start(place, founders, "--bootstrap");
  start(d, [a, b, c, d], "--join");
  await untilReady([b, c, d]);
  const statuses = await Promise.all([b, c, d].map(statusOf));
  for (const status of statuses) expect(status?.members.map(({ id }) => id).sort()).toEqual(["b", "c", "d"]);
});

test("a disk is wiped under writes, and its replica is replaced with one command", { timeout: 240_000 }, async () => {
  const places = await placesOf("pqr");
  const [p, q, r] = places;
  if (p === undefined || q === undefined || r === undefined) throw new Error("three places");
  for (const place of places) start(place, places, "--bootstrap");
  await untilReady(places);
  const client = await connect(kv, { endpoints: places.map((place) => place.client), timeoutMs: 60_000 });
  const failures: string[] = [];
  let acknowledged = 0;
  let isStopping = false;
  const writers = Array.from({ length: 4 }, async () => {
    while (!isStopping) {
      const result = await client.$try.increment({ key: "count", by: 1 });
      if (result.status === "ok") acknowledged += 1;
      else failures.push(result.status);
    }
  });
  const goOn = async (count: number): Promise<void> => {
    const before = acknowledged;
    await until("writes", async () => (acknowledged > before + count ? true : undefined));
  };
  await goOn(200);
  const old = running.get("r");
  const gone = new Promise((resolve) => old?.once("exit", resolve));
  old?.kill("SIGKILL");
  await gone;
  rmSync(join(folder, "r"), { recursive: true });
  await goOn(200);

  start(r, places, "--join");
  const replaced = await quorate("member", "replace", flagOf(r), ...endpointFlags([p, q]));
  expect(replaced).toMatchObject({ code: 0, out: expect.stringContaining("r votes") });
  await untilReady(places);
  await goOn(200);
  // It counts: without another one, the two decide.
  running.get("q")?.kill("SIGKILL");
  await goOn(200);
  isStopping = true;
  await Promise.all(writers);

  expect(failures).toEqual([]);
  const ofR = await connect(kv, { endpoints: [r.client], timeoutMs: 30_000 });
  expect(await ofR.get("count")).toMatchObject({ value: String(acknowledged) });
  await ofR.$close();
  await client.$close();
});

test("a leader that is stopped hands over first", { timeout: 60_000 }, async () => {
  const places = await placesOf("xyz");
  for (const place of places) start(place, places, "--bootstrap");
  await untilReady(places);
  const leader = await leaderOf(places);
  const others = places.filter(({ id }) => id !== leader.id);
  const child = running.get(leader.id);

  const exited = new Promise<number | null>((resolve) => child?.once("exit", resolve));
  child?.kill("SIGTERM");
  expect(await exited).toBe(0);

  // It did not wait to be noticed: another leads already, in the very next term.
  const next = await Promise.all(others.map(statusOf));
  expect(next.some((status) => status?.leader !== undefined && status.leader !== leader.id)).toBe(true);
});

const leaderOf = (places: readonly Place[]): Promise<Place> =>
  until("a leader", async () => {
    const leader = (await statusOf(places[0] ?? { id: "", peer: "", client: "", http: "" }))?.leader;
    return places.find(({ id }) => id === leader);
  });
