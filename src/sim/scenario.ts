/**
 * Stories: a cluster that a test drives by hand, step by step, in simulated time.
 *
 * Owns: the words (until somebody leads, cut off, crash, ask) and that a broken rule ends the story with its trace. Time passes only in
 * `pass` and `until…`. Leaves to others: everything that happens. Used by tests, ours and those of users.
 *
 *     const group = scenario({ replicas: 5, seed: 7 });
 *     const deposed = group.untilLeader();
 *     group.cutOff([deposed, group.anyOther(deposed)]);
 *     const elected = group.untilLeader({ not: deposed });
 */
import type { FaultModel, Limits } from "../api/config.js";
import type { LowLevelMachine } from "../api/low-level.js";
import type { ClientLimits } from "../client/limits.js";
import type { RaftState } from "../consensus/raft/state.js";
import type { ReplicaId } from "../model/ids.js";
import { decodeValue } from "../wire/canonical.js";
import type { DiskSnapshot } from "./disk-image.js";
import type { Operation } from "./operation.js";
import { drawPlan, type Plan } from "./plan.js";
import type { ClockFault } from "./process.js";
import { describeFailure } from "./report.js";
import { checkWhole } from "./run-checks.js";
import type { SimClient } from "./sim-client.js";
import type { SimDisk } from "./sim-disk.js";
import type { SimReplica } from "./sim-replica.js";
import { SimulationFailed } from "./simulate.js";
import { standardMachine } from "./standard-machine.js";
import { plainWorkload, type Ask } from "./workload.js";
import { World } from "./world.js";

export interface ScenarioOptions<M extends LowLevelMachine> {
  readonly machine?: M | undefined;
  /** What replicas run until `deploy`; default: the machine that clients are made for. */
  readonly deployed?: LowLevelMachine | undefined;
  /** What replicas may do wrong; default: "crash". */
  readonly model?: FaultModel | undefined;
  /** Default 3. */
  readonly replicas?: number | undefined;
  readonly seed?: number | undefined;
  /** For each client the replicas that it knows; default: one client that knows all. */
  readonly clients?: readonly (readonly ReplicaId[] | "all")[] | undefined;
  /** Sections of limits that differ from the defaults. */
  readonly limits?: { readonly [Section in keyof Limits]?: Partial<Limits[Section]> } | undefined;
  readonly clientLimits?: Partial<ClientLimits> | undefined;
  /** Any part of the plan, such as the speed of disks and network. */
  readonly plan?: Partial<Plan> | undefined;
}

/** Starts a cluster on a good day: default limits, a fast network, no faults. */
export function scenario<M extends LowLevelMachine = typeof standardMachine>(options: ScenarioOptions<M>): Scenario<M> {
  return new Scenario(options);
}

/** A wait ends in failure after so much simulated time. */
const withinMs = 60_000;

export class Scenario<M extends LowLevelMachine> {
  readonly world: World;

  constructor(options: ScenarioOptions<M>) {
    const { replicas = 3, seed = 1, clients = ["all"], machine = standardMachine, deployed, model = "crash" } = options;
    const calm = drawPlan({
      seed,
      model,
      replicas,
      clients: clients.length,
      operations: 0,
      faults: [],
      untilMs: 1,
      pace: undefined,
      calm: true,
    });
    const plan: Plan = {
      ...calm,
      paceMs: Infinity,
      limits: mergeLimits(calm.limits, options.limits ?? {}),
      clientLimits: { ...calm.clientLimits, ...options.clientLimits },
      ...options.plan,
    };
    const workload = plainWorkload(() => ({ query: "" }));
    const endpointsOf = (client: number): readonly ReplicaId[] | "all" => clients[client] ?? "all";
    this.world = new World({ machine, deployed, workload, plan, trace: true, endpointsOf });
    this.world.start();
  }

  get replicas(): readonly ReplicaId[] {
    return this.world.replicas.map(({ id }) => id);
  }

  /** Every replica but these. */
  others(...not: readonly ReplicaId[]): readonly ReplicaId[] {
    return this.replicas.filter((id) => !not.includes(id));
  }

  /** The first replica that is none of these. */
  anyOther(...not: readonly ReplicaId[]): ReplicaId {
    const [other] = this.others(...not);
    if (other === undefined) throw new RangeError("Cannot choose: there is no other replica");
    return other;
  }

  replica(id: ReplicaId): SimReplica {
    const found = this.world.replicas.find((replica) => replica.id === id);
    if (found === undefined) throw new RangeError(`Cannot find ${id}: the replicas are ${this.replicas.join(", ")}`);
    return found;
  }

