/**
 * Whole runs of PBFT clusters, each from one seed: faults, then healing, then progress. A failure names its seed, which repeats it.
 *
 * Owns: what happens in each kind of run. Leaves to others: the cluster and its rules (`bft-cluster.ts`), what liars do
 * (`src/sim/liars/`), and how many runs there are.
 */
import { nextBetween, nextFraction, randomStream, type Random } from "../src/base/random.js";
import { BftCluster } from "./bft-cluster.js";
import { liarNamed, liars } from "../src/sim/liars/named.js";
import { mutating } from "../src/sim/liars/mutating.js";

export interface BftRun {
  readonly decided: number;
  readonly accused: number;
}

export type BftRunKind = (seed: number) => BftRun;

function clusterFor(seed: number): BftCluster {
  const random = randomStream(seed, "options");
  const replicas = nextBetween(random, 4, 7);
  const faulty = nextFraction(random) < 0.8;
  return new BftCluster({
    ...{ replicas, seed },
    loss: faulty ? nextFraction(random) * 0.2 : 0,
    duplication: faulty ? 0.1 : 0,
    delayMs: [0.5, faulty ? nextBetween(random, 2, 40) : 3],
    diskMs: [0, nextBetween(random, 1, 30)],
  });
}

/** Something breaks or mends, and clients ask. */
function trouble(cluster: BftCluster, seed: number): void {
  const random = randomStream(seed, "nemesis");
  const names = cluster.members.map(({ name }) => name);
  const pick = (): string => oneName(cluster, random);
  let number = 0;
  for (let round = 0; round < 12; round += 1) {
    const act = nextBetween(random, 0, 9);
    if (act <= 1) cluster.crash(pick());
    else if (act === 2) for (const name of names) if (nextFraction(random) < 0.5) cluster.crash(name);
    if (act === 3) {
      const inside = names.filter(() => nextFraction(random) < 0.6);
      cluster.partition([inside, names.filter((name) => !inside.includes(name))]);
    } else if (act === 4) cluster.block(pick(), pick());
    else if (act >= 6) cluster.heal();
    for (const name of names) if (nextFraction(random) < 0.5) cluster.restart(name);
    for (const client of ["x", "y"]) if (nextFraction(random) < 0.7) cluster.submit(client, (number += 1));
    cluster.run(nextBetween(random, 5, 150));
  }
}

/** Faults end, liars stay: whatever is asked now is executed everywhere. */
function recover(cluster: BftCluster, seed: number): BftRun {
  cluster.heal().calm();
  for (const { name } of cluster.members) cluster.restart(name);
  cluster.submit("healed", seed);
  cluster.until(() => cluster.isExecutedByAll(`healed:${seed}`), 30_000);
  return { decided: cluster.decided.size, accused: cluster.evidence.length };
}

export function runCrashes(seed: number): BftRun {
  const cluster = clusterFor(seed);
  trouble(cluster, seed);
  return recover(cluster, seed);
}

/** Up to f replicas lie, each in its own way, from the beginning to after the end of all other trouble. */
export function runLiars(seed: number): BftRun {
  const cluster = clusterFor(seed);
  const random = randomStream(seed, "liars");
  const first = nextBetween(random, 0, cluster.ids.length - 1);
  for (let count = 0; count < cluster.faults; count += 1) {
    const { name } = liars[(seed + count * nextBetween(random, 1, liars.length)) % liars.length] ?? { name: "silent" };
    const id = cluster.ids[(first + count) % cluster.ids.length];
    if (id !== undefined) cluster.corrupt(id, liarNamed(name));
  }
  trouble(cluster, seed);
  return recover(cluster, seed);
}

