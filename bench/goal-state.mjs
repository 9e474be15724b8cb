/**
 * Goals of a large state: what a million keys cost in memory, checkpoints, restarts and in each write. Called by `goals.mjs`.
 *
 * Owns: these loads and their ratios. Leaves to others: bounds (`goal-table.mjs`), loads (`measure.mjs`).
 */
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { beside, fill, filled, inTurn, leaderOf, mibToMb, p99Of, ratio, statusesOf, warmUp } from "./goal-loads.mjs";
import { measure, median, shown } from "./measure.mjs";
import { peers, whyMissing } from "./peers.mjs";
import { ageSecondsOf, residentMiBOf, startQuorate, until } from "./processes.mjs";
import { keyFor } from "./shape.mjs";

/** So many writes a second while checkpoints are taken; slow enough that none is taken by itself in a run. */
const checkpointRate = 8_000;

export async function state(plan) {
  const starters = {
    thousand: () => startQuorate(join(plan.directory, "thousand")),
    million: () => startQuorate(join(plan.directory, "million")),
    etcd: () => peers.etcd.start(join(plan.directory, "etcd-state")),
  };
  return beside(starters, async ({ thousand, million, etcd }) => {
    const { keys, say } = plan;
    for (const side of [million, etcd]) {
      if (side === undefined) continue;
      const { throughput } = await fill(side, keys);
      say(`  ${side.cluster.name}: ${keys.toLocaleString("en")} keys, ${shown(throughput)}/s`);
    }
    await fill(thousand, 1_000);
    const measured = await growth(plan, { thousand, million });
    for (const [id, found] of await checkpoints(plan, million)) measured.set(id, found);
    const resident = million.cluster.pids.map(residentMiBOf).map(mibToMb);
    measured.set("memory-million", {
      value: Math.max(...resident),
      note: `${ofKeys(plan)}, after writes and checkpoints: ${resident.map((mb) => shown(mb)).join(", ")} MB${etcd === undefined ? "" : `; etcd ${shown(mibToMb(Math.max(...etcd.cluster.pids.map(residentMiBOf))))} MB`}`,
    });
    measured.set("restart", await restarts(plan, million, etcd));
    return measured;
  });
}

/** The goals are of a million. */
const ofKeys = ({ keys }) => `${keys.toLocaleString("en")} ${keys < 1_000_000 ? "instead of 1,000,000 " : ""}keys`;

async function growth(plan, { thousand, million }) {
  await warmUp({ thousand }, plan, { outstanding: 256, connections: 8, keys: 1_000 });
  await warmUp({ million }, plan, { outstanding: 256, connections: 8, keys: plan.keys });
  const load = { seconds: plan.seconds * 2, warmupSeconds: 1, connections: 8 };
  const busy = { ...load, outstanding: 256 };
  const rated = { ...load, rate: 2_000, outstandingMax: 4_096 };
  const runs = await inTurn(plan, {
    "1,000 keys, 256 outstanding": { side: thousand, ...busy, keys: 1_000 },
    "all keys, 256 outstanding": { side: million, ...busy, keys: plan.keys },
    "1,000 keys, 2,000 a second": { side: thousand, ...rated, keys: 1_000 },
    "all keys, 2,000 a second": { side: million, ...rated, keys: plan.keys },
  });
  const [fewBusy, allBusy, fewRated, allRated] = Object.values(runs);
  const perCpuOf = ({ cpuMicrosPerOperation }) => 1e6 / cpuMicrosPerOperation;
  const middle = (list, figureOf, digits) => shown(median(list.map(figureOf)), digits);
  return new Map([
    [
      "growth",
      {
        value: ratio(allBusy, fewBusy, perCpuOf),
        note: `${ofKeys(plan)}: ${middle(allBusy, perCpuOf)} : ${middle(fewBusy, perCpuOf)}, checkpoints included`,
      },
    ],
    [
      "growth-latency",
      {
        value: ratio(allRated, fewRated, ({ p50Ms }) => p50Ms),
        note: `${ofKeys(plan)}: ${middle(allRated, ({ p50Ms }) => p50Ms, 2)} : ${middle(fewRated, ({ p50Ms }) => p50Ms, 2)} ms`,
      },
    ],
  ]);
}

