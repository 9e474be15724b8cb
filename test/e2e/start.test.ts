/** `quorate start` as a supervisor sees it: exit codes, signals, refusals, and a log that nobody reads. */
import { execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, describe, expect, test } from "vitest";
import type { ReplicaStatus } from "../../src/api/replica.js";
import { freePorts } from "../../test-support/ports.js";
import { quorateMain, until } from "../../test-support/dev-cluster.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-start-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Flags of a cluster of one, in a directory of its own. */
async function solo(name: string): Promise<readonly string[]> {
  const [peer, client] = await freePorts(2);
  return [
    ...["--id", "a", "--cluster-id", "solo", "--data", join(folder, name)],
    ...["--member", `a=127.0.0.1:${peer},127.0.0.1:${client}`, "--listen-http", "127.0.0.1:0"],
  ];
}

function run(flags: readonly string[], environment: Record<string, string> = {}) {
  return spawnSync(process.execPath, [quorateMain, ...flags], {
    encoding: "utf8",
    timeout: 20_000,
    env: { ...process.env, ...environment },
  });
}

interface Started {
  readonly child: ChildProcess;
  readonly http: string;
  readonly log: readonly Record<string, unknown>[];
  readonly exited: Promise<number | null>;
}

const start = (flags: readonly string[]): Promise<Started> => startBy([process.execPath], flags);

/** `by` is what runs the script: Node, or a shell that becomes Node. */
async function startBy([command = "", ...before]: readonly string[], flags: readonly string[]): Promise<Started> {
  const child = spawn(command, [...before, quorateMain, "start", ...flags], { stdio: ["ignore", "ignore", "pipe"] });
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const log: Record<string, unknown>[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => log.push(JSON.parse(line) as Record<string, unknown>));
  const http = await until("listening", async () => {
    if (child.exitCode !== null) throw new Error(JSON.stringify(log));
    return log.find(({ msg }) => msg === "listening")?.["http"];
  });
  return { child, http: String(http), log, exited };
}

