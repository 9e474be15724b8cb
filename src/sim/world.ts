/**
 * A whole cluster with its clients on simulated hosts: built from a plan, moved on by the scheduler.
 *
 * Owns: the parts and how they are joined, what is broken in the network now (blocks and clogs are counted, since faults overlap), and
 * the first violation, which ends the run. Leaves to others: when faults come (`nemesis.ts`, `scenario.ts`), phases (`simulate.ts`).
 */
import type { Limits } from "../api/config.js";
import type { LowLevelMachine } from "../api/low-level.js";
import { Executor } from "../execution/executor.js";
import type { ReplicaId } from "../model/ids.js";
import { liarsMaxOf, type Member } from "../model/membership.js";
import { InvariantViolation } from "../base/invariant.js";
import { Administrator } from "./administrator.js";
import { ByzantineSide } from "./byzantine.js";
import { checkCopies } from "./checkers/copies.js";
import { checkQueues } from "./checkers/queues.js";
import { checkStalls } from "./checkers/stalls.js";
import { ClientJudge } from "./checkers/client-judge.js";
import { EventJudge } from "./checkers/event-judge.js";
import { MemoryJudge } from "./checkers/memory-judge.js";
import { OrderJudge } from "./checkers/order-judge.js";
import { must, RuleBroken, rules, type Violation } from "./checkers/violation.js";
import { Draw } from "./draw.js";
import { HostileClient } from "./hostile-client.js";
import { Markers } from "./markers.js";
import { Operator } from "./operator.js";
import type { Plan } from "./plan.js";
import { clockRatesOf } from "./process.js";
import { Scheduler } from "./scheduler.js";
import { SimClient } from "./sim-client.js";
import { simHash } from "./sim-hash.js";
import { SimDisk } from "./sim-disk.js";
import { SimNetwork } from "./sim-network.js";
import { SimReplica, type SimReplicaParts } from "./sim-replica.js";
import { standardMachine } from "./standard-machine.js";
import { Trace } from "./trace.js";
import { UnfinishedSteps } from "./unfinished.js";
import { WorkloadFailed, type PlainWorkload } from "./workload.js";

export interface WorldOptions {
  readonly machine: LowLevelMachine;
  /** What replicas run at first; default: the machine that clients are made for. */
  readonly deployed?: LowLevelMachine | undefined;
  readonly workload: PlainWorkload;
  readonly plan: Plan;
  /** Keeps the trace's lines. */
  readonly trace: boolean;
  /** The replicas that a client knows, by its number from 0; default: all. */
  readonly endpointsOf?: ((client: number) => readonly ReplicaId[] | "all") | undefined;
}

const clusterId = "simulated";
const queueCheckMs = 250;
const memoryCheckMs = 20;
/** Where no memory fails a scrub can only be wrong itself: so it is made less often, since it takes more time than most other things. */
const soundScrubCycleMs = 5_000;
/** As a supervisor does. */
const restartMs = 1_000;
const replicaIds = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];

export class World {
  readonly plan: Plan;
  readonly machine: LowLevelMachine;
  readonly scheduler: Scheduler;
  readonly trace: Trace;
  readonly network: SimNetwork;
  readonly replicas: readonly SimReplica[];
  /** Who runs beside a replica, under its id and with its keys. */
  readonly twins: readonly SimReplica[];
  readonly clients: readonly SimClient[];
  /** Who mean harm. */
  readonly hostile: readonly HostileClient[];
  readonly order: OrderJudge;
  readonly judge: ClientJudge;
  readonly events: EventJudge;
  /** If memory fails in this run. */
  readonly memory: MemoryJudge | undefined;
  /** If replicas may lie. */
  readonly byzantine: ByzantineSide | undefined;
  /** If there are commands that cannot be finished. */
  readonly unfinished: UnfinishedSteps | undefined;
  readonly markers = new Markers();
  /** Hosts whose disk somebody has damaged: only of these a start may be refused. */
  readonly spoiled = new Set<string>();
  readonly operator: Operator;
  /** If replicas may lie: who changes the members. */
  readonly administrator: Administrator | undefined;
  /** Operations that clients may still ask. */
  operationsLeft: number;
  violation: Violation | undefined;
  readonly #blocks = new Map<string, number>();
  readonly #clogs = new Map<string, number>();

