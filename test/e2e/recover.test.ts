/**
 * A cluster of real processes loses a majority for good, and the survivors go on by the commands that an operator types: what they had is
 * there, what is printed as gone is gone, and a replica that was lost and comes back can speak with nobody.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, expect, test } from "vitest";
import { connect } from "../../src/node/create-client.js";
import { kv } from "../../src/services/kv/index.js";
import { quorateMain, until } from "../../test-support/dev-cluster.js";
import { flagOf, memberFlags, placesOf, quorate, statusOf, untilReady, type Place } from "../../test-support/places.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-recover-"));
const running = new Map<string, { readonly child: ChildProcess; readonly log: () => string }>();

afterAll(() => {
  for (const { child } of running.values()) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

const dataOf = ({ id }: Place): string => join(folder, id);

function startFlags(place: Place, known: readonly Place[], clusterId: string): string[] {
  return ["start", ...memberFlags(place, known), "--cluster-id", clusterId, "--data", dataOf(place)];
}

function start(place: Place, known: readonly Place[], clusterId: string, how: readonly string[] = []): void {
  const child = spawn(process.execPath, [quorateMain, ...startFlags(place, known, clusterId), ...how], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let text = "";
  child.stderr.on("data", (bytes: Buffer) => void (text += bytes.toString()));
  running.set(place.id, { child, log: () => text });
}

async function stop(places: readonly Place[], signal: NodeJS.Signals): Promise<void> {
  const exits = places.map(({ id }) => {
    const child = running.get(id)?.child;
    const exited = new Promise((resolve) => child?.once("exit", resolve));
    child?.kill(signal);
    return exited;
  });
  await Promise.all(exits);
}

test("three of five are lost: the two others go on, and say what may be gone", { timeout: 240_000 }, async () => {
  const places = await placesOf("abcdef");
  const [a, b, c, d, e, f] = places;
  if (a === undefined || b === undefined || c === undefined) throw new Error("six places");
  if (d === undefined || e === undefined || f === undefined) throw new Error("six places");
  const founders = [a, b, c, d, e];
  for (const place of founders) start(place, founders, "shop", ["--bootstrap"]);
  await untilReady(founders);
  const client = await connect(kv, { endpoints: [c.client, d.client, e.client], timeoutMs: 30_000 });
  for (let at = 0; at < 50; at += 1) await client.set({ key: `early ${at}`, value: "kept" });
  const certified = await quorate("checkpoint", "--endpoints", founders.map(({ http }) => http).join(","));
  const checkpoint = Number(/checkpoint of entry (\d+) is certified/.exec(certified.out)?.[1]);
  const early = (await client.$detail.set({ key: "last early", value: "kept" })).index;
  await until("a and b have it", async () => {
    const statuses = await Promise.all([a, b].map(statusOf));
    return statuses.every((status) => (status?.lastIndex ?? 0) >= early) ? true : undefined;
  });

  expect(await quorate("recover", "--data", dataOf(a))).toMatchObject({
    code: 3,
    err: expect.stringContaining("in use"),
  });
  await stop([a, b], "SIGTERM");
  const late = (await client.$detail.set({ key: "late", value: "gone" })).index;
  await client.$close();

  // A majority lives: whatever is asked, nothing is done.
  const both = ["--data", dataOf(a), "--data", dataOf(b), "--cluster-id", "shop-2"];
  await stop([d, e], "SIGKILL");
  const withC = await quorate("recover", ...both, "--accept-loss");
  expect(withC).toMatchObject({
    code: 1,
    out: "",
    err: expect.stringMatching(/c at .* answers, and a, b, c are a majority/),
  });
  running.get("c")?.child.kill("SIGSTOP");
  const withStoppedC = await quorate("recover", ...both, "--accept-loss");
  expect(withStoppedC).toMatchObject({ code: 1, err: expect.stringContaining("a, b, c are a majority") });
  await stop([c], "SIGKILL");
  const three = ["--data", dataOf(c), ...both, "--accept-loss"];
  expect(await quorate("recover", ...three)).toMatchObject({ code: 1, err: expect.stringContaining("are a majority") });

  for (const lost of [d, e]) rmSync(dataOf(lost), { recursive: true });
  const would = await quorate("recover", ...both);
  expect(would).toMatchObject({ code: 0, err: expect.stringContaining("Nothing was changed") });
  expect(await quorate("recover", ...both, "--cluster-id", "shop", "--accept-loss")).toMatchObject({ code: 1 });

  // Each on its own machine: reports travel.
  const reports = [a, b].map((place) => `${dataOf(place)}.report`);
  for (const [at, place] of [a, b].entries()) {
    writeFileSync(reports[at] ?? "", (await quorate("recover", "--data", dataOf(place), "--json")).out);
  }
  const flags = [...reports.flatMap((path) => ["--report", path]), "--cluster-id", "shop-2", "--accept-loss", "--json"];
  const onB = await quorate("recover", "--data", dataOf(b), ...flags);
  const onA = await quorate("recover", "--data", dataOf(a), ...flags);
  expect(onA).toEqual(onB);
  expect(onA.code).toBe(0);
  const said = JSON.parse(onA.out) as {
    readonly gone: { readonly from: number };
    readonly lost: readonly Place[];
    readonly uncertain: { readonly from: number } | null;
  };
  // Each noted what was committed when it lost the others.
  expect(said.uncertain?.from ?? Infinity).toBeGreaterThan(checkpoint);
  expect(said.lost.map(({ id }) => id)).toEqual(["c", "d", "e"]);
  expect(said.gone.from).toBeGreaterThan(early);
  expect(said.gone.from).toBeLessThanOrEqual(late);
  // Once more, as after a crash: nothing is done twice.
  expect(await quorate("recover", "--data", dataOf(a), ...flags)).toEqual(onA);

  expect(await quorate(...startFlags(a, founders, "shop"))).toMatchObject({ code: 3 });
  for (const place of [a, b]) start(place, founders, "shop-2");
  await untilReady([a, b]);
  const again = await connect(kv, { endpoints: [a.client, b.client], timeoutMs: 30_000 });
  expect(await again.get("last early")).toMatchObject({ value: "kept" });
  expect(await again.get("early 49")).toMatchObject({ value: "kept" });
  expect(await again.get("late")).toBeUndefined();
  await again.set({ key: "new", value: "there" });

  // c comes back with its old disk: nobody speaks with it, and it leads nobody.
  start(c, founders, "shop");
  await until("c is told", async () => (/cluster shop-2/.test(running.get("c")?.log() ?? "") ? true : undefined));
  expect((await statusOf(c))?.leader).toBeUndefined();
  const told = /replica c belongs to cluster shop\./;
  await until("the others are told", async () =>
    [a, b].some(({ id }) => told.test(running.get(id)?.log() ?? "")) ? true : undefined,
  );

  start(f, [a, b, f], "shop-2", ["--join"]);
  const added = await quorate("member", "add", flagOf(f), "--endpoints", `${a.http},${b.http}`);
  expect(added).toMatchObject({ code: 0, out: expect.stringContaining("f votes") });
  const ofF = await connect(kv, { endpoints: [f.client], timeoutMs: 30_000 });
  expect(await ofF.get("new")).toMatchObject({ value: "there" });
  for (const place of [a, b, f]) {
    expect((await statusOf(place))?.members.map(({ id }) => id).sort()).toEqual(["a", "b", "f"]);
  }
  await ofF.$close();
  await again.$close();
});

/** Runs `quorate dev` until its card is printed. */
async function dev(...flags: readonly string[]): Promise<{ readonly ids: readonly string[]; readonly http: string }> {
  const child = spawn(process.execPath, [quorateMain, "dev", "--json", "--data", join(folder, "dev"), ...flags], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let err = "";
  child.stderr.on("data", (bytes: Buffer) => void (err += bytes.toString()));
  running.set("dev", { child, log: () => err });
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (text) => text.includes('"replicas"') && resolve(text));
    child.once("exit", (code) => reject(new Error(`dev ended with ${code}: ${err}`)));
  });
  const { replicas } = JSON.parse(line) as {
    readonly replicas: readonly { readonly id: string; readonly http: string }[];
  };
  return { ids: replicas.map(({ id }) => id), http: replicas[0]?.http ?? "" };
}