describe("a replica", () => {
  test("logs JSON, answers over HTTP, and ends with 0 after SIGTERM; started again it has everything", async () => {
    const flags = await solo("kept");
    const first = await start([...flags, "--bootstrap"]);
    const body = JSON.stringify({ key: "k", value: "v" });
    expect((await fetch(`http://${first.http}/v1/commands/set`, { method: "POST", body })).status).toBe(200);

    first.child.kill("SIGTERM");
    expect(await first.exited).toBe(0);
    expect(first.log.at(-1)).toMatchObject({ msg: "stopped", exitCode: 0 });

    const second = await start(flags);
    const answer = await fetch(`http://${second.http}/v1/queries/get`, { method: "POST", body: '"k"' });
    expect(await answer.json()).toMatchObject({ output: { value: "v" } });
    second.child.kill("SIGINT");
    expect(await second.exited).toBe(0);
  });

  test("goes on serving when nobody reads its log (L7)", async () => {
    const flags = await solo("unread");
    const [port] = await freePorts(1);
    const http = `127.0.0.1:${port}`;
    const logging = ["--log-level", "debug", "--log-buffer-bytes-max", "1000", "--bootstrap", "--listen-http", http];
    // stderr is a pipe whose other end is never read.
    const child = spawn(process.execPath, [quorateMain, "start", ...flags, ...logging], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    child.stderr.pause();
    try {
      await until("a ready replica", async () =>
        (await fetch(`http://${http}/readyz`).catch(() => undefined))?.status === 200 ? true : undefined,
      );
      // Each answer is a line at this level: together far more than the pipe and the buffer hold.
      const ask = async () => (await fetch(`http://${http}/v1/queries/get`, { method: "POST", body: '"k"' })).status;
      for (let count = 0; count < 200; count += 1) {
        expect(await Promise.all([ask(), ask(), ask(), ask(), ask()])).toEqual([200, 200, 200, 200, 200]);
      }
      const metrics = await (await fetch(`http://${http}/metrics`)).text();
      expect(Number(/^quorate_log_lines_dropped_total (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThan(0);
    } finally {
      child.kill("SIGKILL");
    }
  });
});

describe("one replica of three, alone", () => {
  test("is alive and not ready, answers no command, and a second signal ends its patience", async () => {
    const ports = await freePorts(6);
    const members = ["a", "b", "c"].flatMap((id, at) => [
      "--member",
      `${id}=127.0.0.1:${ports[2 * at]},127.0.0.1:${ports[2 * at + 1]}`,
    ]);
    const identity = ["--id", "a", "--cluster-id", "lost", "--data", join(folder, "lost"), "--bootstrap"];
    const limits = ["--http-call-ms-max", "60000", "--drain-ms-max", "60000"];
    const lost = await start([...identity, ...members, ...limits, "--listen-http", "127.0.0.1:0"]);
    expect((await fetch(`http://${lost.http}/livez`)).status).toBe(200);
    expect((await fetch(`http://${lost.http}/readyz`)).status).toBe(503);
    const body = '{"key":"k","value":"v"}';
    const asked = fetch(`http://${lost.http}/v1/commands/set`, { method: "POST", body }).then(
      ({ status }) => status,
      () => "no answer",
    );

    await until("the command waiting for a leader", async () => {
      const status = (await (await fetch(`http://${lost.http}/v1/status`)).json()) as ReplicaStatus;
      return status.counters.proposalsPending > 0 ? true : undefined;
    });
    const heard = () => lost.log.filter(({ msg }) => msg === "asked to stop").length;
    await until("the end", async () => {
      const before = heard();
      lost.child.kill("SIGTERM");
      await until("the signal to be heard", async () => lost.child.exitCode !== null || heard() > before || undefined);
      return lost.child.exitCode ?? undefined;
    });

    expect(await lost.exited).toBe(143);
    expect(["no answer", 503, 504]).toContain(await asked);
  });
});

describe("a disk that fails", () => {
  test("ends the replica with 4 and the reason, and nothing is acknowledged that was not written", async () => {
    const flags = [...(await solo("failing")), "--bootstrap"];
    // The signal of the limit is ignored, so a write beyond it fails as on a broken disk.
    const failing = await startBy(["bash", "-c", 'trap "" XFSZ; exec "$@"', "bash", process.execPath], flags);
    const set = async (value: string) => {
      const body = JSON.stringify({ key: "k", value });
      return fetch(`http://${failing.http}/v1/commands/set`, { method: "POST", body }).then(
        ({ status }) => status,
        () => "no answer",
      );
    };
    expect(await set("kept")).toBe(200);

    execFileSync("prlimit", ["--pid", String(failing.child.pid), "--fsize=16384"]);
    const answers = await Promise.all([set("x".repeat(100_000)), set("y".repeat(100_000))]);

    expect(answers).not.toContain(200);
    expect(await failing.exited).toBe(4);
    expect(failing.log.find(({ level }) => level === 60)).toMatchObject({
      reason: expect.stringMatching(/./) as string,
    });

    const again = await start(flags);
    const answer = await fetch(`http://${again.http}/v1/queries/get`, { method: "POST", body: '"k"' });
    expect(await answer.json()).toMatchObject({ output: { value: "kept" } });
    again.child.kill("SIGTERM");
    expect(await again.exited).toBe(0);
  });
});

describe("refusals, with their exit codes", () => {
  test("2: unknown flags, keys and verbs, missing options, and addresses that others could reach", async () => {
    const flags = await solo("open");
    expect(run(["start", "--levle", "x"])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("--levle") as string,
    });
    expect(run(["strat"])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("Did you mean start?") as string,
    });
    expect(run(["start"])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("replica.id is missing") as string,
    });
    expect(run(["start"], { QUORATE_REPLICA__DATADIR: "x" }).stderr).toContain(
      "Did you mean QUORATE_REPLICA__DATA_DIR?",
    );
    expect(run(["start", ...flags, "--listen-http", "0.0.0.0:0"])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("--insecure") as string,
    });
    const foreign = ["start", ...flags, "--bootstrap", "--member", "a=0.0.0.0:1,127.0.0.1:2"].filter(
      (flag) => !flag.startsWith("a=127"),
    );
    expect(
      run(foreign.filter((flag, at) => !(flag === "--member" && foreign[at + 1] === "--listen-http"))),
    ).toMatchObject({ status: 2 });
  });

  test("3: an empty directory without --bootstrap", async () => {
    const result = run(["start", ...(await solo("empty"))]);

    expect(result.status).toBe(3);
    expect(result.stderr).toMatch(/bootstrap/);
  });

  // Its data directory knew better, and the list that was given was silently not used.
  test("2: other members than its data directory remembers, told without a stack", async () => {
    const flags = await solo("members");
    const first = await start([...flags, "--bootstrap"]);
    first.child.kill("SIGTERM");
    expect(await first.exited).toBe(0);

    const result = run(["start", ...flags, "--member", "b=127.0.0.1:1,127.0.0.1:2"]);

    expect(result.status).toBe(2);
    expect(result.stderr).toContain("the members of its cluster are a, as");
    expect(result.stderr).not.toContain("    at ");
  });

  test("5: an address in use", async () => {
    const server = createServer();
    const port = await new Promise<number>((resolve) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });

    const result = run(["start", ...(await solo("taken")), "--bootstrap", "--listen-http", `127.0.0.1:${port}`]);

    expect(result.status).toBe(5);
    expect(result.stderr).toContain(`${port}`);
    server.close();
  });
});

