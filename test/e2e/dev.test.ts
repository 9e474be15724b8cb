/** `quorate dev` as its user sees it: real processes, their card, their death and return, and a wiped directory. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePorts } from "../../test-support/ports.js";
import { DevCluster, quorateMain, until, type CardReplica } from "../../test-support/dev-cluster.js";

const anyPorts = ["--redis-port", "0", "--http-port", "0", "--client-port", "0", "--peer-port", "0"];

function run(...args: readonly string[]) {
  return spawnSync(process.execPath, [quorateMain, ...args], { encoding: "utf8", timeout: 30_000 });
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const untilGone = (pids: readonly number[]) =>
  until("no process left", async () => (pids.some(isAlive) ? undefined : true));

async function post(http: string, path: string, body: unknown): Promise<unknown> {
  const response = await fetch(`http://${http}${path}`, { method: "POST", body: JSON.stringify(body) });
  return response.json();
}

describe("a cluster of three", () => {
  let cluster: DevCluster;

  beforeAll(async () => {
    cluster = await DevCluster.start();
  });

  afterAll(async () => {
    await cluster.stop();
  });

  test("has one leader, and every address on its card answers", async () => {
    expect(cluster.replicas.map(({ id }) => id)).toEqual(["a", "b", "c"]);
    expect(cluster.replicas.filter(({ role }) => role === "leader")).toHaveLength(1);
    await cluster.whole();
    for (const { http, pid } of cluster.replicas) {
      expect(await (await fetch(`http://${http}/livez`)).text()).toBe("ok\n");
      expect(await (await fetch(`http://${http}/v1/status`)).json()).toMatchObject({ pid, ready: true });
    }
  });

  test("keeps a write through the death of its leader, and starts the dead one again with a new process id", async () => {
    const [first] = cluster.replicas;
    expect(await post(first?.http ?? "", "/v1/commands/set", { key: "greeting", value: "hello" })).toHaveProperty(
      "index",
    );
    const leader = await cluster.leader();
    const before = cluster.pidOf(leader.id);

    cluster.kill(leader.id);
    await until("the restart", async () => (cluster.pidOf(leader.id) === before ? undefined : true));
    await cluster.whole();

    for (const { http } of cluster.replicas) {
      expect(await post(http, "/v1/queries/get", "greeting")).toMatchObject({ output: { value: "hello" } });
    }
  });

  test("is shown by status, and an unreachable replica is shown as such", async () => {
    const whole = run("status", "--data", cluster.directory);
    expect(whole.status).toBe(0);
    expect(whole.stdout).toMatch(/^a +\w+ .*ready$/m);

    const [port] = await freePorts(1);
    const nobody = `127.0.0.1:${port}`;
    const endpoints = [cluster.replicas[0]?.http, nobody].join(",");
    const partial = run("status", "--endpoints", endpoints, "-w", "json");
    expect(partial.status).toBe(1);
    expect(JSON.parse(partial.stdout)).toMatchObject({
      replicas: [{ id: "a" }, { endpoint: nobody, fault: "nobody listens" }],
    });
  });

  test("refuses a second cluster on its directory", () => {
    const second = run("dev", "--json", "--data", cluster.directory);

    expect(second.status).toBe(5);
    expect(second.stderr).toContain("Is another `quorate dev` running?");
  });

  // It overwrote the addresses of the cluster that ran, which then looked unreachable.
  test("is still found by status after a second cluster on its directory was refused for its locks", () => {
    const second = run("dev", "--data", cluster.directory, ...anyPorts);

    expect(second.status).toBe(3);
    expect(second.stderr).toContain("is in use by process");
    expect(second.stdout).not.toContain("in use");
    expect(run("status", "--data", cluster.directory).status).toBe(0);
  });
});

/** Runs `dev` until its card, hands the card over, and stops it by a signal; answers what it printed. */
async function session(
  directory: string,
  during: (card: readonly CardReplica[], events: object[]) => Promise<void>,
  flags: readonly string[] = [],
) {
  const child = spawn(process.execPath, [quorateMain, "dev", "--json", "--data", directory, ...anyPorts, ...flags], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const lines = createInterface({ input: child.stdout });
  const events: object[] = [];
  try {
    const card = await new Promise<readonly CardReplica[]>((resolve, reject) => {
      void exited.then((code) => reject(new Error(`dev ended with ${code}`)));
      lines.on("line", (line) => {
        const message = JSON.parse(line) as { replicas?: CardReplica[] };
        if (message.replicas === undefined) events.push(message);
        else resolve(message.replicas);
      });
    });
    await during(card, events);
    child.kill("SIGINT");
    expect(await exited).toBe(0);
    await untilGone(card.map(({ pid }) => pid));
  } finally {
    child.kill("SIGKILL");
  }
  return events;
}

describe("between runs", () => {
  const directory = mkdtempSync(join(tmpdir(), "quorate-dev-test-"));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test("data is kept, a stop leaves no process, and the last event says that it stopped", async () => {
    const first = await session(directory, async ([replica]) => {
      await post(replica?.http ?? "", "/v1/commands/set", { key: "kept", value: "yes" });
    });
    expect(first.at(-1)).toEqual({ event: "stopped" });

    await session(directory, async ([, replica]) => {
      expect(await post(replica?.http ?? "", "/v1/queries/get", "kept")).toMatchObject({ output: { value: "yes" } });
    });
  });

  test("a wiped replica is noticed and not started, and the others go on", async () => {
    rmSync(join(directory, "b"), { recursive: true });

    await session(directory, async (card, events) => {
      expect(events).toContainEqual({
        event: "refused",
        id: "b",
        message: expect.stringContaining("took part before") as string,
      });
      expect(card.find(({ id }) => id === "b")).toMatchObject({ role: "down" });
      expect(await post(card[2]?.http ?? "", "/v1/queries/get", "kept")).toMatchObject({ output: { value: "yes" } });
    });
    expect(existsSync(join(directory, "b"))).toBe(false);
  });

  test("two wiped replicas of three are refused with what to do", () => {
    rmSync(join(directory, "c"), { recursive: true });

    const result = run("dev", "--json", "--data", directory, ...anyPorts);

    expect(result.status).toBe(3);
    expect(result.stderr).toContain("took part before");
    expect(result.stderr).toContain("To start over");
  });

  test("another count of replicas, another machine and a damaged record are refused", () => {
    expect(run("dev", "--replicas", "5", "--data", directory).stderr).toContain("holds a cluster of 3");
    writeFileSync(join(directory, "other.mjs"), "export default {}");
    expect(run("dev", join(directory, "other.mjs"), "--data", directory).stderr).toContain("was written by kv");
    const record = join(directory, "cluster.json");
    writeFileSync(record, readFileSync(record, "utf8").slice(0, 20));
    expect(run("dev", "--data", directory)).toMatchObject({
      status: 3,
      stderr: expect.stringContaining("cluster.json") as string,
    });
  });
});

test("replicas stop by themselves when dev is killed, and an ephemeral cluster needs no directory", async () => {
  const child = spawn(process.execPath, [quorateMain, "dev", "--json", "--ephemeral", "--replicas", "1", ...anyPorts], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const line = await new Promise<string>((resolve) => createInterface({ input: child.stdout }).once("line", resolve));
  const { replicas, dataDir } = JSON.parse(line) as { replicas: CardReplica[]; dataDir: string };

  child.kill("SIGKILL");

  await untilGone(replicas.map(({ pid }) => pid));
  rmSync(dataDir, { recursive: true, force: true });
});

// Each process told it, twice, and the directory that it founded refused the corrected file under another name.
test("a machine that throws is told once, by its name and place, and founds no cluster", () => {
  const directory = mkdtempSync(join(tmpdir(), "quorate-dev-test-"));
  const path = join(directory, "broken.mjs");
  writeFileSync(path, '\nthrow new Error("no such table");');

  const result = run("dev", path, "--data", join(directory, "data"), ...anyPorts);

  expect(result.status).toBe(2);
  expect(result.stderr.split("no such table")).toHaveLength(2);
  expect(result.stderr).toContain(`Cannot load the machine ${path}`);
  expect(result.stderr).toContain("broken.mjs:2:7");
  expect(existsSync(join(directory, "data"))).toBe(false);
  rmSync(directory, { recursive: true });
});

test("--ephemeral and --data exclude each other", () => {
  expect(run("dev", "--ephemeral", "--data", "x")).toMatchObject({
    status: 2,
    stderr: expect.stringContaining("cannot be used with option '--data <dir>'") as string,
  });
});

test("a machine in TypeScript is run as it stands", async () => {
  const directory = mkdtempSync(join(tmpdir(), "quorate-dev-test-"));
  const bank = new URL("../../examples/01-bank/bank.ts", import.meta.url).pathname;
  await session(
    directory,
    async (card) => {
      const [first, second] = card;
      expect(first).not.toHaveProperty("redis");
      expect(
        await post(first?.http ?? "", "/v1/commands/deposit", { account: "ada", amount: { $bigint: "5" } }),
      ).toHaveProperty("index");
      expect(await post(second?.http ?? "", "/v1/queries/balance", "ada")).toMatchObject({ output: { $bigint: "5" } });
    },
    [bank],
  );
  rmSync(directory, { recursive: true, force: true });
});
