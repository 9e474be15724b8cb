/**
 * One run from one seed: a phase in which anything may happen and nothing may go wrong, then a phase in which a healed majority must
 * make progress, then every check that needs the whole.
 *
 * Owns: the phases and what a run answers. Leaves to others: the plan, the world, the faults, the rules. Called by users
 * (`quorate/sim`), by the `quorate sim` command, by tests.
 */
import type { FaultModel } from "../api/config.js";
import type { LowLevelMachine } from "../api/low-level.js";
import { newestConfiguration } from "../consensus/raft/configuration.js";
import { byzantineQuorumOf, memberOf } from "../model/membership.js";
import type { Flip } from "./checkers/memory-judge.js";
import { must, type Violation } from "./checkers/violation.js";
import { readFaults, type FaultKind } from "./faults.js";
import type { Marker } from "./markers.js";
import { Nemesis } from "./nemesis.js";
import { calmDisk, calmNetwork, drawPlan, type Plan } from "./plan.js";
import { describeFailure } from "./report.js";
import { checkWhole } from "./run-checks.js";
import type { SimReplica } from "./sim-replica.js";
import { standardMachine, standardWorkload } from "./standard-machine.js";
import { guessWorkload, plainWorkload, type PlainWorkload, type Workload } from "./workload.js";
import { nextOf } from "./upgrade.js";
import { World } from "./world.js";

export interface SimulateOptions<M extends LowLevelMachine = LowLevelMachine> {
  /** One seed is one run: whole, from 0. */
  readonly seed: number;
  /** What replicas are expected to do wrong, as `faults` of a replica's configuration. Default "crash". */
  readonly model?: FaultModel | undefined;
  /** 1 to 7, and from 4 where they may lie. Default 3, or 4. */
  readonly replicas?: number | undefined;
  /** Default 4. */
  readonly clients?: number | undefined;
  /** Asked by all clients together while faults go on. Default 1,000. */
  readonly operations?: number | undefined;
  /** Classes or kinds of faults, "all" or "none". Default "all"; each seed draws which of them it really has. */
  readonly faults?: "all" | "none" | readonly string[] | undefined;
  /** Milliseconds of simulated time after which faults end; by default when the operations are asked. */
  readonly untilMs?: number | undefined;
  /** What clients ask. By default inputs are guessed from the machine's source, which finds less. */
  readonly workload?: Workload<M> | undefined;
  /** Operations a second of all clients together; drawn from the seed by default. */
  readonly pace?: number | undefined;
  /** Default limits and a good network instead of drawn ones: for measuring. Default false. */
  readonly calm?: boolean | undefined;
  /** Keeps the lines of the trace. Default false: a failed run is run again with its trace by `assertCorrect`. */
  readonly trace?: boolean | undefined;
}

export interface SimulationResult {
  readonly plan: Plan;
  readonly machine: string;
  readonly violation: Violation | undefined;
  /** Equal for equal runs. */
  readonly traceHash: string;
  readonly simulatedMs: number;
  readonly events: number;
  readonly operations: Readonly<Record<"answered" | "refused" | "unknown" | "notExecuted", number>>;
  /** Entries decided, and leaders elected. */
  readonly entries: number;
  readonly terms: number;
  /** By kind: each was in force while an operation was under way. */
  readonly faults: Readonly<Record<FaultKind, number>>;
  readonly markers: readonly Marker[];
  readonly trace: readonly string[];
  /** Bits that flipped in memory, and what came of them. */
  readonly flips: readonly Flip[];
  /** @throws SimulationFailed with the seed, the broken rule and the trace. */
  assertCorrect(): void;
}

/** The message is the whole report: the rule, since when, how to run it again, and the trace. */
export class SimulationFailed extends Error {
  override readonly name = "SimulationFailed";
  readonly violation: Violation;

  constructor(violation: Violation, report: string) {
    super(report);
    this.violation = violation;
  }
}

/** @throws RangeError for options that no run can have, and WorkloadFailed if the workload cannot be asked. */
export function simulate<M extends LowLevelMachine>(machine: M, options: SimulateOptions<M>): SimulationResult {
  const plan = planOf(options);
  const workload = options.workload === undefined ? guessWorkload(machine) : plainWorkload(options.workload);
  return runPlan({ machine, workload: () => workload, plan, trace: options.trace === true });
}