// The refused one was a candidate for ever, and at the usual level its log said nothing.
test("a replica of another machine is told apart from a lonely one in the logs", async () => {
  const [peerA, clientA, peerB, clientB] = await freePorts(4);
  const flagsOf = (id: string, machine: string) => [
    ...["--id", id, "--cluster-id", "pair", "--data", join(folder, `pair-${id}`), "--bootstrap"],
    ...[
      "--member",
      `a=127.0.0.1:${peerA},127.0.0.1:${clientA}`,
      "--member",
      `b=127.0.0.1:${peerB},127.0.0.1:${clientB}`,
    ],
    ...["--listen-http", "127.0.0.1:0", "--machine", machine],
  ];
  const bank = new URL("../../examples/01-bank/bank.ts", import.meta.url).pathname;
  const replicas = [await start(flagsOf("a", "kv")), await start(flagsOf("b", bank))];

  for (const { log } of replicas) {
    const warning = await until("a warning", async () => log.find(({ level }) => level === 40));
    expect(warning).toMatchObject({
      reason: "WRONG_MACHINE",
      detail: "Asked for the machine kv, replica b runs bank.",
    });
  }

  for (const { child, exited } of replicas) {
    child.kill("SIGTERM");
    expect(await exited).toBe(0);
  }
});

describe("config show", () => {
  test("tells each value and where it comes from", () => {
    const file = join(folder, "a.toml");
    writeFileSync(file, '[replica]\nid = "a"\n\n[log]\nlevel = "warn"\n');

    const result = run(["config", "show", "--origin", "--config", file, "--cluster-id", "shop"], {
      QUORATE_LOG__LEVEL: "error",
    });

    expect(result.status).toBe(0);
    expect(result.stdout).toMatch(new RegExp(`^replica\\.id +a +${file}:2$`, "m"));
    expect(result.stdout).toMatch(/^replica\.clusterId +shop +--cluster-id$/m);
    expect(result.stdout).toMatch(/^log\.level +error +QUORATE_LOG__LEVEL$/m);
    expect(result.stdout).toMatch(/^http\.jsonDepthMax +64 +default$/m);
  });
});
