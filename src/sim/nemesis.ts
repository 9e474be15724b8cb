/**
 * Does what a plan's faults say, and takes it back when their time is over.
 *
 * Owns: one function for each kind of fault, whom it meets, and which faults count: only one that was in force while an operation was
 * under way. Leaves to others: which faults come (`plan.ts`), what may be damaged (`atlas.ts`). Faults touch packets, disk blocks,
 * clocks and processes, and bits in memory; nothing above. The reason for its length: it is one list.
 */
import { checkpointFiles, mayRestoreOldDisk, maySpoil, mayStartCopy, settledFile, startStale } from "./atlas.js";
import { isChanging, newestConfiguration } from "../consensus/raft/configuration.js";
import { describeChange, type Instruction } from "../model/instruction.js";
import { memberOf, type Member } from "../model/membership.js";
import { unfinishedReasons } from "../model/skip.js";
import { Draw } from "./draw.js";
import { nextFraction, randomStream } from "../base/random.js";
import { flipBit, memoryTargets } from "./memory-faults.js";
import { faultKinds, type FaultKind, type PlannedFault } from "./faults.js";
import { clockRatesOf } from "./process.js";
import type { SimReplica } from "./sim-replica.js";
import type { World } from "./world.js";

/** Takes the fault back; "once" if there is nothing to take back, undefined if it could not be done now. */
type Applied = (() => void) | "once" | undefined;

interface Force {
  readonly kind: FaultKind;
  readonly operationsBefore: number;
  readonly wasUnderWay: boolean;
  undo: () => void;
}

export class Nemesis {
  readonly #world: World;
  readonly #inForce = new Set<Force>();
  readonly counts: Record<FaultKind, number>;