/** The machine and the workload of sweeps. */
export function simulateStandard(options: Omit<SimulateOptions, "workload">): SimulationResult {
  return runPlan({ ...standard, plan: planOf(options), trace: options.trace === true });
}

export const standard: Pick<RunOptions, "machine" | "workload"> = {
  machine: standardMachine,
  workload: ({ keys }) => plainWorkload(standardWorkload(keys)),
};

export interface RunOptions {
  readonly machine: LowLevelMachine;
  readonly workload: (plan: Plan) => PlainWorkload;
  readonly plan: Plan;
  readonly trace: boolean;
}

export function planOf(options: Omit<SimulateOptions, "workload">): Plan {
  const { seed, model = "crash", clients = 4, operations = 1_000, faults = "all" } = options;
  const replicasMin = model === "crash" ? 1 : 4;
  const { replicas = Math.max(3, replicasMin) } = options;
  const kinds = readFaults(faults, model);
  if (typeof kinds === "string") throw new RangeError(kinds);
  checkCount("seed", seed, 0, Number.MAX_SAFE_INTEGER);
  checkCount("replicas", replicas, replicasMin, 7);
  checkCount("clients", clients, 1, 100);
  checkCount("operations", operations, 1, 1_000_000);
  if (options.untilMs !== undefined) checkCount("untilMs", options.untilMs, 1, 86_400_000);
  return drawPlan({
    seed,
    model,
    replicas,
    clients,
    operations,
    faults: kinds,
    untilMs: options.untilMs,
    pace: options.pace,
    calm: options.calm === true,
  });
}

function checkCount(name: string, value: number, min: number, max: number): void {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return;
  throw new RangeError(`Cannot simulate with ${name} ${value}: it is a whole number from ${min} to ${max}`);
}

/** Runs exactly this plan. */
export function runPlan(options: RunOptions): SimulationResult {
  const { machine, plan, workload, trace } = options;
  const isUpgraded = plan.faults.some(({ kind }) => kind === "upgrade");
  const next = isUpgraded ? nextOf(machine) : machine;
  const world = new World({ machine: next, deployed: machine, workload: workload(plan), plan, trace });
  const nemesis = new Nemesis(world, plan.faults);
  world.start();
  world.runUntil(plan.healAtMs);
  if (world.violation === undefined) heal(world, nemesis);
  if (world.violation === undefined) world.attempt("simulator", () => checkWhole(world));
  for (const replica of world.replicas) replica.report();
  for (const { status } of world.clients) if (status !== undefined) world.markers.countClient(status);
  return resultOf(options, world, nemesis);
}

/** Healed replicas have this long to serve, in the longest election time-outs, and beside it for clients' back-off. */
const healTimeouts = 20;
const healMsMin = 40_000;
/** So many views in a row may bring nothing: their primaries lie, or correct replicas must first meet in one. */
const healViews = 10;

/**
 * From here on a core of replicas has good disks, good clocks and a good network; whatever is lost for good stays lost, and others may
 * stay broken as long as a majority is not.
 */