/** f replicas change a field here and there in what they should send. The faults are fewer than elsewhere, so that much is said. */
export function runMutations(seed: number): BftRun {
  const cluster = clusterFor(seed);
  const random = randomStream(seed, "mutations");
  const first = nextBetween(random, 0, cluster.ids.length - 1);
  for (let count = 0; count < cluster.faults; count += 1) {
    const id = cluster.ids[(first + count) % cluster.ids.length];
    if (id !== undefined) cluster.corrupt(id, mutating());
  }
  const pick = (): string => oneName(cluster, random);
  for (let round = 1; round <= 8; round += 1) {
    const act = nextBetween(random, 0, 7);
    if (act === 0) cluster.crash(pick());
    else if (act <= 2) cluster.partition([cluster.ids.filter((id) => id !== cluster.ids[round % cluster.ids.length])]);
    else if (act === 3) cluster.block(pick(), pick());
    else cluster.heal();
    for (const { name } of cluster.members) if (nextFraction(random) < 0.5) cluster.restart(name);
    for (const client of ["x", "y"]) cluster.submit(client, round);
    cluster.run(nextBetween(random, 20, 200));
  }
  return recover(cluster, seed);
}

function oneName({ members }: BftCluster, random: Random): string {
  return members[nextBetween(random, 0, members.length - 1)]?.name ?? "a";
}

/** Hazard B20: each twin takes part on its own side of partitions that change, and remembers what the other never knew. */
export function runTwins(seed: number): BftRun {
  const cluster = clusterFor(seed);
  for (let count = 0; count < cluster.faults; count += 1) {
    const id = cluster.ids[(seed + count) % cluster.ids.length];
    if (id !== undefined) cluster.twin(id);
  }
  const random = randomStream(seed, "twins");
  const names = cluster.members.map(({ name }) => name);
  let number = 0;
  for (let round = 0; round < 12; round += 1) {
    cluster.heal();
    const groups: [string[], string[]] = [[], []];
    for (const name of names) groups[nextBetween(random, 0, 1)]?.push(name);
    if (nextFraction(random) < 0.85) cluster.partition(groups);
    for (const client of ["x", "y"]) cluster.submit(client, (number += 1));
    cluster.run(nextBetween(random, 20, 250));
  }
  return recover(cluster, seed);
}

/**
 * Those named lie, the first of them as primary or as backup. Nothing else breaks, but the first two primaries are cut off for a while,
 * so that views change; all requests are executed.
 */
export function runNamed(names: readonly string[], replicas: number, first: number): BftCluster {
  const cluster = new BftCluster({ replicas, seed: 1 });
  for (const [count, name] of names.entries()) {
    const id = cluster.ids[(first + count) % replicas];
    if (id !== undefined) cluster.corrupt(id, liarNamed(name));
  }
  for (let number = 1; number <= 18; number += 1) {
    if (number === 6) cluster.partition([cluster.ids.slice(1)]);
    if (number === 12) cluster.partition([cluster.ids.filter((_, at) => at !== 1)]);
    if (number === 10 || number === 16) cluster.heal();
    cluster.submit("x", number).submit("y", number).run(60);
  }
  return cluster.until(() => [1, 9, 18].every((number) => cluster.isExecutedByAll(`x:${number}`)), 10_000);
}

/**
 * Clients lie beside f replicas: they ask the primary last or never, one replica alone, give different requests to different replicas under
 * one number, and ask for far more than is watched. Nobody is split, and who asks as it should is served all the time.
 */
export function runHostileClients(seed: number): BftRun {
  const random = randomStream(seed, "hostile clients");
  const cluster = new BftCluster({ seed, replicas: nextBetween(random, 4, 7) });
  const first = nextBetween(random, 0, cluster.ids.length - 1);
  for (let count = 0; count < cluster.faults; count += 1) {
    const id = cluster.ids[(first + count) % cluster.ids.length];
    const kind = liars[nextBetween(random, 0, liars.length - 1)];
    if (id !== undefined && kind !== undefined) cluster.corrupt(id, liarNamed(kind.name));
  }
  for (let round = 1; round <= 10; round += 1) {
    cluster.submit("good", round);
    const some = cluster.ids.filter(() => nextFraction(random) < 0.4);
    cluster.submit("toSome", round, some).submit("toOne", round, [oneName(cluster, random)]);
    for (const id of cluster.ids) cluster.submit("split", `${round} to ${id}`, [id]);
    if (round === 3) for (let each = 1; each <= 60; each += 1) cluster.submit("flood", each);
    cluster.run(nextBetween(random, 20, 120));
  }
  cluster.until(() => cluster.isExecutedByAll("good:1") && cluster.isExecutedByAll("good:10"), 10_000);
  return recover(cluster, seed);
}

