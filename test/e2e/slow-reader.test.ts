/** F1: a client that asks for much and reads nothing costs the replica a bounded amount of memory, and others nothing. */
import { readFileSync } from "node:fs";
import net from "node:net";

import { afterAll, beforeAll, expect, test } from "vitest";

import { connect } from "../../src/node/create-client.js";
import { nodeHash } from "../../src/node/hash.js";
import { kv } from "../../src/services/kv/index.js";
import { encodeValue } from "../../src/wire/canonical.js";
import { clientMessageTypes, encodeClientMessage } from "../../src/wire/client-codec.js";
import { FrameWriter } from "../../src/wire/frame.js";
import { encodeHandshake, noConfiguration, noDisk, protocolVersion } from "../../src/wire/handshake.js";
import { DevCluster, until, type CardReplica } from "../../test-support/dev-cluster.js";

const valueBytes = 500_000;
const queries = 2_000;
let cluster: DevCluster;

beforeAll(async () => {
  cluster = await DevCluster.start();
});

afterAll(async () => {
  await cluster.stop();
});

function residentMiB(replica: CardReplica): number {
  const status = readFileSync(`/proc/${cluster.pidOf(replica.id)}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

/** One burst of queries behind a handshake, and then not a byte is read. */
function askAndNeverRead(address: string): net.Socket {
  const writer = new FrameWriter(nodeHash);
  const credential = new Uint8Array(0);
  const names = { clusterId: "", from: "deaf", to: "", process: "deaf", machine: "kv", foundation: "" };
  const hello = {
    kind: "hello",
    protocol: protocolVersion,
    role: "client",
    incarnation: 0,
    machineVersion: 1,
    found: noDisk,
  } as const;
  writer.add(0, encodeHandshake({ ...hello, ...names, configuration: noConfiguration, credential }));
  const greeting = writer.finish();
  for (let id = 1; id <= queries; id += 1) {
    const query = {
      kind: "query",
      id,
      name: "get",
      input: encodeValue("big"),
      read: { kind: "linearizable" },
    } as const;
    writer.add(clientMessageTypes.query, encodeClientMessage(query));
  }
  const [host, port] = address.split(":");
  const socket = net.connect({ host: host ?? "", port: Number(port) });
  socket.pause();
  socket.on("error", () => {});
  socket.write(Buffer.concat([greeting, writer.finish()]));
  return socket;
}

test("a client that never reads its answers is held back", { timeout: 60_000 }, async () => {
  const [first] = cluster.replicas;
  if (first === undefined) throw new Error("no replica");
  const client = await connect(kv, { endpoints: [first.client] });
  await client.set({ key: "big", value: "v".repeat(valueBytes) });
  const before = residentMiB(first);
  const deaf = askAndNeverRead(first.client);
  await until("the first answers", async () => {
    const status = await cluster.status(first);
    return status !== undefined && status.counters.queriesAnswered > 5 ? true : undefined;
  });
  let most = 0;
  for (let count = 0; count < 200; count += 1) {
    await client.set({ key: "other", value: String(count) });
    expect((await client.get("other"))?.value).toBe(String(count));
    most = Math.max(most, residentMiB(first));
  }
  deaf.destroy();
  await client.$close();

  // All answers together would be 1 GB.
  expect(most - before).toBeLessThan(200);
});
