/**
 * Real replicas whose disks were wiped, put back to an older copy, or copied and started twice: each is noticed, says what to do, and comes
 * back as another by the command that it names.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { connect } from "../../src/node/create-client.js";
import { kv } from "../../src/services/kv/index.js";
import { quorateMain, until } from "../../test-support/dev-cluster.js";
import {
  endpointFlags,
  memberFlags,
  placesOf,
  quorate,
  statusOf,
  untilReady,
  type Place,
} from "../../test-support/places.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-rejoin-"));
const children: ChildProcess[] = [];

afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

interface Process {
  readonly child: ChildProcess;
  readonly log: () => string;
  readonly exited: Promise<number | null>;
}

const dataOf = (id: string): string => join(folder, id);

function start(place: Place, known: readonly Place[], how: readonly string[] = [], data = dataOf(place.id)): Process {
  const flags = [...memberFlags(place, known), "--cluster-id", "shop", "--data", data];
  const child = spawn(process.execPath, [quorateMain, "start", ...flags, ...how], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  children.push(child);
  let text = "";
  child.stderr.on("data", (bytes: Buffer) => void (text += bytes.toString()));
  return { child, log: () => text, exited: new Promise((resolve) => child.once("exit", resolve)) };
}

async function stop({ child, exited }: Process, signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
  child.kill(signal);
  await exited;
}

test("M8, M9, M10: wiped, put back, started twice", { timeout: 240_000 }, async () => {
  const places = await placesOf(["a", "b", "c", "a"]);
  const [a, b, c, elsewhere] = places;
  if (a === undefined || b === undefined || c === undefined || elsewhere === undefined) throw new Error("four places");
  const founders = [a, b, c];
  const endpoints = endpointFlags(founders);
  const first = start(a, founders, ["--bootstrap"]);
  start(b, founders, ["--bootstrap"]);
  let third = start(c, founders, ["--bootstrap"]);
  await untilReady(founders);
  const client = await connect(kv, { endpoints: [a.client, b.client], timeoutMs: 30_000 });
  const write = async (count: number): Promise<void> => {
    for (let at = 0; at < count; at += 1) await client.increment({ key: "count", by: 1 });
  };
  const untilLevel = async (): Promise<void> => {
    const { index } = await client.$detail.increment({ key: "count", by: 1 });
    await until("c has it", async () => (((await statusOf(c))?.lastIndex ?? 0) >= index ? true : undefined));
  };
  await client.set({ key: "count", value: "0" });

  // Wiped: it refuses, with the very command that helps.
  await write(10);
  await stop(third);
  rmSync(dataOf("c"), { recursive: true });
  const wiped = start(c, founders);
  expect(await wiped.exited).toBe(3);
  expect(wiped.log()).toContain("quorate member replace c, and start it with --join");
  third = start(c, founders, ["--join"]);
  expect(await quorate("member", "replace", "c", ...endpoints)).toMatchObject({ code: 0, out: /c votes/ });
  await untilReady(founders);

  // Put back to an older copy: its peers remember more of it. It steps aside, and does not start again.
  await stop(third);
  cpSync(dataOf("c"), dataOf("copy"), { recursive: true });
  third = start(c, founders);
  await untilReady(founders);
  await write(10);
  await untilLevel();
  await stop(third);
  rmSync(dataOf("c"), { recursive: true });
  cpSync(dataOf("copy"), dataOf("c"), { recursive: true });
  const old = start(c, founders);
  expect(await old.exited).toBe(4);
  expect(old.log()).toMatch(/Replica c (runs twice|has promised entry|runs on an older copy)/);
  const again = start(c, founders);
  expect(await again.exited).toBe(3);
  expect(again.log()).toContain("Erase it, run quorate member replace c, and start it with --join");
  rmSync(dataOf("c"), { recursive: true });
  third = start(c, founders, ["--join"]);
  expect(await quorate("member", "replace", "c", ...endpoints)).toMatchObject({ code: 0, out: /c votes/ });
  await untilReady(founders);

  // A copy that runs beside it elsewhere: nobody takes two for one, and the second is told.
  await stop(first, "SIGTERM");
  cpSync(dataOf("a"), dataOf("twin"), { recursive: true });
  start(a, founders);
  await untilReady(founders);
  const twin = start(elsewhere, [elsewhere, b, c], [], dataOf("twin"));
  expect(await twin.exited).toBe(4);
  expect(twin.log()).toContain("Replica a runs twice");
  await write(10);
  await untilLevel();
  expect(await client.get("count")).toMatchObject({ value: "32" });
  await client.$close();
});