function heal(world: World, nemesis: Nemesis): void {
  const { plan, scheduler, trace } = world;
  nemesis.endAll();
  const core = chooseCore(world);
  trace.add("nemesis", `heals ${core.map(({ id }) => id).join(" ")}`);
  restartSome(world);
  for (const from of world.hosts) {
    for (const to of world.hosts) if (from !== to) world.network.setPath(from, to, calmNetwork);
  }
  for (const replica of [...world.replicas, ...world.twins]) {
    replica.disk.speed = calmDisk;
    replica.resume();
    replica.process?.setClock({ rate: 1, wallOffsetMs: 0 });
    replica.start();
    const isLiar = world.byzantine?.isFaulty(replica.id) === true;
    if (!core.includes(replica) && !replica.isStale && !isLiar) leaveBroken(world, replica);
  }
  world.operationsLeft = plan.clients * 5;
  const { raft, byzantine } = plan.limits;
  const patienceMs =
    world.byzantine === undefined ? healTimeouts * raft.electionTimeoutMsMax : healViews * byzantine.requestMsMax;
  const deadline = scheduler.now + healMsMin + patienceMs;
  let end: number | undefined;
  // Not before everybody has asked once more, so that this phase shows something.
  while (world.violation === undefined && scheduler.now < deadline) {
    world.runUntil(scheduler.now + 20);
    const isBusy = world.operationsLeft > 0 || world.outstanding > 0 || world.memory?.isBusy === true;
    if (isBusy) continue;
    const settledAt = end ?? world.order.decided.length;
    if (!isSettled(world, core, settledAt) || !isLastVersionActive(world, core)) continue;
    // Entries may go on for ever, by time alone: so followers need only reach the end as it was.
    end ??= world.order.decided.length;
    const reached = end;
    if (world.clients.every(({ followedTo }) => followedTo > reached)) return;
  }
  world.attempt("simulator", () => {
    must(
      false,
      "V14",
      () =>
        `${Math.round((scheduler.now - plan.healAtMs) / 1_000)} s after the faults ended, ${describeStuck(world, core)}`,
    );
  });
}

/** What a disk really holds shows when it is read again: often everybody starts anew, some of them after a loss of power. */
function restartSome(world: World): void {
  const draw = world.draw("restart");
  // A start would heal memory before anybody has found that it was wrong.
  const chance = world.memory === undefined ? draw.pick([0, 0, 0.5, 1]) : 0;
  for (const replica of world.replicas) {
    if (!draw.chance(chance)) continue;
    if (draw.chance(0.5)) replica.kill();
    else replica.powerCut();
  }
}

/** Outside of the healed majority anything may stay as it is, and must not keep the others from serving. */
function leaveBroken(world: World, replica: SimReplica): void {
  const how = world.draw("left broken").pick(["gone", "stuck", "paused", "deaf", "mute", "alone", "half"] as const);
  const others = world.replicas.filter((other) => other !== replica).map(({ id }) => id);
  world.trace.add("nemesis", `leaves ${replica.id} broken: ${how}`);
  switch (how) {
    case "gone":
      return replica.retire();
    case "stuck":
      return void replica.disk.stick();
    case "paused":
      return replica.pause();
    case "deaf":
      return others.forEach((other) => void world.block(other, replica.id));
    case "mute":
      return others.forEach((other) => void world.block(replica.id, other));
    case "alone":
    case "half": {
      const cut = how === "half" ? others.slice(1) : others;
      return cut.forEach((other) => void [world.block(replica.id, other), world.block(other, replica.id)]);
    }
  }
}

/**
 * Everybody who is not lost, if any disk was damaged, since the only good copy may be anywhere, or if members change. Otherwise a majority by chance, and the others
 * are down.
 */
function chooseCore(world: World): readonly SimReplica[] {
  const { byzantine } = world;
  const alive = world.replicas.filter(
    ({ id, lostBecause, isStale }) => lostBecause === undefined && !isStale && byzantine?.isFaulty(id) !== true,
  );
  if (byzantine !== undefined && byzantine.faulty > 0) return alive;
  // Who cannot finish a command needs a checkpoint of f + 1 who can.
  const isWanted = world.plan.spares > 0 || world.memory !== undefined || world.unfinished !== undefined;
  if (world.spoiled.size > 0 || isWanted) return alive;
  const draw = world.draw("core");
  const least =
    byzantine === undefined ? Math.floor(world.replicas.length / 2) + 1 : byzantineQuorumOf(world.replicas.length);
  const size = draw.between(least, world.replicas.length);
  const first = draw.between(0, alive.length - 1);
  const order = [...alive.slice(first), ...alive.slice(0, first)];
  // Often it is the leader that is left broken: the others must notice.
  const { leader } = world;
  if (leader !== undefined && draw.chance(0.5))
    order.sort((left, right) => Number(left === leader) - Number(right === leader));
  return order.slice(0, size);
}