/** A state in a database: as `growth`, of the machine of `examples/03-on-disk`, and without `define` between the two. */
export async function disk(plan) {
  const { prepareMachine } = await import(new URL("../dist/server/machine-module.js", import.meta.url).href);
  const module = prepareMachine(fileURLToPath(new URL("../examples/03-on-disk/store.ts", import.meta.url)));
  const start = (name) => startQuorate(join(plan.directory, name), undefined, [module]);
  const starters = { thousand: () => start("disk-thousand"), many: () => start("disk-many") };
  return beside(starters, async ({ thousand, many }) => {
    const keys = plan["disk-keys"];
    for (const [side, count] of [
      [thousand, 1_000],
      [many, keys],
    ]) {
      const job = {
        count: Math.ceil(count / 200),
        keys: count,
        operation: "fill",
        outstanding: 16,
        connections: 4,
        module,
      };
      const { throughput } = await filled(side, job);
      plan.say(`  ${count.toLocaleString("en")} keys, ${shown(throughput * 200)}/s`);
    }
    const job = { seconds: plan.seconds * 2, warmupSeconds: 1, outstanding: 256, connections: 8, module };
    const [few, all] = Object.values(
      await inTurn(plan, {
        "1,000 keys": { side: thousand, ...job, keys: 1_000 },
        "all keys": { side: many, ...job, keys },
      }),
    );
    const perCpuOf = ({ cpuMicrosPerOperation }) => 1e6 / cpuMicrosPerOperation;
    const resident = many.cluster.pids.map(residentMiBOf).map(mibToMb);
    const value = ratio(all, few, perCpuOf);
    const note = `${keys.toLocaleString("en")} keys: ${shown(median(all.map(perCpuOf)))} : ${shown(median(few.map(perCpuOf)))}, ${shown(median(all.map(({ throughput }) => throughput)))} : ${shown(median(few.map(({ throughput }) => throughput)))} a second; resident, pages of the database included: ${resident.map((mb) => shown(mb)).join(", ")} MB`;
    return new Map([["growth-lmdb", { value, note }]]);
  });
}

const checkpointsOf = async (cluster, pick) => (await statusesOf(cluster)).map(({ counters }) => counters[pick]);

/** Runs without a checkpoint and with one that is told to all replicas when counting begins, in turn. */
async function checkpoints(plan, { cluster, load }) {
  const { say, keys, seconds } = plan;
  const job = {
    rate: checkpointRate,
    connections: 8,
    outstandingMax: 4_096,
    warmupSeconds: 1,
    seconds: seconds + 1,
    keys,
  };
  const taken = () => checkpointsOf(cluster, "checkpointsTaken");
  const takeOne = async () => {
    const { http } = await leaderOf(cluster);
    const before = await taken();
    const answer = await fetch(`http://${http}/v1/checkpoint`, { method: "POST" });
    if (!answer.ok) throw new Error(`Cannot take a checkpoint: ${answer.status} ${await answer.text()}`);
    const begun = performance.now();
    const isTaken = async () => (await taken()).every((count, at) => count > before[at]);
    await until("every replica to have taken a checkpoint", 120_000, isTaken);
    return (performance.now() - begun) / 1000;
  };
  const calm = [];
  const busy = [];
  const took = [];
  for (let round = 1; round <= plan.rounds; round += 1) {
    await takeOne();
    const before = await taken();
    const without = await measure(cluster, load, job);
    // One that began by itself makes it no run without.
    if ((await taken()).every((count, at) => count === before[at])) calm.push(without);
    let checkpoint = Promise.resolve(Number.NaN);
    const withOne = await measure(
      {
        ...cluster,
        pids: cluster.pids,
        resetTurns: async () => {
          await cluster.resetTurns();
          checkpoint = takeOne();
        },
      },
      load,
      job,
    );
    took.push(await checkpoint);
    busy.push(withOne);
    say(
      `  round ${round}: p99 ${shown(without.p99Ms, 1)} ms without, ${shown(withOne.p99Ms, 1)} ms with a checkpoint of ${shown(took.at(-1), 1)} s, turn ${shown(withOne.longestTurnMs, 1)} ms`,
    );
  }
  const [p99Calm, p99Busy] = [median(calm.map(p99Of)), median(busy.map(p99Of))];
  const held = busy.reduce((sum, { heldBack }) => sum + heldBack, 0);
  return new Map([
    [
      "checkpoint-p99",
      {
        value: p99Busy / p99Calm,
        note: `${ofKeys(plan)}, ${checkpointRate.toLocaleString("en")} writes a second: ${shown(p99Busy, 1)} : ${shown(p99Calm, 1)} ms; each took ${shown(median(took), 1)} s${held === 0 ? "" : `; ${held} writes were not begun`}`,
      },
    ],
    [
      "checkpoint-turn",
      {
        value: Math.max(...busy.map(({ longestTurnMs }) => longestTurnMs)),
        note: `${ofKeys(plan)}, the longest of ${busy.length} checkpoints`,
      },
    ],
  ]);
}

