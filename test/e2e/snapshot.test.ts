/** A backup of a running cluster, and a new cluster from it: by the commands that an operator types. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { connect } from "../../src/node/create-client.js";
import { freePorts } from "../../test-support/ports.js";
import { kv } from "../../src/services/kv/index.js";
import { DevCluster, quorateMain, until } from "../../test-support/dev-cluster.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-snapshot-"));
const file = join(folder, "backup.snapshot");
const running: ChildProcess[] = [];

afterAll(() => {
  for (const child of running) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

const quorate = (...words: readonly string[]): string =>
  execFileSync(process.execPath, [quorateMain, ...words], { encoding: "utf8", stdio: "pipe", timeout: 60_000 });

function refused(...words: readonly string[]): string {
  try {
    quorate(...words);
  } catch (cause) {
    return String((cause as { stderr?: unknown }).stderr);
  }
  throw new Error(`quorate ${words.join(" ")} was not refused`);
}

test("a snapshot of a running cluster becomes a new one, with everything up to it and nothing behind it", async () => {
  const old = await DevCluster.start();
  try {
    const endpoints = ["--endpoints", old.replicas.map(({ http }) => http).join(",")];
    const client = await connect(kv, { endpoints: old.replicas.map((replica) => replica.client) });
    for (let at = 0; at < 200; at += 1) await client.set({ key: `key ${at}`, value: `value ${at}` });

    expect(refused("snapshot", "save", file, ...endpoints)).toContain("no certified checkpoint yet");
    expect(existsSync(file)).toBe(false);
    expect(quorate("checkpoint", ...endpoints)).toMatch(/^the checkpoint of entry \d+ is certified, \d+ bytes\n$/);
    expect(quorate("snapshot", "save", file, ...endpoints)).toMatch(/^saved .*: entry \d+ of kv version 1/);
    expect(quorate("snapshot", "verify", file)).toMatch(/^whole /);
    await client.set({ key: "late", value: "too late" });
    await client.$close();
  } finally {
    await old.stop();
  }
  const ports = (await freePorts(6)).map((port) => `127.0.0.1:${port}`);
  const ids = ["a", "b", "c"];
  const members = ids.flatMap((id, at) => ["--member", `${id}=${ports[at]},${ports[at + 3]}`]);
  for (const id of ids) {
    const place = ["--id", id, "--cluster-id", "restored", "--data", join(folder, id)];
    expect(quorate("snapshot", "restore", file, ...place, ...members)).toMatch(/^restored from /);
    running.push(spawn(process.execPath, [quorateMain, "start", ...place, ...members], { stdio: "ignore" }));
  }
  const client = await connect(kv, { endpoints: ports.slice(3) });
  await until("the restored cluster", async () => client.get("key 199").catch(() => undefined));

  expect(await client.get("key 0")).toMatchObject({ value: "value 0" });
  expect(await client.get("late")).toBeUndefined();
  await client.set({ key: "new", value: "goes on" });
  expect(await client.get("new")).toMatchObject({ value: "goes on" });
  await client.$close();
}, 120_000);

test("what is no whole snapshot is refused with the reason, and nothing is made of it", () => {
  const whole = readFileSync(file);
  const flipped = Buffer.from(whole);
  flipped[whole.length - 20] = (flipped[whole.length - 20] ?? 0) ^ 1;
  const wrong = {
    "cut off": [whole.subarray(0, whole.length - 1), "it ends early"],
    flipped: [flipped, "chunk 1 is damaged"],
    longer: [Buffer.concat([whole, Buffer.from([0])]), "it goes on behind its end"],
    text: [Buffer.from("hello, this is no snapshot"), "it is not a snapshot of quorate"],
    empty: [Buffer.alloc(0), "it ends early"],
  } as const;
  const target = join(folder, "never");
  for (const [name, [bytes, reason]] of Object.entries(wrong)) {
    const path = join(folder, name);
    writeFileSync(path, bytes);
    const place = ["--id", "x", "--cluster-id", "other", "--data", target, "--member", "x=127.0.0.1:1,127.0.0.1:2"];

    expect(refused("snapshot", "verify", path), name).toContain(reason);
    expect(refused("snapshot", "restore", path, ...place), name).toContain(reason);
    expect(existsSync(target), name).toBe(false);
  }
  const used = [
    "--id",
    "a",
    "--cluster-id",
    "restored",
    "--data",
    join(folder, "a"),
    "--member",
    "a=127.0.0.1:1,127.0.0.1:2",
  ];
  expect(refused("snapshot", "restore", file, ...used)).toMatch(/in use/);
}, 60_000);
