/**
 * Bits that flip in the memory of one real replica at a time, under load: in a value of its state, or in what it answers next.
 *
 * Owns: the story and its demands: the others name that replica and nobody else, in time, its evidence is on its disk, it is made right, and no
 * client that votes is ever told anything wrong. Leaves to others: flipping (`src/sim/memory-faults.ts`, asked for in `replica.mjs`).
 */
import { performance } from "node:perf_hooks";
import { Cluster, until } from "./cluster.mjs";
import { Counting } from "./counting.mjs";
import { randomFrom } from "./stories.mjs";

/**
 * What a command outputs differently is compared within a second or 1,000 commands, and reports of it are collected for a tenth of a second. What
 * lies in memory is looked at again within a second before that. Milliseconds; the rest is for a machine that has other work.
 */
const foundMsMax = { output: 2_000, state: 3_500 };
const commandsMax = 1_000;

export async function flipBits({ trials = 2, seed = 1 } = {}) {
  // Many flips in one hour are what this is about.
  const execution = { rebuildsMax: 1_000_000 };
  const raft = { electionTimeoutMsMin: 3_000, electionTimeoutMsMax: 6_000 };
  const cluster = await Cluster.found(["a", "b", "c"], 3, { execution, raft });
  try {
    const random = randomFrom(seed);
    const lists = Array.from({ length: 3 }, () => cluster.endpoints());
    const counting = await Counting.open(lists, { faults: "value" });
    // What is read is not voted on.
    counting.start({ readers: 0, keys: 8 });
    const told = { output: [], state: [] };
    const wrong = [];
    let leaders = 0;
    for (let trial = 0; trial < trials; trial += 1) {
      const one = await tryOnce(cluster, counting, { random, target: trial % 2 === 0 ? "output" : "state" });
      told[one.target].push(one.foundMs);
      if (one.wasLeader) leaders += 1;
      wrong.push(...one.wrong.map((what) => `trial ${trial}: ${what}`));
    }
    const outvoted = await counting.stop().then(() => counting.outvoted);
    await cluster.untilReady(cluster.ids);
    wrong.push(...(await counting.judge()), ...cluster.unexpected);
    await cluster.untilEven(cluster.ids);
    return { wrong, trials, leaders, outvoted, foundMs: describe(told), ...counting.report };
  } finally {
    await cluster.end();
  }
}

async function tryOnce(cluster, counting, { random, target }) {
  const victim = cluster.ids[Math.floor(random() * cluster.ids.length)];
  const others = cluster.ids.filter((id) => id !== victim);
  await checkpoint(cluster);
  await counting.until(counting.acknowledged + Math.floor(random() * 1_500));
  const before = await statuses(cluster);
  const seed = Math.floor(random() * 2 ** 31);
  const [at, commands] = [performance.now(), counting.acknowledged];
  const what = await cluster.ask(victim, "flip", { target, seed });
  const named = (status) => newFindings(status, before).some(({ differing }) => differing.includes(victim));
  await until(`${victim} to be named: ${what}`, 60, async () => {
    const now = await statuses(cluster);
    return others.every((id) => named(now.get(id))) ? true : undefined;
  });
  const [foundMs, executed] = [performance.now() - at, counting.acknowledged - commands];
  const after = await until(`${victim} to be healed: ${what}`, 60, async () => {
    const now = await statuses(cluster);
    const { count, state } = now.get(victim).quarantine;
    const isWell = count > before.get(victim).quarantine.count && state === "sound";
    return isWell && [...now.values()].every(({ audit }) => audit.named.length === 0) ? now : undefined;
  });
  const isLate = foundMs > foundMsMax[target] && executed > commandsMax;
  const wrong = isLate ? [`${what} of ${victim} was found after ${Math.round(foundMs)} ms, ${executed} commands`] : [];
  for (const [id, status] of after) wrong.push(...objectionsTo(id, status, { before, victim }));
  const wasLeader = before.get(victim).role === "leader";
  return { target, foundMs, wasLeader, wrong };
}

/** Whoever is healed begins there, and not with the first entry. One replica may pass it over, if it still writes another. */
async function checkpoint(cluster) {
  const { commitIndex } = await cluster.leader();
  await until("a checkpoint to be begun", 60, async () => {
    const { id } = await cluster.leader();
    return cluster.ask(id, "checkpoint").then(
      () => true,
      () => undefined,
    );
  });
  await until("a certified checkpoint", 60, async () => {
    const all = [...(await statuses(cluster)).values()];
    return all.some((status) => status.checkpoint.certifiedIndex >= commitIndex) ? true : undefined;
  });
}

async function statuses(cluster) {
  const asked = cluster.ids.map(async (id) => [id, await cluster.ask(id, "status", undefined, 60_000)]);
  return new Map(await Promise.all(asked));
}

function newFindings({ id, audit }, before) {
  const known = before.get(id).audit.findings.map(({ index }) => index);
  return audit.findings.filter(({ index }) => !known.includes(index));
}

function objectionsTo(id, status, { before, victim }) {
  const wrong = newFindings(status, before)
    .filter(({ kind, differing }) => kind !== "named" || differing.join() !== victim)
    .map(
      ({ kind, differing, index }) => `${id} found ${kind} of ${differing.join()} at ${index}, and ${victim} is wrong`,
    );
  if (id !== victim && status.quarantine.count !== before.get(id).quarantine.count) wrong.push(`${id} was set aside`);
  if (id === victim && status.audit.evidence.length === 0) wrong.push(`${id} has no evidence on its disk`);
  return wrong;
}

/** Milliseconds until both others had named it. */
function describe(told) {
  const entries = Object.entries(told).map(([target, all]) => {
    const sorted = all.map(Math.round).sort((left, right) => left - right);
    return [target, { count: sorted.length, half: sorted[Math.floor(sorted.length / 2)], most: sorted.at(-1) }];
  });
  return Object.fromEntries(entries);
}