  client(number = 1): SimClient {
    const found = this.world.clients[number - 1];
    if (found === undefined)
      throw new RangeError(`Cannot find client ${number}: there are ${this.world.clients.length}`);
    return found;
  }

  disk(id: ReplicaId): SimDisk {
    return this.replica(id).disk;
  }

  /** What its consensus core knows: to look at. */
  raft(id: ReplicaId): RaftState {
    const { raft } = this.replica(id);
    if (raft === undefined) throw new RangeError(`Cannot look into ${id}: it has never run`);
    return raft;
  }

  executed(id: ReplicaId): number {
    return this.replica(id).opened?.executor.executedIndex ?? 0;
  }

  /** Who leads now and knows that it does; undefined while nobody or a replica without a majority does. */
  get leader(): ReplicaId | undefined {
    return this.world.leader?.id;
  }

  pass(ms: number): this {
    this.world.runUntil(this.world.scheduler.now + ms);
    this.#check();
    return this;
  }

  /** Lets time pass until `look` finds something. */
  until<Found>(what: string, look: () => Found | undefined | false, within: number = withinMs): Found {
    const end = this.world.scheduler.now + within;
    for (;;) {
      const found = look();
      if (found !== undefined && found !== false) return found;
      if (this.world.scheduler.now >= end)
        throw new Error(`Waited ${within} ms of simulated time in vain for ${what}\n${this.traceText()}`);
      this.pass(1);
    }
  }

  untilLeader({ not, within }: { readonly not?: ReplicaId; readonly within?: number } = {}): ReplicaId {
    return this.until("a leader", () => (this.leader === not ? undefined : this.leader), within);
  }