  constructor(world: World, faults: readonly PlannedFault[]) {
    this.#world = world;
    this.counts = Object.fromEntries(faultKinds.map((kind) => [kind, 0])) as Record<FaultKind, number>;
    for (const fault of faults) world.scheduler.after(fault.at, () => this.#begin(fault));
  }

  /** Everything is taken back at once. */
  endAll(): void {
    for (const force of [...this.#inForce]) this.#end(force);
  }

  #begin(fault: PlannedFault): void {
    const world = this.#world;
    if (world.scheduler.now >= world.plan.healAtMs) return;
    let applied: Applied;
    world.attempt("nemesis", () => {
      applied = apply[fault.kind](world, fault);
    });
    if (applied === undefined) return;
    const force: Force = {
      kind: fault.kind,
      operationsBefore: world.judge.operations.length,
      wasUnderWay: world.outstanding > 0,
      undo: applied === "once" ? () => {} : applied,
    };
    this.#inForce.add(force);
    world.scheduler.after(fault.lastsMs, () => this.#end(force));
  }

  #end(force: Force): void {
    if (!this.#inForce.delete(force)) return;
    const world = this.#world;
    if (force.wasUnderWay || world.judge.operations.length > force.operationsBefore) this.counts[force.kind] += 1;
    world.attempt("nemesis", () => force.undo());
  }
}

/** Among those that run, more often the leader than chance would. */
function runningOf(world: World, { draws }: PlannedFault): SimReplica | undefined {
  const running = world.replicas.filter(({ isUp }) => isUp);
  if (draws[1] < 0.4 && world.leader !== undefined) return world.leader;
  return running[Math.floor(draws[0] * running.length)];
}

function anyOf(world: World, { draws }: PlannedFault): SimReplica | undefined {
  return world.replicas[Math.floor(draws[0] * world.replicas.length)];
}

function say(world: World, what: string): void {
  world.trace.add("nemesis", what);
}

function all(undos: readonly (() => void)[]): () => void {
  return () => {
    for (const undo of undos) undo();
  };
}

/** Both ways between two sets of hosts. */
function cut(world: World, left: readonly string[], right: readonly string[]): () => void {
  return all(left.flatMap((one) => right.flatMap((other) => [world.block(one, other), world.block(other, one)])));
}

/** Two different hosts, of which at least the first is a replica's. */
function pairOf(world: World, fault: PlannedFault): readonly [string, string] | undefined {
  const from = runningOf(world, fault)?.id;
  const others = world.hosts.filter((host) => host !== from);
  const to = others[Math.floor(fault.draws[2] * others.length)];
  if (from === undefined || to === undefined) return undefined;
  return fault.draws[3] < 0.5 ? [from, to] : [to, from];
}

function ends(how: "kill" | "powerCut"): (world: World, fault: PlannedFault) => Applied {
  return (world, fault) => {
    const replica = runningOf(world, fault);
    if (replica === undefined) return undefined;
    replica[how]();
    return () => replica.start();
  };
}

function endsAll(how: "kill" | "powerCut"): (world: World, fault: PlannedFault) => Applied {
  return (world, { draws }) => {
    // A group that is always down shows nothing.
    if (draws[0] < 0.5) return undefined;
    const running = world.replicas.filter(({ process }) => process !== undefined);
    for (const replica of running) replica[how]();
    return all(running.map((replica) => () => replica.start()));
  };
}

function onDisk(
  what: string,
  begin: (replica: SimReplica) => void,
  end: (replica: SimReplica) => void,
): (world: World, fault: PlannedFault) => Applied {
  return (world, fault) => {
    const replica = anyOf(world, fault);
    if (replica === undefined) return undefined;
    begin(replica);
    say(world, `${what} ${replica.id}`);
    return () => {
      end(replica);
      say(world, `${what} ${replica.id}: over`);
    };
  };
}

function fillAll(world: World): Applied {
  for (const { disk } of world.replicas) disk.setFull(true);
  say(world, "fills all disks");
  return () => {
    for (const { disk } of world.replicas) disk.setFull(false);
    say(world, "fills all disks: over");
  };
}

/** Damage at rest, to what the log itself knows to be durable. */
function damages(
  how: "flipRandomBit" | "loseWrite" | "misdirectWrite",
): (world: World, fault: PlannedFault) => Applied {
  return (world, fault) => {
    const replica = anyOf(world, fault);
    if (replica === undefined || !maySpoil(world, replica)) return undefined;
    const path = settledFile(replica, fault.draws[2]);
    const done = path === undefined ? undefined : replica.disk[how](path);
    if (done?.applied !== true) return undefined;
    world.spoiled.add(replica.id);
    say(world, `damages the disk of ${replica.id}: ${done.detail}`);
    return "once";
  };
}

/** A bit of one file of its checkpoints, or of each. They are read at the next start, or never: the next checkpoint takes their place. */
function rotCheckpoints(world: World, { draws }: PlannedFault): Applied {
  const having = world.replicas.filter((replica) => maySpoil(world, replica) && checkpointFiles(replica).length > 0);
  const replica = having[Math.floor(draws[0] * having.length)];
  if (replica === undefined) return undefined;
  replica.powerCut();
  // What was not synced is gone, or empty: nothing of it can rot.
  const files = checkpointFiles(replica).filter((path) => replica.disk.bytesOf(path).length > 0);
  const one = Math.floor(draws[1] * files.length);
  if (files.length > 0) world.spoiled.add(replica.id);
  for (const path of draws[2] < 0.5 ? files : files.slice(one, one + 1)) {
    const { detail } = replica.disk.flipBit(path, Math.floor(draws[1] * replica.disk.bytesOf(path).length), 1);
    say(world, `damages a checkpoint of ${replica.id}: ${detail}`);
  }
  return () => replica.start();
}

/** One whose membership is as wanted, while the leader says that no change is under way. */
function changeableOf(
  world: World,
  { draws }: PlannedFault,
  isWanted: (member: Member | undefined) => boolean,
): SimReplica | undefined {
  const raft = world.leader?.raft;
  if (raft === undefined || isChanging(raft)) return undefined;
  const { membership } = newestConfiguration(raft);
  const wanted = world.replicas.filter(({ id }) => isWanted(memberOf(membership, id)));
  return wanted[Math.floor(draws[0] * wanted.length)];
}

function describe(instruction: Instruction): string {
  if (instruction.kind === "change") return describeChange(instruction.change);
  return instruction.kind === "transfer" ? "hand over" : "take a checkpoint";
}

function instruct(world: World, instruction: Instruction, whenDone: () => void = () => {}): Applied {
  const { leader } = world;
  const what = describe(instruction);
  const isAsked = leader?.instruct(instruction, (outcome) => {
    world.trace.add("nemesis", `asked to ${what}: ${outcome}`);
    if (outcome === "done") whenDone();
  });
  return isAsked === true ? "once" : undefined;
}

function changed(isAsked: boolean): Applied {
  return isAsked ? "once" : undefined;
}

/** For what takes more than the four of a fault. */
function drawOf({ draws, kind }: PlannedFault): Draw {
  return new Draw(randomStream(Math.floor(draws[3] * 2 ** 32), kind));
}

/** All hosts, in two sides, and of each that runs twice one in either. Now and then one of the two is away. */
function partTwins(world: World, { draws }: PlannedFault): Applied {
  const { twins } = world;
  if (twins.length === 0) return undefined;
  const cutAt = draws[0] * 0.6 + 0.2;
  const isLeft = (host: string): boolean => {
    const twin = twins.find((each) => each.host === host);
    return twin === undefined ? mixed(hashOf(host, draws[1])) < cutAt : !isLeft(twin.id);
  };
  const left = world.hosts.filter(isLeft);
  const right = world.hosts.filter((host) => !isLeft(host));
  say(world, `parts ${left.join(" ")} from ${right.join(" ")}`);
  const undo = cut(world, left, right);
  // Those who notice at once turn to the other of the two.
  if (draws[3] < 0.7) for (const one of left) for (const other of right) world.network.reset(one, other);
  const twin = twins[Math.floor(draws[3] * twins.length)];
  const away = draws[2] < 0.1 ? twin : world.replicas.find(({ id }) => draws[2] < 0.2 && id === twin?.id);
  away?.kill();
  return all([undo, () => away?.start()]);
}

/** In one run: fewer than after which a replica is set aside for good. */
const flipsMax = 2;

const nothing = (): Applied => undefined;

const apply: Readonly<Record<FaultKind, (world: World, fault: PlannedFault) => Applied>> = {
  // Always there, in the plan of the network.
  loss: nothing,
  duplication: nothing,
  reordering: nothing,
  delay: nothing,
  // From the beginning to the end (`byzantine.ts`).
  lie: nothing,
  mutation: nothing,
  falseAnswers: nothing,
  hostileClients: nothing,
  twins: partTwins,
  split(world, { draws }) {
    const farOf = (host: string): number => mixed(hashOf(host, draws[1]));
    const replicas = [...world.replicas].sort((one, other) => farOf(one.id) - farOf(other.id));
    if (replicas.length < 2) return undefined;
    const count = 1 + Math.floor(draws[0] * (replicas.length - 1));
    const some = replicas.slice(0, count).map(({ id }) => id);
    const isLeft = (host: string): boolean =>
      some.includes(host) || (!replicas.some(({ id }) => id === host) && farOf(host) < 0.5);
    const left = world.hosts.filter(isLeft);
    const right = world.hosts.filter((host) => !isLeft(host));
    say(world, `parts ${left.join(" ")} from ${right.join(" ")}`);
    return all([cut(world, left, right), () => say(world, `heals ${left.join(" ")} and ${right.join(" ")}`)]);
  },
  partition(world, fault) {
    const cutAt = fault.draws[0] * 0.8 + 0.1;
    const side = (host: string): boolean => hashOf(host, fault.draws[1]) < cutAt;
    const left = world.hosts.filter(side);
    const right = world.hosts.filter((host) => !side(host));
    if (left.length === 0 || right.length === 0) return undefined;
    say(world, `parts ${left.join(" ")} from ${right.join(" ")}`);
    return all([cut(world, left, right), () => say(world, `heals ${left.join(" ")} and ${right.join(" ")}`)]);
  },
  bridge(world, fault) {
    // The rest still hears both: a partial partition.
    const one = runningOf(world, fault)?.id;
    const others = world.replicas.map(({ id }) => id).filter((id) => id !== one);
    const other = others[Math.floor(fault.draws[2] * others.length)];
    if (one === undefined || other === undefined) return undefined;
    say(world, `parts ${one} from ${other}, and from nobody else`);
    return cut(world, [one], [other]);
  },
  oneWay(world, fault) {
    const pair = pairOf(world, fault);
    if (pair === undefined) return undefined;
    say(world, `lets nothing through from ${pair[0]} to ${pair[1]}`);
    return world.block(pair[0], pair[1]);
  },
  isolate(world, fault) {
    const replica = runningOf(world, fault);
    if (replica === undefined) return undefined;
    const others = world.hosts.filter((host) => host !== replica.id);
    const way = fault.draws[3];
    say(world, `isolates ${replica.id}${way < 0.3 ? ", which hears nobody" : way < 0.6 ? ", whom nobody hears" : ""}`);
    if (way < 0.3) return all(others.map((host) => world.block(host, replica.id)));
    if (way < 0.6) return all(others.map((host) => world.block(replica.id, host)));
    return cut(world, [replica.id], others);
  },
  clog(world, fault) {
    const pair = pairOf(world, fault);
    if (pair === undefined) return undefined;
    say(world, `holds everything from ${pair[0]} to ${pair[1]}`);
    return world.clog(pair[0], pair[1]);
  },
  reset(world, fault) {
    const pair = pairOf(world, fault);
    if (pair === undefined) return undefined;
    say(world, `resets the connections between ${pair[0]} and ${pair[1]}`);
    world.network.reset(pair[0], pair[1]);
    return "once";
  },
  narrow(world, fault) {
    const pair = pairOf(world, fault);
    if (pair === undefined) return undefined;
    const bytesPerMs = 1 + fault.draws[2] * 50;
    say(world, `lets ${Math.round(bytesPerMs)} bytes a millisecond through from ${pair[0]} to ${pair[1]}`);
    world.network.setPath(pair[0], pair[1], { bytesPerMs });
    return () => world.network.setPath(pair[0], pair[1], { bytesPerMs: Infinity });
  },
  kill: ends("kill"),
  killAll: endsAll("kill"),
  power: ends("powerCut"),
  powerAll: endsAll("powerCut"),
  pause(world, fault) {
    const replica = runningOf(world, fault);
    if (replica === undefined) return undefined;
    say(world, `pauses ${replica.id}`);
    replica.pause();
    return () => {
      say(world, `lets ${replica.id} go on`);
      replica.resume();
    };
  },
  stop(world, fault) {
    runningOf(world, fault)?.stop();
    return "once";
  },
  startCrash(world, fault) {
    const replica = runningOf(world, fault);
    if (replica === undefined) return undefined;
    replica.powerCut();
    const operations = 1 + Math.floor(fault.draws[2] * 12);
    say(world, `lets the next start of ${replica.id} end at its disk operation ${operations}`);
    replica.disk.crashAfterOperations(operations);
    replica.start();
    return () => replica.start();
  },
  twin(world, fault) {
    const replica = runningOf(world, fault);
    if (replica === undefined) return undefined;
    replica.startTwin();
    return "once";
  },
  clientKill(world, { draws }) {
    const client = world.clients[Math.floor(draws[0] * world.clients.length)];
    if (client === undefined) return undefined;
    say(world, `kills ${client.id}`);
    client.kill();
    return () => client.start();
  },
  clientPause(world, { draws }) {
    const process = world.clients[Math.floor(draws[0] * world.clients.length)]?.process;
    if (process === undefined) return undefined;
    say(world, `pauses ${process.name}`);
    process.pause();
    return () => process.resume();
  },
  clockDrift(world, fault) {
    const process = runningOf(world, fault)?.process;
    if (process === undefined) return undefined;
    const [slowest, fastest] = clockRatesOf(world.plan.limits.lease);
    const [low, high] = fault.draws[3] < 0.5 ? [slowest, 1] : [slowest, fastest];
    const rate = low + fault.draws[2] * (high - low);
    say(world, `lets the clock of ${process.name} run ${rate.toFixed(2)} times as fast`);
    process.setClock({ rate, wallOffsetMs: 0 });
    return () => process.setClock({ rate: 1, wallOffsetMs: 0 });
  },
  clockJump(world, fault) {
    const process = runningOf(world, fault)?.process;
    if (process === undefined) return undefined;
    // Where replicas may lie, the clocks of correct ones are as close to each other as is promised.
    const { clockBoundMs } = world.plan.limits.byzantine;
    const rangeMs = world.byzantine === undefined ? 7_200_000 : 0.9 * clockBoundMs;
    const wallOffsetMs = Math.round((fault.draws[2] - 0.5) * rangeMs);
    say(world, `moves the wall clock of ${process.name} by ${wallOffsetMs} ms`);
    process.setClock({ rate: 1, wallOffsetMs });
    return () => process.setClock({ rate: 1, wallOffsetMs: 0 });
  },
  slowDisk(world, fault) {
    const latencyMsMin = 1 + fault.draws[2] * 100;
    return onDisk(
      "slows the disk of",
      ({ disk }) => {
        disk.speed = { latencyMsMin, latencyMsMax: 3 * latencyMsMin, spikeChance: 0, spikeMsMax: 0 };
      },
      ({ disk }) => {
        disk.speed = world.plan.disk;
      },
    )(world, fault);
  },
  stuckDisk: onDisk(
    "lets nothing complete on the disk of",
    ({ disk }) => disk.stick(),
    ({ disk }) => disk.unstick(),
  ),
  syncError: onDisk(
    "lets the next write fail on the disk of",
    ({ disk }) => disk.failSyncs(/./, 1),
    ({ disk }) => disk.failSyncs(/./, 0),
  ),
  readError: onDisk(
    "lets the next read fail on the disk of",
    ({ disk }) => disk.failReads(/./, 1),
    ({ disk }) => disk.failReads(/./, 0),
  ),
  fullDisk(world, fault) {
    // One full disk costs no client anything: there are others.
    if (fault.draws[3] < 0.3) return fillAll(world);
    return onDisk(
      "fills the disk of",
      ({ disk }) => disk.setFull(true),
      ({ disk }) => disk.setFull(false),
    )(world, fault);
  },
  bitRot(world, fault) {
    return (fault.draws[3] < 0.3 ? rotCheckpoints(world, fault) : undefined) ?? damages("flipRandomBit")(world, fault);
  },
  lostWrite: damages("loseWrite"),
  misdirectedWrite: damages("misdirectWrite"),
  wipe(world, fault) {
    const replica = anyOf(world, fault);
    if (replica === undefined || fault.draws[3] < 0.5 || !maySpoil(world, replica)) return undefined;
    world.spoiled.add(replica.id);
    say(world, `wipes the disk of ${replica.id}`);
    replica.wipe();
    return () => replica.start();
  },
  memberAdd(world, fault) {
    if (world.administrator !== undefined) return changed(world.administrator.add(drawOf(fault)));
    const replica = changeableOf(world, fault, (member) => member === undefined);
    if (replica === undefined) return undefined;
    replica.join();
    const { id } = replica;
    return instruct(world, {
      kind: "change",
      change: { kind: "add", id, peer: `${id}:1`, client: `${id}:2`, role: "joining" },
    });
  },
  memberRemove(world, fault) {
    if (world.administrator !== undefined) return changed(world.administrator.remove(drawOf(fault)));
    const replica = changeableOf(world, fault, (member) => member !== undefined);
    if (replica === undefined) return undefined;
    return instruct(world, { kind: "change", change: { kind: "remove", id: replica.id } });
  },
  memberReplace(world, fault) {
    if (world.administrator !== undefined) return changed(world.administrator.replace(drawOf(fault)));
    const { leader } = world;
    const replica = changeableOf(world, fault, (member) => member?.role === "voter" && member.id !== leader?.id);
    if (replica === undefined) return undefined;
    const { id } = replica;
    const change = { kind: "replace", id, peer: `${id}:1`, client: `${id}:2` } as const;
    // Its old disk is given up only when nobody counts on it.
    return instruct(world, { kind: "change", change }, () => world.scheduler.after(0, () => replica.join()));
  },
  memberKey(world, fault) {
    return changed(world.administrator?.rotate(drawOf(fault)) === true);
  },
  transfer(world, { draws }) {
    const to = draws[2] < 0.5 ? undefined : world.replicas[Math.floor(draws[0] * world.replicas.length)]?.id;
    return instruct(world, { kind: "transfer", to });
  },
  bitFlip(world, fault) {
    const executor = runningOf(world, fault)?.opened?.executor;
    const replica = world.replicas.find(({ opened }) => executor !== undefined && opened?.executor === executor);
    const isUp = world.replicas.every(({ opened }) => opened !== undefined);
    const { memory } = world;
    // One at a time: of two, nobody could say who is right. And few: memory that fails often is not trusted again.
    if (memory === undefined || memory.isBusy || memory.flips.length >= flipsMax || !isUp) return undefined;
    if (executor === undefined || replica === undefined) return undefined;
    const draw = new Draw(randomStream(Math.floor(fault.draws[3] * 2 ** 32), "bit flip"));
    const target = draw.pick(memoryTargets);
    const flipped = flipBit(executor, target, draw);
    if (flipped === undefined) return undefined;
    memory.flipped(replica.id, target);
    say(world, `flips a bit in the memory of ${replica.id}: ${flipped}`);
    return "once";
  },
  unfinished(world, { draws }) {
    const { unfinished, plan, replicas, order } = world;
    // Whose next version would not know of it, and members of whom half might be replaced.
    if (unfinished === undefined || unfinished.isAwaited || plan.spares > 0 || world.machine !== replicas[0]?.machine)
      return undefined;
    const where = draws[0] < 0.5 && unfinished.few.length > 0 ? unfinished.few : replicas.map(({ id }) => id);
    const reason = unfinishedReasons[Math.floor(draws[2] * unfinishedReasons.length)] ?? "stack";
    unfinished.add(order.decided.length + 1, where, reason);
    say(world, `lets a command be unfinished on ${where.join(" ")}: ${reason}`);
    return "once";
  },
  upgrade(world, { draws }) {
    // As an operator does it, one after the other: whoever has the next version keeps it.
    const older = world.replicas.filter(({ isUp, machine }) => isUp && machine !== world.machine);
    const replica = older[Math.floor(draws[0] * older.length)];
    if (replica === undefined) return undefined;
    say(world, `gives ${replica.id} version ${world.machine.version}`);
    replica.machine = world.machine;
    replica.kill();
    return () => replica.start();
  },
  oldDisk(world, fault) {
    const replica = anyOf(world, fault);
    if (replica === undefined || !replica.isUp || !maySpoil(world, replica)) return undefined;
    const copy = replica.disk.copy();
    say(world, `copies the disk of ${replica.id}`);
    return () => {
      if (!maySpoil(world, replica)) return;
      if (world.byzantine === undefined && !mayRestoreOldDisk(world, replica)) return;
      world.spoiled.add(replica.id);
      replica.powerCut();
      replica.disk.restore(copy);
      say(world, `puts the copy back into ${replica.id}`);
      // It may say something else than it has said, as a liar.
      world.byzantine?.distrust(replica.id, "has forgotten what it promised");
      startStale(world, replica);
    };
  },
  copiedDisk(world, fault) {
    const replica = runningOf(world, fault);
    if (replica === undefined || world.spoiled.has(replica.id)) return undefined;
    replica.kill();
    const copy = replica.disk.copy();
    say(world, `copies the disk of ${replica.id}, which does not run`);
    replica.start();
    return () => {
      if (mayStartCopy(world, replica)) replica.startCopy(copy);
    };
  },
};

/** Hosts whose names differ little are far apart. */
function mixed(part: number): number {
  return nextFraction(randomStream(Math.floor(part * 2 ** 32), "side"));
}

/** In [0, 1): on which side a host is, by the fault's own draw. */
function hashOf(host: string, draw: number): number {
  let hash = Math.floor(draw * 0x7fff_ffff);
  for (let at = 0; at < host.length; at += 1) hash = Math.imul(hash ^ host.charCodeAt(at), 0x0100_0193);
  return ((hash ^ (hash >>> 15)) >>> 0) / 0x1_0000_0000;
}
