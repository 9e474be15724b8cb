/**
 * The systems that a user would pick instead, as Debian packages them: three members each (Redis: one), on loopback, with data in a
 * directory of its own, as durable as they can be made.
 *
 * Owns: starting and stopping their processes, in the shape of `processes.mjs`. Leaves to others: driving them (`peer-loads.mjs`), what is
 * measured (`run.mjs`). Called by `run.mjs`. Nothing outside of loopback is contacted.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, openSync, writeFileSync } from "node:fs";
import { createServer, connect as connectSocket } from "node:net";
import { join } from "node:path";
import { until } from "./processes.mjs";

/** By name: what to install, and the program that shows that it is there. */
export const peers = {
  etcd: { program: "etcd", packages: "etcd-server", start: startEtcd },
  zookeeper: { program: "java", packages: "zookeeper default-jre-headless", start: startZooKeeper },
  nats: { program: "nats-server", packages: "nats-server", start: startNats },
  redis: { program: "redis-server", packages: "redis-server", start: startRedis },
};

/** Why it cannot be measured here, as a sentence; undefined if it can. */
export function whyMissing(name) {
  const { program, packages } = peers[name];
  const isThere = spawnSync("which", [program]).status === 0;
  return isThere
    ? undefined
    : `${name} is not measured: ${program} is not installed (Debian: apt-get install ${packages})`;
}

const three = [0, 1, 2];

async function freePorts(count) {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function isListening(port) {
  return new Promise((resolve) => {
    const socket = connectSocket({ host: "127.0.0.1", port });
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("close", () => socket.destroy());
    socket.once("connect", () => socket.end());
  });
}

/** Output goes to a file beside the data, for whoever wants to know why it did not start. */
async function running(name, directory, commands, clientPorts) {
  mkdirSync(directory, { recursive: true });
  const start = ([program, ...words], at) => {
    const log = openSync(join(directory, `${at}.log`), "a");
    return spawn(program, words, { stdio: ["ignore", log, log], cwd: directory });
  };
  const children = commands.map(start);
  const stop = async () => {
    const exits = children.map(
      (child) => new Promise((resolve) => (child.exitCode === null ? child.once("exit", resolve) : resolve())),
    );
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(exits);
  };
  try {
    await until(`${name} to listen (its output is in ${directory})`, 30_000, async () =>
      (await Promise.all(clientPorts.map(isListening))).every(Boolean),
    );
  } catch (cause) {
    await stop();
    throw cause;
  }
  const unknown = { syncs: Number.NaN, entries: Number.NaN, longestTurnMs: Number.NaN, longestTurnWallMs: Number.NaN };
  return {
    name,
    endpoints: clientPorts.map((port) => `127.0.0.1:${port}`),
    get pids() {
      return children.map(({ pid }) => pid);
    },
    /** Kills one of them and starts it again at once, with the data that it has. */
    async restart(at) {
      const gone = new Promise((resolve) => children[at].once("exit", resolve));
      children[at].kill("SIGKILL");
      await gone;
      children[at] = start(commands[at], at);
    },
    observe: () => Promise.resolve(unknown),
    resetTurns: () => Promise.resolve(),
    stop,
  };
}

async function startEtcd(directory) {
  const ports = await freePorts(6);
  const client = (at) => `http://127.0.0.1:${ports[at]}`;
  const peer = (at) => `http://127.0.0.1:${ports[3 + at]}`;
  const members = three.map((at) => `m${at}=${peer(at)}`).join(",");
  const commands = three.map((at) => [
    ...["etcd", "--name", `m${at}`, "--data-dir", join(directory, `m${at}`), "--logger", "zap", "--log-level", "error"],
    ...["--listen-client-urls", client(at), "--advertise-client-urls", client(at)],
    ...["--listen-peer-urls", peer(at), "--initial-advertise-peer-urls", peer(at)],
    ...["--initial-cluster", members, "--initial-cluster-state", "new"],
  ]);
  return running("etcd", directory, commands, ports.slice(0, 3));
}

async function startZooKeeper(directory) {
  const ports = await freePorts(9);
  const servers = three.map((at) => `server.${at + 1}=127.0.0.1:${ports[3 + at]}:${ports[6 + at]}`).join("\n");
  const commands = three.map((at) => {
    const data = join(directory, `z${at}`);
    mkdirSync(data, { recursive: true });
    writeFileSync(join(data, "myid"), `${at + 1}\n`);
    const file = join(data, "zoo.cfg");
    writeFileSync(
      file,
      `tickTime=2000\ninitLimit=10\nsyncLimit=5\nmaxClientCnxns=0\nadmin.enableServer=false\ndataDir=${data}\nclientPort=${ports[at]}\nclientPortAddress=127.0.0.1\n${servers}\n`,
    );
    const main = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
    return ["java", "-cp", "/usr/share/java/zookeeper.jar", main, file];
  });
  return running("zookeeper", directory, commands, ports.slice(0, 3));
}

/** Replicated three times, but not flushed before it acknowledges: it has no setting for that. */
async function startNats(directory) {
  const ports = await freePorts(6);
  const routes = three.map((at) => `nats://127.0.0.1:${ports[3 + at]}`).join(",");
  const commands = three.map((at) => [
    ...[
      "nats-server",
      "-js",
      "-sd",
      join(directory, `n${at}`),
      "-n",
      `n${at}`,
      "-a",
      "127.0.0.1",
      "-p",
      `${ports[at]}`,
    ],
    ...["-cluster_name", "bench", "-cluster", `nats://127.0.0.1:${ports[3 + at]}`, "-routes", routes],
  ]);
  return running("nats", directory, commands, ports.slice(0, 3));
}

/** One copy: what a user has without replication. */
async function startRedis(directory) {
  const [port] = await freePorts(1);
  const words = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", directory, "--save", ""];
  const commands = [["redis-server", ...words, "--appendonly", "yes", "--appendfsync", "always"]];
  return running("redis", directory, commands, [port]);
}
