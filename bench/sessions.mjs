/**
 * What sessions cost: `npm run bench:sessions -- [--sessions 1000000]`.
 *
 * Opens so many, each with one command, in three replicas whose limit is that number; takes a checkpoint of them; opens some more, for which the
 * oldest are evicted, on every replica the same; starts the replicas again. Prints one line for each figure, with `--json` one JSON document.
 * Run it on a quiet machine.
 */
import { execFileSync } from "node:child_process";
import { parseArgs } from "node:util";
import { Cluster, until } from "../test-support/faults/cluster.mjs";
import { RawClient } from "../test-support/faults/raw-client.mjs";

const { values } = parseArgs({
  options: { sessions: { type: "string", default: "1000000" }, json: { type: "boolean", default: false } },
});
const count = Number(values.sessions);
const connections = 4;
const outstanding = 1_000;
const mebibyte = 1_048_576;
const figures = {};

/** Said at once, since the whole takes long. */
function note(found) {
  Object.assign(figures, found);
  if (values.json) return;
  for (const [name, figure] of Object.entries(found)) {
    console.log(`  ${name.padEnd(30)} ${typeof figure === "number" ? figure.toFixed(1) : figure}`);
  }
}

/** Calls `each` for all numbers from `from` up to `to`, so many at a time. */
async function forAll(from, to, each) {
  let next = from;
  const one = async () => {
    while (next < to) await each(next++);
  };
  await Promise.all(Array.from({ length: connections * outstanding }, one));
}

const limits = {
  sessions: { sessionsMax: count, expiryMs: 86_400_000 },
  // Only those that are asked for.
  checkpoints: { logEntriesMax: 100_000_000, logBytesMax: 1_099_511_627_776 },
};
const cluster = await Cluster.found(["a", "b", "c"], 3, limits);
try {
  const resident = async () => {
    const statuses = await Promise.all(cluster.ids.map((id) => cluster.status(id)));
    return Math.max(...statuses.map(({ memory }) => memory.rss)) / mebibyte;
  };
  const turns = async () => {
    const statuses = await Promise.all(cluster.ids.map((id) => cluster.status(id)));
    return Math.max(...statuses.map(({ eventLoop }) => eventLoop.longestTurnCpuMs));
  };
  const reset = () => Promise.all(cluster.ids.map((id) => cluster.ask(id, "resetTurns")));
  const { id: leader } = await cluster.leader();
  const address = cluster.endpoints([leader])[0];
  const clients = await Promise.all(Array.from({ length: connections }, () => RawClient.connect(address)));
  const register = (at) => clients[at % connections].openSession(`session ${at}`);
  let [oldest, newest] = [0, 0];
  note({ residentMiBBefore: await resident() });
  let begun = performance.now();
  await reset();
  await forAll(0, count, async (at) => {
    const session = await register(at);
    if (at === 0) oldest = session;
    newest = session;
    await clients[at % connections].set(session, 1, { key: `key ${at % 1_000}`, value: "v" });
  });
  note({ registeredPerSecond: (1000 * count) / (performance.now() - begun) });
  note({ longestTurnCpuMsRegistering: await turns() });
  note({ residentMiB: await resident() });
  note({ bytesPerSession: ((figures.residentMiB - figures.residentMiBBefore) * mebibyte) / count });

  await reset();
  begun = performance.now();
  await cluster.ask(leader, "checkpoint");
  const certified = await until("a certified checkpoint", 600, async () => {
    const status = await cluster.status(leader);
    return status?.checkpoint.certifiedIndex > 0 ? status : undefined;
  });
  note({ checkpointMs: performance.now() - begun });
  note({ checkpointBytesPerSession: certified.checkpoint.bytes / count });
  note({ longestTurnCpuMsOfCheckpoint: await turns() });

  // More than were being opened at once, so that the first is surely among the oldest.
  const more = Math.ceil(count / 100) + 4 * connections * outstanding;
  await forAll(count, count + more, register);
  note({ sessionsAfterMore: (await cluster.status(leader)).counters.sessions });
  // Who used his session last of all is there, and the first are gone: the same on every replica, or the next checkpoint is not certified.
  const set = (session) => clients[0].set(session, 2, { key: "key", value: "v" });
  note({ oldest: (await set(oldest)).refusal?.code ?? "still there" });
  note({ newest: (await set(newest)).refusal?.code ?? "still there" });
  await cluster.ask(leader, "checkpoint");
  await until("a second certified checkpoint", 600, async () => {
    const status = await cluster.status(leader);
    return status?.checkpoint.certifiedIndex > certified.checkpoint.certifiedIndex ? true : undefined;
  });
  await cluster.untilEven(cluster.ids, 600);
  for (const client of clients) client.close();
  note({
    checkpointMiBOnDisk: Number(
      execFileSync("du", ["-sm", `${cluster.dataDir(leader)}/checkpoints`])
        .toString()
        .split("\t")[0],
    ),
  });
  await Promise.all(cluster.ids.map((id) => cluster.kill(id)));
  begun = performance.now();
  await Promise.all(cluster.ids.map((id) => cluster.start(id)));
  await cluster.untilReady(cluster.ids, 600);
  note({ restartMs: performance.now() - begun });
  note({ sessionsAfterRestart: (await cluster.status(leader)).counters.sessions });
  if (cluster.unexpected.length > 0) throw new Error(cluster.unexpected.join("; "));
} finally {
  await cluster.end();
}

if (values.json) console.log(JSON.stringify({ sessions: count, ...figures }));
