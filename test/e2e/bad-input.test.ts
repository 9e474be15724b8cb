/** Whatever a port is sent, it answers clearly or hangs up, and the replicas go on serving. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";

import type { ReplicaStatus } from "../../src/api/replica.js";
import { randomStream, nextUint32 } from "../../src/base/random.js";
import { connect } from "../../src/node/create-client.js";
import { nodeHash } from "../../src/node/hash.js";
import { kv } from "../../src/services/kv/index.js";
import { FrameWriter } from "../../src/wire/frame.js";
import { encodeHandshake, noConfiguration, noDisk, protocolVersion, type Hello } from "../../src/wire/handshake.js";
import { DevCluster, quorateMain, until, type CardReplica } from "../../test-support/dev-cluster.js";

let cluster: DevCluster;
let first: CardReplica;

beforeAll(async () => {
  cluster = await DevCluster.start();
  const [replica] = cluster.replicas;
  if (replica === undefined) throw new Error("no replica");
  first = replica;
});

afterAll(async () => {
  await cluster.stop();
});

/** After each of these, a write through one replica is read through another, and no process was replaced. */
afterEach(async () => {
  const [, second, third] = cluster.replicas;
  const writer = await connect(kv, { endpoints: [second?.client ?? ""], timeoutMs: 10_000 });
  const reader = await connect(kv, { endpoints: [third?.client ?? ""], timeoutMs: 10_000 });
  await writer.set({ key: "alive", value: "yes" });
  expect((await reader.get("alive"))?.value).toBe("yes");
  await Promise.all([writer.$close(), reader.$close()]);
  expect(cluster.events.filter(({ event }) => event === "restarted")).toEqual([]);
});

/** What ends an exchange besides the other side's close: a line of its answer, nothing, or something else that becomes true. */
type Until = "line" | "closed" | (() => Promise<boolean>);

/** Sends bytes and answers what comes back. */
function exchange(
  address: string,
  bytes: Uint8Array,
  ends: Until,
): Promise<{ readonly closed: boolean; readonly text: string }> {
  const [host, port] = address.split(":");
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = net.connect({ host: host ?? "", port: Number(port) }, () => socket.write(bytes));
    const done = (closed: boolean) => {
      socket.destroy();
      resolve({ closed, text });
    };
    if (typeof ends === "function") {
      void until("the exchange to end", async () => (await ends()) || undefined).then(() => done(false), reject);
    }
    socket.on("data", (data) => {
      text += data.toString("latin1");
      if (ends === "line" && text.endsWith("\r\n")) done(false);
    });
    socket.on("error", () => {});
    socket.on("close", () => done(true));
  });
}

/** Of clients, that the first replica has dropped. */
async function malformedMessages(): Promise<number> {
  const { counters } = (await (await fetch(`http://${first.http}/v1/status`)).json()) as ReplicaStatus;
  return counters.framesDropped["malformed client message"] ?? 0;
}

function helloFrame(changes: Partial<Hello>): Uint8Array {
  const hello: Hello = {
    kind: "hello",
    protocol: protocolVersion,
    role: "client",
    clusterId: "",
    from: "test",
    to: "",
    incarnation: 0,
    process: "test",
    machine: "kv",
    machineVersion: 1,
    foundation: "",
    found: noDisk,
    configuration: noConfiguration,
    credential: new Uint8Array(0),
    ...changes,
  };
  const writer = new FrameWriter(nodeHash);
  writer.add(0, encodeHandshake(hello));
  return writer.finish();
}

function oversizedFrame(): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(0x7fff_ffff, 0);
  return bytes;
}