  /** One leads, nothing is unanswered, and all that run have executed all. */
  untilQuiet(within?: number): this {
    this.until("everything to be executed everywhere", () => this.#isQuiet(), within);
    return this;
  }

  /** Asks now, through client `from`. */
  ask(
    ask: Ask<M>,
    { from = 1, timeoutMs = 30_000 }: { readonly from?: number; readonly timeoutMs?: number } = {},
  ): Operation {
    const operation = this.client(from).ask(plainWorkload(() => ask as object)(this.world.draw("ask")), timeoutMs);
    if (operation === undefined) throw new RangeError(`Cannot ask: client ${from} does not run`);
    return operation;
  }

  /** Until all of these have ended, well or not; answers their outputs (see `outputOf`). */
  untilEnded(operations: readonly Operation[], within?: number): readonly unknown[] {
    this.until("the operations to end", () => operations.every(({ end }) => end !== undefined), within);
    return operations.map(outputOf);
  }

  /** Asks, and waits for the output. */
  call(ask: Ask<M>, options: { readonly from?: number; readonly timeoutMs?: number } = {}): unknown {
    return this.untilEnded([this.ask(ask, options)])[0];
  }

  /** Nothing passes between these hosts (replicas, or clients as "c1") and all others, until `heal`. */
  cutOff(hosts: readonly string[]): this {
    for (const host of hosts) for (const other of this.world.hosts) if (!hosts.includes(other)) this.cut(host, other);
    return this;
  }

  /** Both ways, and nobody else is concerned. */
  cut(one: string, other: string): this {
    return this.cutOneWay(one, other).cutOneWay(other, one);
  }

  cutOneWay(from: string, to: string): this {
    this.#undo.push(this.world.block(from, to));
    return this;
  }

  /** The connections between these two break now, and both are told. */
  reset(one: string, other: string): this {
    this.world.network.reset(one, other);
    return this;
  }

  /** From one to the other pass so many bytes a millisecond, until `heal`. */
  narrow(from: string, to: string, bytesPerMs: number): this {
    this.world.network.setPath(from, to, { bytesPerMs });
    this.#undo.push(() => this.world.network.setPath(from, to, { bytesPerMs: Infinity }));
    return this;
  }

  /** What is sent from one to the other is held, until `heal` or the answer is called. */
  hold(from: string, to: string): () => void {
    const release = this.world.clog(from, to);
    this.#undo.push(release);
    return release;
  }

  /** Everything that was cut or held is whole again. */
  heal(): this {
    for (const undo of this.#undo.splice(0)) undo();
    return this;
  }

  /** kill -9. */
  kill(...ids: readonly ReplicaId[]): this {
    for (const id of ids) this.replica(id).kill();
    return this;
  }

  /** The power of these goes at once: what was not synced may be lost. */
  powerCut(...ids: readonly ReplicaId[]): this {
    for (const id of ids) this.replica(id).powerCut();
    return this;
  }

  start(...ids: readonly ReplicaId[]): this {
    for (const id of ids) this.replica(id).start();
    return this;
  }

  restart(...ids: readonly ReplicaId[]): this {
    return this.kill(...ids).start(...ids);
  }

  /** The next process of this replica runs another machine, such as the next version. */
  deploy(id: ReplicaId, machine: LowLevelMachine): this {
    this.replica(id).machine = machine;
    return this;
  }

  /** As SIGTERM: they answer what they have and close their logs; a supervisor starts them again a second later. */
  stop(...ids: readonly ReplicaId[]): this {
    for (const id of ids) this.replica(id).stop();
    return this;
  }

  /** A second process of a replica that runs, on the same directory. */
  startTwice(id: ReplicaId): this {
    this.replica(id).startTwin();
    this.#check();
    return this;
  }

  /** A process of a replica that runs, on a copy of its disk from before its start: others know the one that runs, and must hear no other. */
  startCopy(id: ReplicaId, copy: DiskSnapshot): this {
    this.replica(id).startCopy(copy);
    this.#check();
    return this;
  }

  /** As SIGSTOP. */
  pause(...ids: readonly ReplicaId[]): this {
    for (const id of ids) this.replica(id).pause();
    return this;
  }

  resume(...ids: readonly ReplicaId[]): this {
    for (const id of ids) this.replica(id).resume();
    return this;
  }

  clock(id: ReplicaId, fault: ClockFault): this {
    this.replica(id).process?.setClock(fault);
    return this;
  }

  /** Says that the disk of this replica is damaged by the story: only then its start may be refused. */
  spoil(id: ReplicaId): SimDisk {
    this.world.spoiled.add(id);
    return this.disk(id);
  }

  /** The power of this one goes, and an old copy of its disk is put back: it does not know what it has forgotten. */
  putBack(id: ReplicaId, copy: DiskSnapshot): this {
    this.powerCut(id).spoil(id).restore(copy);
    this.replica(id).isStale = true;
    return this;
  }

  /** The power of this one goes, and its disk with it. */
  wipe(id: ReplicaId): this {
    this.spoil(id);
    this.replica(id).wipe();
    return this;
  }

  /** As an operator: the id of a replica that was lost is given to an empty disk, where it starts; until it votes again. */
  untilReplaced(id: ReplicaId): this {
    this.world.operator.replace(this.replica(id));
    this.until(`${id} to vote again`, () => !this.world.spoiled.has(id));
    return this;
  }

  /** Every check that needs the whole run. The story's last line. */
  conclude(): void {
    this.world.attempt("scenario", () => checkWhole(this.world));
    this.#check();
  }

  traceText(lines = 200): string {
    return this.world.trace.lines.slice(-lines).join("\n");
  }

  readonly #undo: (() => void)[] = [];

  #isQuiet(): boolean {
    const last = this.world.leader?.raft?.log.lastIndex;
    const running = this.world.replicas.filter(({ isUp }) => isUp);
    return last !== undefined && this.world.outstanding === 0 && running.every(({ id }) => this.executed(id) === last);
  }

  #check(): void {
    const { violation, plan, machine, trace } = this.world;
    if (violation === undefined) return;
    const command = "run this scenario";
    throw new SimulationFailed(
      violation,
      describeFailure({ plan, machine: machine.name, violation, trace: trace.lines, command }),
    );
  }
}

/** The output of a command or query that was answered; else how it ended: "refused CODE", "unknown", "rejected CODE", … */
export function outputOf({ end }: Operation): unknown {
  if (end === undefined) return "not ended";
  if (end.kind === "refused") return `refused ${end.refusal.code}`;
  if (end.kind !== "answered" && end.kind !== "read") return end.kind;
  const outcome = end.kind === "answered" ? end.reply : end.outcome;
  if (outcome.status === "ok") return decodeValue(outcome.output);
  return outcome.status === "rejected" ? `rejected ${outcome.code}` : outcome.status;
}

function mergeLimits(base: Limits, given: { readonly [Section in keyof Limits]?: Partial<Limits[Section]> }): Limits {
  const merged = Object.entries(base).map(([section, limits]) => [
    section,
    { ...limits, ...given[section as keyof Limits] },
  ]);
  return Object.fromEntries(merged) as Limits;
}