  constructor({ machine, deployed = machine, workload, plan, trace, endpointsOf }: WorldOptions) {
    this.plan = plan;
    this.machine = machine;
    this.operationsLeft = plan.operations;
    this.scheduler = new Scheduler(plan.seed);
    this.trace = new Trace(this.scheduler, trace);
    this.network = new SimNetwork(this.scheduler, { path: plan.network });
    const everybody: readonly Member[] = replicaIds.slice(0, plan.replicas + plan.spares).map((id) => {
      return { id, role: "voter", incarnation: 1, peer: `${id}:1`, client: `${id}:2` };
    });
    const founders = everybody.slice(0, plan.replicas);
    const replicas: SimReplica[] = [];
    this.replicas = replicas;
    const now = (): number => this.scheduler.now;
    const reference = this.#reference();
    this.memory =
      reference === undefined
        ? undefined
        : new MemoryJudge(replicas, { now, boundMs: memoryBoundOf(plan.limits), reference });
    this.byzantine = this.#byzantineSide(founders, everybody);
    this.unfinished = plan.faults.some(({ kind }) => kind === "unfinished")
      ? new UnfinishedSteps(this.#someOf(founders))
      : undefined;
    const isExcused = (id: ReplicaId): boolean =>
      this.memory?.isExcused(id) === true || this.byzantine?.isFaulty(id) === true;
    this.order = new OrderJudge(replicas, { now, isExcused, reference });
    const [slowestClock] = clockRatesOf(plan.limits.lease);
    this.judge = new ClientJudge(this.order, slowestClock, this.memory);
    this.events = new EventJudge(machine.eventNames ?? [], this.memory);
    for (const member of everybody) {
      replicas.push(this.#replica(deployed, member, founders.includes(member) ? founders : [...founders, member]));
    }
    this.twins = founders
      .filter(({ id }) => this.byzantine?.isTwin(id) === true)
      .map((member) => this.#twinOf(member, deployed, founders));
    this.operator = new Operator({
      scheduler: this.scheduler,
      trace: this.trace,
      markers: this.markers,
      draw: this.draw("operator"),
      spoiled: this.spoiled,
      // Where replicas may lie nobody takes the place of one that is lost.
      isStory: plan.faults.length === 0 || plan.model === "byzantine",
      leader: () => this.leader,
      attempt: (run) => this.attempt("operator", run),
    });
    this.administrator = this.#administrator();
    this.clients = Array.from({ length: plan.clients }, (_, at) => {
      const known = endpointsOf?.(at) ?? "all";
      const endpoints = everybody.filter(({ id }) => known === "all" || known.includes(id)).map(({ client }) => client);
      return this.#client(`c${at + 1}`, endpoints, workload);
    });
    this.hostile = this.#hostileClients(founders.map(({ client }) => client));
  }

  /** They need a command of which nobody else takes notice. */
  #hostileClients(endpoints: readonly string[]): readonly HostileClient[] {
    const { byzantine, machine, scheduler, network, plan } = this;
    const isStandard = machine === standardMachine || machine.previous === standardMachine;
    if (byzantine === undefined || !isStandard) return [];
    return Array.from({ length: plan.hostileClients }, (_, at) => {
      const id = `h${at + 1}`;
      const [signer, otherSigner] = [byzantine.clientSigner(id), byzantine.clientSigner(`${id} too`)];
      const { turnMsMax } = plan;
      const threw = (cause: unknown): void => this.#threw(id, cause);
      const parts = { scheduler, network, clusterId, machine, endpoints, signer, otherSigner, turnMsMax, threw };
      return new HostileClient(id, parts);
    });
  }

  get hosts(): readonly string[] {
    const replicas = [...this.replicas, ...this.twins].map(({ host }) => host);
    return [...replicas, ...[...this.clients, ...this.hostile].map(({ id }) => id)];
  }

  /** Replicas that may be lost for good while safety and progress are demanded. */
  get tolerated(): number {
    const { replicas } = this.plan;
    return this.byzantine === undefined ? Math.floor((replicas - 1) / 2) : liarsMaxOf(replicas);
  }

  get outstanding(): number {
    return this.clients.reduce((sum, client) => sum + client.outstanding, 0);
  }

  get leader(): SimReplica | undefined {
    const leading = this.replicas.filter((replica) => replica.isLeading);
    return leading.sort((left, right) => right.leads - left.leads)[0];
  }

  /** Looks at every queue and every leader now and then (rules V13 and V24). */
  #watchQueues(): void {
    this.scheduler.after(queueCheckMs, () => {
      this.#watchQueues();
      this.attempt("simulator", () => {
        for (const { id, opened, raft, lacksVersion } of this.replicas) {
          // One that is added runs what it was given: nobody waits for it. And a story may go back on purpose.
          const isForced = this.plan.spares > 0 || !this.plan.faults.some(({ kind }) => kind === "upgrade");
          const isExcused = isForced || this.byzantine?.isFaulty(id) === true;
          must(lacksVersion === undefined || isExcused, "V28", () => `${id}: ${lacksVersion}`);
          if (opened === undefined) continue;
          checkQueues(id, opened, raft, this.plan);
          checkCopies(id, opened, this.replicas);
          if (raft !== undefined) checkStalls(id, raft);
        }
      });
    });
  }

  /** Looks often: who is named too late is a broken rule. */
  #watchMemory(memory: MemoryJudge): void {
    this.scheduler.after(memoryCheckMs, () => {
      this.#watchMemory(memory);
      this.attempt("simulator", () => memory.look());
    });
  }