/**
 * Members come, leave and change their keys, one at a time and now and then two at once, while one replica lies and others crash. Each
 * change is made, and whoever is a member in the end has executed what is asked for then.
 */
export function runChanges(seed: number): BftRun {
  const cluster = clusterFor(seed);
  const random = randomStream(seed, "changes");
  if (nextFraction(random) < 0.6) {
    const kind = liars[nextBetween(random, 0, liars.length - 1)];
    cluster.corrupt(oneName(cluster, random), kind === undefined ? mutating() : liarNamed(kind.name));
  }
  let members: readonly string[] = cluster.ids;
  for (let round = 1; round <= 4; round += 1) {
    const { epoch } = cluster.newest;
    const next = changedMembers(members, round, random);
    const joins = nextFraction(random) < 0.5;
    const newcomer = next.find((text) => !members.includes(text) && text.length === 1);
    if (newcomer !== undefined && joins) cluster.join(newcomer);
    cluster.submit("x", round).change(next, epoch);
    // Only one of the two counts, and it may be either.
    if (nextFraction(random) < 0.3) cluster.change(members.slice(1), epoch);
    const name = oneName(cluster, random);
    const trouble = nextBetween(random, 0, 3);
    if (trouble <= 1) cluster.crash(name);
    else if (trouble === 2)
      cluster.partition([cluster.members.map((each) => each.name).filter((each) => each !== name)]);
    cluster
      .run(nextBetween(random, 20, 400))
      .heal()
      .restart(name);
    cluster.until(() => cluster.newest.epoch > epoch, 30_000);
    if (newcomer !== undefined && !joins && cluster.newest.replicas.includes(newcomer)) cluster.join(newcomer);
    members = cluster.newest.replicas.map((id) => textOfMember(cluster, id));
    cluster.submit("y", round).run(nextBetween(random, 0, 100));
  }
  return recover(cluster, seed);
}

function textOfMember({ newest }: BftCluster, id: string): string {
  const key = newest.keys.get(id) ?? "";
  return key === "" ? id : `${id}/${key}`;
}

function changedMembers(members: readonly string[], round: number, random: Random): readonly string[] {
  const at = nextBetween(random, 0, members.length - 1);
  const [id = "a"] = (members[at] ?? "a").split("/");
  const act = nextBetween(random, 0, 2);
  if (act === 0 && members.length < 9) return [...members, "hijk"[round - 1] ?? "z"];
  if (act === 1 && members.length > 4) return members.filter((_, place) => place !== at);
  return members.map((text, place) => (place === at ? `${id}/${round}` : text));
}

/** As many seeds as there are pairs of named liars; each is one, the first of it as the primary of the first view or as a backup. */
export const pairCount = liars.length * liars.length;

export function runPair(seed: number): BftRun {
  const one = liars[seed % liars.length]?.name ?? "silent";
  const other = liars[Math.floor(seed / liars.length) % liars.length]?.name ?? "silent";
  const cluster = runNamed([one, other], 7, seed % 2);
  return { decided: cluster.decided.size, accused: cluster.evidence.length };
}

/** Clients that each ask again as soon as they have their answer, after `thinkMs`. Gives how many answers came in `ms`. */
export function underLoad(cluster: BftCluster, clients: number, ms: number, thinkMs = 0): number {
  const end = cluster.now + ms;
  const asked = new Map<string, { number: number; nextAt: number }>();
  let answers = 0;
  while (cluster.now < end) {
    for (let each = 0; each < clients; each += 1) {
      const client = `${Math.round(end)}-${each}`;
      const last = asked.get(client);
      if (last !== undefined && last.nextAt === Infinity && cluster.isAnswered(`${client}:${last.number}`)) {
        answers += 1;
        last.nextAt = cluster.now + thinkMs;
      }
      if (last !== undefined && last.nextAt > cluster.now) continue;
      const number = (last?.number ?? 0) + 1;
      asked.set(client, { number, nextAt: Infinity });
      cluster.submit(client, number);
    }
    cluster.run(2);
  }
  return answers;
}
