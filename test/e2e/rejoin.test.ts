/**
 * Real replicas whose disks were wiped, put back to an older copy, or copied and started twice: each is noticed, says what to do, and comes
 * back as another by the command that it names.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { connect } from "../../src/node/create-client.js";
import { choosePorts } from "../../src/server/free-ports.js";
import { kv } from "../../src/services/kv/index.js";
import { quorateMain, until } from "../../test-support/dev-cluster.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-rejoin-"));
const children: ChildProcess[] = [];

afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

interface Place {
  readonly id: string;
  readonly peer: string;
  readonly client: string;
  readonly http: string;
}

interface Process {
  readonly child: ChildProcess;
  readonly log: () => string;
  readonly exited: Promise<number | null>;
}

async function placesOf(ids: readonly string[]): Promise<readonly Place[]> {
  const ports = await choosePorts(0, ids.length * 3, new Set());
  return ids.map((id, at) => {
    const [peer, client, http] = [0, 1, 2].map((kind) => `127.0.0.1:${ports[at * 3 + kind]}`);
    return { id, peer: peer ?? "", client: client ?? "", http: http ?? "" };
  });
}

const dataOf = (id: string): string => join(folder, id);
const flagOf = ({ id, peer, client }: Place): string => `${id}=${peer},${client}`;

function start(place: Place, known: readonly Place[], how: readonly string[] = [], data = dataOf(place.id)): Process {
  const members = known.flatMap((each) => ["--member", flagOf(each)]);
  const flags = ["--id", place.id, "--cluster-id", "shop", "--data", data, "--listen-http", place.http];
  const child = spawn(process.execPath, [quorateMain, "start", ...flags, ...members, ...how], {
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

function quorate(...words: readonly string[]): Promise<{ readonly code: number; readonly text: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [quorateMain, ...words], { timeout: 90_000 }, (failure, out, err) => {
      resolve({ code: failure === null ? 0 : Number(failure.code), text: out + err });
    });
  });
}

interface Status {
  readonly ready: boolean;
  readonly lastIndex: number;
}

async function statusOf({ http }: Place): Promise<Status | undefined> {
  const answer = await fetch(`http://${http}/v1/status`, { signal: AbortSignal.timeout(1000) }).catch(() => undefined);
  return answer === undefined ? undefined : ((await answer.json()) as Status);
}

const untilReady = (places: readonly Place[]): Promise<boolean> =>
  until("every replica is ready", async () => {
    const statuses = await Promise.all(places.map(statusOf));
    return statuses.every((status) => status?.ready === true) ? true : undefined;
  });

test("M8, M9, M10: wiped, put back, started twice", { timeout: 240_000 }, async () => {
  const places = await placesOf(["a", "b", "c", "a"]);
  const [a, b, c, elsewhere] = places;
  if (a === undefined || b === undefined || c === undefined || elsewhere === undefined) throw new Error("four places");
  const founders = [a, b, c];
  const endpoints = ["--endpoints", founders.map(({ http }) => http).join(",")];
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
  expect(await quorate("member", "replace", "c", ...endpoints)).toMatchObject({ code: 0, text: /c votes/ });
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
  expect(await quorate("member", "replace", "c", ...endpoints)).toMatchObject({ code: 0, text: /c votes/ });
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