/** One leads, and all have executed all; if somebody else leads (a leader that some still hear stays), all whom it reaches. */
function isSettled(world: World, core: readonly SimReplica[], end: number): boolean {
  const { leader } = world;
  // Under PBFT entries go on for ever, since reads are ordered.
  if (world.administrator !== undefined) {
    const { members } = world.administrator;
    return core.every(
      ({ id, opened, lostBecause }) =>
        !members.includes(id) || lostBecause !== undefined || (opened?.executor.executedIndex ?? 0) >= end,
    );
  }
  const last = leader?.raft?.log.lastIndex;
  if (leader?.raft === undefined || last === undefined) return false;
  const { membership } = newestConfiguration(leader.raft);
  const voters = core.filter(({ id }) => memberOf(membership, id)?.role === "voter");
  return voters.every((replica) => isLevel(replica, last) || (!core.includes(leader) && !follows(replica, leader.id)));
}

function follows({ raft }: SimReplica, leader: string): boolean {
  return raft?.role.kind === "follower" && raft.role.leader === leader;
}

/** Once all replicas can run the next version, it starts. */
function isLastVersionActive({ plan, machine, replicas }: World, core: readonly SimReplica[]): boolean {
  const isUpgraded = plan.faults.some(({ kind }) => kind === "upgrade") && core.length === replicas.length;
  if (!isUpgraded || replicas.some((replica) => replica.machine !== machine)) return true;
  return replicas.every(
    ({ opened, lostBecause }) =>
      lostBecause !== undefined || opened?.executor.versions.state.active === machine.version,
  );
}

/** A replica may turn out to be lost only when it is started: its log is read then. */
function isLevel({ opened, lostBecause }: SimReplica, last: number): boolean {
  return lostBecause !== undefined || opened?.executor.executedIndex === last;
}

function describeStuck(world: World, core: readonly SimReplica[]): string {
  const leader = world.leader?.id;
  const replicas = core.map(({ id, opened, raft, bft }) => {
    const { executor } = opened ?? {};
    if (executor === undefined) return `${id} is down`;
    const of =
      raft?.log.lastIndex ??
      `${bft?.committed} in view ${bft?.view}${bft?.isChanging === true ? ", which has not begun" : ""}`;
    return `${id} has executed ${executor.executedIndex} of ${of}${raft === undefined ? "" : " entries"}`;
  });
  return `${leader === undefined ? "nobody leads" : `${leader} leads`}, ${world.outstanding} operations are unanswered and ${world.operationsLeft} not asked, events are followed up to ${world.clients.map(({ followedTo }) => followedTo).join(", ")}; ${replicas.join(", ")}`;
}

function reportOf(options: RunOptions, result: SimulationResult, violation: Violation): string {
  const { plan, machine } = result;
  const trace = options.trace ? result.trace : runPlan({ ...options, trace: true }).trace;
  return describeFailure({
    plan,
    machine,
    violation,
    trace,
    command: `simulate(${machine}, { seed: ${plan.seed}, … }) with the same options`,
  });
}

function resultOf(options: RunOptions, world: World, nemesis: Nemesis): SimulationResult {
  const { plan, machine } = options;
  const operations = { answered: 0, refused: 0, unknown: 0, notExecuted: 0 };
  for (const { end } of world.judge.operations) {
    if (end?.kind === "answered" || end?.kind === "read") operations.answered += 1;
    else operations[end?.kind ?? "unknown"] += 1;
  }
  const { network } = world;
  const result: SimulationResult = {
    plan,
    machine: machine.name,
    violation: world.violation,
    traceHash: world.scheduler.traceHash,
    simulatedMs: world.scheduler.now,
    events: world.scheduler.eventCount,
    operations,
    entries: world.order.decided.length,
    terms: world.byzantine?.views.size ?? world.order.terms,
    faults: {
      ...nemesis.counts,
      loss: network.statistics.lost,
      duplication: network.statistics.duplicated,
      reordering: network.statistics.reordered,
      ...world.byzantine?.counts,
      hostileClients: world.hostile.reduce((sum, { sentCount }) => sum + sentCount, 0),
    },
    markers: [...world.markers.reached].sort(),
    trace: world.trace.lines,
    flips: world.memory?.flips ?? [],
    assertCorrect: () => {
      const { violation } = result;
      if (violation !== undefined) throw new SimulationFailed(violation, reportOf(options, result, violation));
    },
  };
  return result;
}
