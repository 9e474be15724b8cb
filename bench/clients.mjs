/**
 * What connections cost: `npm run bench:clients -- [--connections 10000]`.
 *
 * Connects so many clients of the library, which all end up at the leader, and lets each write once; measures one client of its own with and
 * without them; kills the leader and waits until each has written again. Then the same number of Redis clients at one replica. Needs two file
 * descriptors for each (`ulimit -n`). Prints one line for each figure, with `--json` one JSON document. Run it on a quiet machine.
 */
import net from "node:net";
import { parseArgs } from "node:util";
import { connect } from "quorate/client";
import { kv } from "quorate/services/kv";
import { Cluster, until } from "../test-support/faults/cluster.mjs";

const { values } = parseArgs({
  options: { connections: { type: "string", default: "10000" }, json: { type: "boolean", default: false } },
});
const count = Number(values.connections);
const atOnce = 256;
const figures = { connections: count };
const failures = new Map();

/** Doors are connections too. */
const cluster = await Cluster.found(["a", "b", "c"], 3, { transport: { clientConnectionsMax: count + 16 } });

async function forAll(each) {
  let next = 0;
  const one = async () => {
    while (next < count) {
      const at = next++;
      await each(at).catch((cause) => {
        const what = cause.code ?? cause.message;
        failures.set(what, (failures.get(what) ?? 0) + 1);
      });
    }
  };
  const begun = performance.now();
  await Promise.all(Array.from({ length: atOnce }, one));
  return performance.now() - begun;
}

const statusOf = async (id) => until(`the status of ${id}`, 60, () => cluster.status(id));
const residentMiBOf = async (id) => (await statusOf(id)).memory.rss / 1_048_576;

/** The 50th and 99th percentile of writes one after the other, in milliseconds. */
async function latency(client) {
  const times = [];
  for (let at = 0; at < 2_000; at += 1) {
    const begun = performance.now();
    await client.set({ key: "alone", value: String(at) });
    times.push(performance.now() - begun);
  }
  times.sort((left, right) => left - right);
  return [times[1_000], times[1_980]];
}

async function libraryClients() {
  const { id: leader } = await cluster.leader();
  const alone = await connect(kv, { endpoints: cluster.endpoints(), timeoutMs: 60_000 });
  await latency(alone);
  [figures.aloneP50Ms, figures.aloneP99Ms] = await latency(alone);
  const before = await residentMiBOf(leader);
  const clients = [];
  const write = (at) => clients[at].set({ key: `client ${at}`, value: "v" });
  figures.connectMs = await forAll(async () => {
    clients.push(await connect(kv, { endpoints: cluster.endpoints(), timeoutMs: 120_000, connectTimeoutMs: 60_000 }));
  });
  figures.eachWritesMs = await forAll(write);
  figures.connectionsAtLeader = (await statusOf(leader)).counters.clientConnections;
  figures.leaderKiBPerConnection = ((await residentMiBOf(leader)) - before) * (1024 / count);
  [figures.besideThemP50Ms, figures.besideThemP99Ms] = await latency(alone);
  await Promise.all(cluster.ids.map((id) => cluster.ask(id, "resetTurns")));
  const killed = performance.now();
  await cluster.kill(leader);
  await forAll(write);
  figures.afterKillEachWroteMs = performance.now() - killed;
  const { eventLoop } = await cluster.leader();
  figures.longestTurnCpuMsOfNewLeader = eventLoop.longestTurnCpuMs;
  await cluster.start(leader);
  await Promise.all([alone, ...clients].map((client) => client.$close()));
}

/** Resolves with the socket once it has answered. */
function redisClient(address) {
  const [host, port] = address.split(":");
  const socket = net.connect({ host, port: Number(port), noDelay: true });
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("close", () => reject(new Error("closed")));
    socket.once("data", (bytes) => {
      if (bytes.toString() === "+OK\r\n") resolve(socket);
      else reject(new Error(bytes.toString().trim()));
    });
    socket.write("SET redis v\r\n");
  });
}

async function redisClients() {
  const id = cluster.ids[0];
  await cluster.untilReady(cluster.ids);
  const before = await residentMiBOf(id);
  const sockets = [];
  figures.redisConnectAndSetMs = await forAll(async () => {
    sockets.push(await redisClient(cluster.place(id).redis));
  });
  figures.redisConnections = sockets.length;
  figures.redisKiBPerConnection = ((await residentMiBOf(id)) - before) * (1024 / count);
  for (const socket of sockets) socket.destroy();
}

try {
  await libraryClients();
  await redisClients();
} finally {
  await cluster.end();
}
figures.failures = Object.fromEntries(failures);
if (failures.size > 0) process.exitCode = 1;
if (values.json) console.log(JSON.stringify(figures));
else {
  for (const [name, figure] of Object.entries(figures)) {
    const text = typeof figure === "number" ? figure.toFixed(1) : JSON.stringify(figure);
    console.log(`  ${name.padEnd(30)} ${text}`);
  }
}