async function stopDev(): Promise<void> {
  const child = running.get("dev")?.child;
  const exited = new Promise((resolve) => child?.once("exit", resolve));
  child?.kill("SIGTERM");
  await exited;
}

test("a local cluster that was recovered goes on with its survivors", { timeout: 240_000 }, async () => {
  const post = async (http: string, path: string, body: unknown): Promise<unknown> => {
    const response = await fetch(`http://${http}${path}`, { method: "POST", body: JSON.stringify(body) });
    return response.json();
  };
  const ports = ["redis", "http", "client", "peer"].flatMap((kind) => [`--${kind}-port`, "0"]);
  const founded = await dev("--replicas", "5", ...ports);
  expect(founded.ids).toEqual(["a", "b", "c", "d", "e"]);
  expect(await post(founded.http, "/v1/commands/set", { key: "kept", value: "yes" })).toHaveProperty("index");
  await stopDev();
  for (const id of ["a", "c", "d"]) rmSync(join(folder, "dev", id), { recursive: true });

  const directories = ["b", "e"].map((id) => join(folder, "dev", id));
  const first = ["--data", directories[0] ?? "", "--report", join(folder, "e.report")];
  const report = await quorate("recover", "--data", directories[1] ?? "", "--json");
  writeFileSync(join(folder, "e.report"), report.out);
  expect(await quorate("recover", ...first, "--cluster-id", "local-2", "--accept-loss")).toMatchObject({ code: 0 });
  await expect(dev()).rejects.toThrow("its recovery as local-2 was not done for e. Finish it: quorate recover --data");
  const all = directories.flatMap((path) => ["--data", path]);
  expect(await quorate("recover", ...all, "--cluster-id", "local-2", "--accept-loss")).toMatchObject({ code: 0 });

  const after = await dev();
  expect(after.ids).toEqual(["b", "e"]);
  expect(await post(after.http, "/v1/queries/get", "kept")).toMatchObject({ output: { value: "yes" } });
  expect(await post(after.http, "/v1/commands/set", { key: "new", value: "too" })).toHaveProperty("index");
  await stopDev();
  // What was written down stays so: it is started again like any other.
  const again = await dev();
  expect(again.ids).toEqual(["b", "e"]);
  expect(await post(again.http, "/v1/queries/get", "new")).toMatchObject({ output: { value: "too" } });
  await stopDev();
});