describe("on every port", () => {
  test("garbage bytes", async () => {
    const random = randomStream(20261123, "garbage");
    const garbage = Uint8Array.from({ length: 64 * 1024 }, () => nextUint32(random) & 0xff);
    for (const address of [first.peer, first.client])
      expect((await exchange(address, garbage, "closed")).closed).toBe(true);
    for (const address of [first.http, first.redis])
      expect((await exchange(address, garbage, "closed")).closed).toBe(true);
  });

  test("an oversized frame is refused from its header", async () => {
    for (const address of [first.peer, first.client])
      expect((await exchange(address, oversizedFrame(), "closed")).closed).toBe(true);
    const bulk = await exchange(first.redis, Buffer.from("*1\r\n$2147483647\r\n"), "closed");
    expect(bulk.text).toMatch(/^-ERR Protocol error: invalid bulk length/);
    expect(bulk.closed).toBe(true);
  });

  test("a wrong cluster id is refused by name", async () => {
    const client = await exchange(first.client, helloFrame({ clusterId: "another" }), "closed");
    expect(client.text).toContain("Asked for cluster another");
    const replica = { role: "replica", clusterId: "another", from: "b", to: first.id, incarnation: 1 } as const;
    const peer = await exchange(first.peer, helloFrame(replica), "closed");
    expect(peer.text).toContain("Asked for cluster another");
    expect([client.closed, peer.closed]).toEqual([true, true]);
  });

  test("messages behind a good handshake that are none", async () => {
    const writer = new FrameWriter(nodeHash);
    for (let type = 1; type < 256; type += 1) writer.add(type, Uint8Array.from([type, 255, 255, 255]));
    const frames = Buffer.concat([helloFrame({}), writer.finish()]);
    const before = await malformedMessages();
    const isHeard = async (): Promise<boolean> => (await malformedMessages()) > before;
    expect((await exchange(first.client, frames, isHeard)).text).not.toContain("Asked for");
  });
});

describe("arguments", () => {
  const post = async (path: string, body: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`http://${first.http}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body,
    });
    return { status: response.status, text: await response.text() };
  };

  test("an unknown command and an unknown query name themselves", async () => {
    expect(await post("/v1/commands/nonsense", "{}")).toMatchObject({
      status: 404,
      text: expect.stringContaining("nonsense"),
    });
    expect(await post("/v1/queries/nonsense", "{}")).toMatchObject({
      status: 404,
      text: expect.stringContaining("nonsense"),
    });
    expect((await exchange(first.redis, Buffer.from("NONSENSE a b\r\n"), "line")).text).toContain(
      "-ERR unknown command 'NONSENSE'",
    );
  });

  test("malformed JSON, and arguments of the wrong type", async () => {
    expect((await post("/v1/commands/set", "{")).status).toBe(400);
    const wrong = await post("/v1/commands/set", JSON.stringify({ key: 5, value: { deep: true } }));
    expect([400, 422, 500]).toContain(wrong.status);
    expect(wrong.text).not.toContain("at Object");
    expect((await exchange(first.redis, Buffer.from("INCRBY n x\r\n"), "line")).text).toContain(
      "-ERR value is not an integer or out of range",
    );
  });

  test("a body over the limit", async () => {
    expect((await post("/v1/commands/set", JSON.stringify({ key: "k", value: "v".repeat(5_000_000) }))).status).toBe(
      413,
    );
  });

  test("keys named like the prototype are plain data", async () => {
    const body = '{"key":"__proto__","value":"plain","__proto__":{"polluted":true}}';
    await post("/v1/commands/set", body);
    const got = await post("/v1/queries/get", '"constructor"');
    expect(got.status).toBe(200);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });
});

describe("starting", () => {
  const run = (args: readonly string[]) =>
    spawnSync(process.execPath, [quorateMain, ...args], { encoding: "utf8", timeout: 20_000 });

  test("a second process on a data directory in use is refused with the holder's process id", () => {
    const members = cluster.replicas.flatMap(({ id, peer, client }) => ["--member", `${id}=${peer},${client}`]);
    const second = run(["start", "--id", first.id, "--data", first.dataDir, "--cluster-id", "any", ...members]);
    expect(second.status).not.toBe(0);
    expect(second.stderr).toContain(String(cluster.pidOf(first.id)));
  });

  test("a corrupted config names the file and the line", () => {
    const directory = mkdtempSync(join(tmpdir(), "quorate-config-"));
    const file = join(directory, "a.toml");
    writeFileSync(file, '[replica]\nid = "a\n');
    const result = run(["start", "--config", file]);
    rmSync(directory, { recursive: true });
    expect(result.status).not.toBe(0);
    expect(result.stderr).toContain(file);
    expect(result.stderr).toMatch(/line 2|:2/);
  });
});