/** A follower is killed; seconds from the start of its next process until it answers a linearizable read of a key. */
async function restarts(plan, million, etcd) {
  const ours = [];
  const theirs = [];
  const key = keyFor(plan.keys - 1, plan.keys);
  for (let round = 1; round <= plan.restarts; round += 1) {
    ours.push(await restartOurs(million.cluster, key));
    if (etcd !== undefined) theirs.push(await restartEtcd(etcd.cluster, key));
    plan.say(`  restart ${round}: ${shown(ours.at(-1), 2)} s, etcd ${shown(theirs.at(-1), 2)} s`);
  }
  if (etcd === undefined) return { value: undefined, note: `${whyMissing("etcd")}; ${shown(median(ours), 2)} s` };
  const value = median(ours.map((seconds, at) => seconds / theirs[at]));
  return {
    value,
    note: `${ofKeys(plan)}: ${shown(median(ours), 2)} : ${shown(median(theirs), 2)} s, ${plan.restarts} each`,
  };
}

async function restartOurs(cluster, key) {
  const leader = await leaderOf(cluster);
  const victim = [...cluster.replicas.values()].find(({ id }) => id !== leader.id);
  const old = victim.pid;
  process.kill(old, "SIGKILL");
  await untilServed(victim.id, async () => {
    const answer = await post(`http://${victim.http}/v1/queries/get`, key);
    return answer?.output?.value !== undefined;
  });
  // Told once it listens, so before it serves.
  await until(`the restart of ${victim.id} to be told`, 10_000, async () => victim.pid !== old);
  return ageSecondsOf(victim.pid);
}

async function restartEtcd(cluster, key) {
  const base64 = Buffer.from(key).toString("base64");
  const follower = await followerOfEtcd(cluster);
  await cluster.restart(follower);
  await untilServed("the member of etcd", async () => {
    const answer = await post(`http://${cluster.endpoints[follower]}/v3/kv/range`, { key: base64 });
    return answer?.kvs?.length === 1;
  });
  return ageSecondsOf(cluster.pids[follower]);
}

async function followerOfEtcd(cluster) {
  const statuses = await Promise.all(
    cluster.endpoints.map((endpoint) => post(`http://${endpoint}/v3/maintenance/status`, {})),
  );
  return statuses.findIndex((status) => status !== undefined && status.header.member_id !== status.leader);
}

const untilServed = (who, isServed) => until(`${who} to serve`, 120_000, isServed);

/** Undefined if there is no answer, or not a good one. */
async function post(url, body) {
  try {
    const headers = { "content-type": "application/json" };
    const answer = await fetch(url, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(5_000),
    });
    return answer.ok ? await answer.json() : undefined;
  } catch {
    return undefined; // Not there yet.
  }
}