  #byzantineSide(founders: readonly Member[], members: readonly Member[]): ByzantineSide | undefined {
    const { scheduler, trace, markers, plan } = this;
    if (plan.model !== "byzantine") return undefined;
    const { lies, falseAnswers, limits } = plan;
    const everybody = members.map(({ id }) => id);
    const parts = { scheduler, trace, markers, clusterId, founders, everybody, lies, falseAnswers, limits };
    return new ByzantineSide(parts);
  }

  #administrator(): Administrator | undefined {
    const { scheduler, trace, markers, byzantine, replicas } = this;
    if (byzantine === undefined) return undefined;
    const attempt = (run: () => void): void => this.attempt("administrator", run);
    const draw = this.draw("administrator");
    return new Administrator({ scheduler, trace, markers, draw, clusterId, byzantine, replicas, attempt });
  }

  /** What the order alone says, where a replica's memory cannot be believed. */
  #reference(): Executor | undefined {
    if (!this.plan.faults.some(({ kind }) => kind === "bitFlip")) return undefined;
    return new Executor({ machine: this.machine, hash: simHash, limits: this.plan.limits, founders: { members: [] } });
  }

  /** Up to as many as may be away. */
  #someOf(members: readonly Member[]): readonly ReplicaId[] {
    const draw = this.draw("cannot finish");
    const first = draw.between(0, members.length - 1);
    return [...members, ...members]
      .slice(first, first + Math.min(this.tolerated, draw.between(1, members.length)))
      .map(({ id }) => id);
  }

  /** A stream of draws by name. */
  draw(name: string): Draw {
    return new Draw(this.scheduler.random(name));
  }

  start(): void {
    this.#watchQueues();
    if (this.memory !== undefined) this.#watchMemory(this.memory);
    for (const [at, replica] of this.replicas.slice(0, this.plan.replicas).entries()) {
      const operations = this.plan.foundingEndsAt[at];
      if (operations !== undefined) replica.disk.crashAfterOperations(operations);
      replica.start();
    }
    for (const twin of this.twins) twin.start();
    for (const client of [...this.clients, ...this.hostile]) client.start();
  }

  /** Moves on to this time, or to the first violation. */
  runUntil(time: number): void {
    while (this.violation === undefined && this.scheduler.step(time));
  }

  /** Runs a check or a fault that is no event of a process; what it breaks ends the run. */
  attempt(who: string, run: () => void): void {
    try {
      run();
    } catch (cause) {
      this.#threw(who, cause);
    }
  }

  /** Packets from one host to another vanish until this is undone. */
  block(from: string, to: string): () => void {
    return this.#overlay(this.#blocks, from, to, (isBlocked) => this.network.setPath(from, to, { isBlocked }));
  }

  /** Packets from one host to another are held until this is undone. */
  clog(from: string, to: string): () => void {
    return this.#overlay(this.#clogs, from, to, (isClogged) => this.network.setPath(from, to, { isClogged }));
  }

  #overlay(counts: Map<string, number>, from: string, to: string, set: (isOn: boolean) => void): () => void {
    const key = `${from}>${to}`;
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    if (count === 1) set(true);
    let isUndone = false;
    return () => {
      if (isUndone) return;
      isUndone = true;
      const left = (counts.get(key) ?? 1) - 1;
      counts.set(key, left);
      if (left === 0) set(false);
    };
  }

  /** Of the replica at this place: priorities alone differ. */
  #limitsOf(at: number): Limits {
    const { limits, priorities } = this.plan;
    return { ...limits, raft: { ...limits.raft, priority: priorities[at] ?? limits.raft.priority } };
  }

  #replica(machine: LowLevelMachine, member: Member, members: readonly Member[]): SimReplica {
    return new SimReplica(member, this.#partsOf(member.id, machine, members));
  }

  /** Whoever cannot reach the one reaches the other. */
  #twinOf(member: Member, machine: LowLevelMachine, members: readonly Member[]): SimReplica {
    const host = `${member.id}'`;
    const parts = this.#partsOf(host, machine, members);
    const twin: SimReplica = new SimReplica(
      { ...member, peer: `${host}:1`, client: `${host}:2` },
      {
        ...parts,
        threw: (_, cause) => {
          if (cause instanceof WorkloadFailed) throw cause;
          this.#stopItself(twin, cause);
        },
        refused: () => {},
        ended: () => {},
      },
    );
    this.network.standIn(member.id, host);
    return twin;
  }

  #partsOf(host: string, machine: LowLevelMachine, members: readonly Member[]): SimReplicaParts {
    const { scheduler, network, trace, order, markers, plan } = this;
    const disk = new SimDisk(scheduler, host);
    disk.speed = plan.disk;
    return {
      host,
      scheduler,
      network,
      disk,
      trace,
      judge: order,
      scrubCycleMs: this.memory === undefined ? soundScrubCycleMs : undefined,
      machine,
      members,
      isAbsent: this.byzantine !== undefined && replicaIds.indexOf(host) >= plan.replicas,
      clusterId,
      limits: this.#limitsOf(this.replicas.length),
      turnMsMax: plan.turnMsMax,
      threw: (who, cause) => this.#threw(who, cause),
      refused: (id, code, message) => {
        const lost = this.replicas.find((replica) => replica.id === id);
        if (this.spoiled.has(id) && lost !== undefined) return this.operator.onLost(lost);
        this.#threw(id, new RuleBroken("V15", `${code}: ${message}`));
      },
      markers,
      byzantine: this.byzantine,
      unfinished: this.unfinished,
      setAside: (id) => this.memory?.setAside(id),
      found: (id, finding) => this.memory?.found(id, finding),
      ended: (id) => {
        for (const other of this.replicas) if (other.id !== id) other.copy?.end(`${id} has forgotten the first`);
      },
    };
  }

  #client(id: string, endpoints: readonly string[], workload: PlainWorkload): SimClient {
    const { scheduler, network, trace, judge, events, machine, markers, plan, memory, byzantine } = this;
    const { clientLimits: limits, paceMs, outstandingMax, timeoutMsMax, turnMsMax } = plan;
    return new SimClient(id, {
      scheduler,
      network,
      trace,
      judge,
      events,
      markers,
      machine,
      workload,
      endpoints,
      clusterId,
      limits,
      // Half of them where memory fails: the others are told what one replica has.
      isVoting:
        byzantine !== undefined || (memory !== undefined && new Draw(scheduler.random(`votes ${id}`)).chance(0.5)),
      signer: byzantine?.clientSigner(id),
      isBelieved: (address) => byzantine?.isFaulty(address.split(":")[0] ?? "") !== true,
      paceMs,
      outstandingMax,
      timeoutMsMax,
      turnMsMax,
      takeOperation: () => {
        if (this.operationsLeft <= 0) return false;
        this.operationsLeft -= 1;
        return true;
      },
      threw: (who, cause) => this.#threw(who, cause),
    });
  }

  /** Its memory is wrong, or it lies, and it has noticed that by itself: it ends, as any that breaks an invariant, and starts anew. */
  #stopItself(replica: SimReplica, cause: unknown): void {
    this.trace.add(replica.host, `has failed: ${describeThrown(cause)}`);
    this.memory?.stopped(replica.id);
    replica.kill();
    this.scheduler.after(restartMs, () => replica.start());
  }

  #threw(who: string, cause: unknown): void {
    if (cause instanceof WorkloadFailed) throw cause;
    if (this.violation !== undefined) return;
    const replica = this.replicas.find(({ id }) => id === who);
    const isExcused = this.memory?.isExcused(who) === true || this.byzantine?.isFaulty(who) === true;
    if (replica !== undefined && isExcused) return this.#stopItself(replica, cause);
    const rule = cause instanceof RuleBroken ? cause.rule : "V1";
    const fact = cause instanceof RuleBroken ? cause.message : `${who}: ${describeThrown(cause)}`;
    this.violation = { rule, claim: rules[rule], fact, at: this.scheduler.now };
    this.trace.add(who, `breaks ${rule}: ${fact}`);
  }
}

/** A cycle of the scrubber and what is left of the one before it, a position, its reports, and as long again for what is slow in a run. */
function memoryBoundOf({ audit }: Limits): number {
  return 2 * (2_000 + audit.everyMs + 2_000) + audit.reportMs;
}

/** The first lines of the stack, without the machine's paths, so that a trace is the same everywhere. */
function describeThrown(cause: unknown): string {
  if (cause instanceof InvariantViolation) return `invariant ${cause.message}`;
  return cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
}
