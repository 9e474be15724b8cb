/**
 * One simulated client: a process with the production client, which asks what the workload says and writes down what it is told.
 *
 * Owns: when it asks (at random times, several at once), that unknown outcomes are asked after, and what its process's end means: what
 * it waited for stays unknown. Leaves to others: judging (`checkers/client-judge.ts`), everything about sessions and retries
 * (`client/`). Owned by `world.ts`.
 */
import type { LowLevelMachine } from "../api/low-level.js";
import type { ClientCore } from "../client/client-core.js";
import type { ClientLimits } from "../client/limits.js";
import { NetworkedClient } from "../client/networked-client.js";
import type { CommandOutcome, OutcomeToken, QueryAnswer, Resolution } from "../client/outcome.js";
import { readLevelOf } from "../client/read-level.js";
import type { PendingCommand } from "../client/window.js";
import { maxIndex, noIndex } from "../model/ids.js";
import type { ReadLevel } from "../model/request.js";
import type { Signer } from "../ports/signatures.js";
import { encodeValue } from "../wire/canonical.js";
import type { ClientJudge } from "./checkers/client-judge.js";
import type { EventJudge } from "./checkers/event-judge.js";
import { nameOf } from "./checkers/client-judge.js";
import { describeReply } from "./checkers/order-judge.js";
import { Draw } from "./draw.js";
import type { Markers } from "./markers.js";
import type { Operation } from "./operation.js";
import { SimProcess } from "./process.js";
import type { Scheduler } from "./scheduler.js";
import { simHash } from "./sim-hash.js";
import { SimFollower } from "./sim-follower.js";
import type { SimNetwork } from "./sim-network.js";
import type { Trace } from "./trace.js";
import { WorkloadFailed, type AskedRead, type PlainAsk, type PlainWorkload } from "./workload.js";

export interface SimClientParts {
  readonly scheduler: Scheduler;
  readonly network: SimNetwork;
  readonly trace: Trace;
  readonly judge: ClientJudge;
  readonly events: EventJudge;
  readonly markers: Markers;
  readonly machine: LowLevelMachine;
  readonly workload: PlainWorkload;
  readonly endpoints: readonly string[];
  readonly clusterId: string;
  readonly limits: ClientLimits;
  /** It asks f + 1 replicas before it believes the outcome of a command. */
  readonly isVoting: boolean;
  /** Where replicas may lie. */
  readonly signer: Signer | undefined;
  /** False of the address of a replica that lies: what it says alone is no measure. */
  readonly isBelieved: (address: string) => boolean;
  /** Milliseconds between two questions, on average, and how many may be unanswered. */
  readonly paceMs: number;
  readonly outstandingMax: number;
  /** A question is given up after a time up to this. */
  readonly timeoutMsMax: number;
  readonly turnMsMax: number;
  /** Whether one more operation may be asked; counts it. */
  readonly takeOperation: () => boolean;
  readonly threw: (who: string, cause: unknown) => void;
}

export class SimClient {
  readonly id: string;
  readonly #parts: SimClientParts;
  readonly #draw: Draw;
  readonly #pace: Draw;
  readonly #outstanding = new Set<Operation>();
  readonly #follower: SimFollower | undefined;
  #starts = 0;
  /** Connections so far. */
  #links = 0;
  /** The newest index that it was told of. */
  #newest = noIndex;
  #process: SimProcess | undefined;
  #client: NetworkedClient | undefined;

  constructor(id: string, parts: SimClientParts) {
    this.id = id;
    this.#parts = parts;
    this.#draw = new Draw(parts.scheduler.random(`workload ${id}`));
    this.#pace = new Draw(parts.scheduler.random(`pace ${id}`));
    const { machine, events, scheduler, markers, trace } = parts;
    const draw = new Draw(scheduler.random(`follows ${id}`));
    const names = machine.eventNames ?? [];
    if (names.length > 0)
      this.#follower = new SimFollower({ who: id, name: draw.pick(names), judge: events, draw, markers, trace });
  }

  get outstanding(): number {
    return this.#outstanding.size;
  }

  /** Everything in entries below this was told to whoever follows events here; infinity if nobody does. */
  get followedTo(): number {
    return this.#process === undefined ? Infinity : (this.#follower?.followedTo ?? Infinity);
  }

  get status(): ReturnType<ClientCore["status"]> | undefined {
    return this.#client?.core.status();
  }

  get process(): SimProcess | undefined {
    return this.#process;
  }

  start(): void {
    // Two kills may overlap: the end of the first has started it already.
    if (this.#process !== undefined) return;
    const { scheduler, network, machine, endpoints, clusterId, limits, turnMsMax, threw, isVoting } = this.#parts;
    this.#starts += 1;
    const process = new SimProcess(scheduler, `${this.id}.${this.#starts}`, {
      turnMsMax,
      onThrow: (cause) => threw(this.id, cause),
    });
    this.#process = process;
    const entropy = new Draw(scheduler.random(`entropy ${process.name}`));
    process.run(() => {
      this.#client = new NetworkedClient({
        clock: process.clock,
        network: network.attach(process, this.id),
        hash: simHash,
        entropy: { bytes: (count) => Uint8Array.from({ length: count }, () => entropy.between(0, 255)) },
        endpoints: rotated(endpoints, this.#pace.between(0, endpoints.length - 1)),
        limits,
        machine,
        clusterId,
        name: this.id,
        isVoting,
        signer: this.#parts.signer,
        linkChanged: () => void (this.#links += 1),
        closed: () => {},
      });
      this.#client.input((core, now) => core.start(now));
      if (this.#parts.paceMs === Infinity) return;
      this.#askLater(process);
      this.#follower?.start(process, this.#client, () => this.#isBelieving);
    });
  }

  /** Nobody will ever know what became of what it waited for. */
  kill(): void {
    const process = this.#process;
    if (process === undefined) return;
    process.kill();
    this.#parts.network.onProcessEnd(process, "killed");
    for (const operation of this.#outstanding) this.#end(operation, { kind: "unknown", cause: "the client has died" });
    this.#process = undefined;
    this.#client = undefined;
  }

  /** Asks now; the operation's end is written when it is known. Refused without effect if no client runs. */
  ask({ kind, name, value, read: asked }: PlainAsk, timeoutMs: number): Operation | undefined {
    const { machine, judge, scheduler, trace, isVoting } = this.#parts;
    const client = this.#client;
    if (client === undefined) return undefined;
    const input = admit(machine, name, value);
    const read = this.#levelOf(asked ?? "linearizable");
    const isVotedOn = isVoting && kind === "command";
    const calledAt = scheduler.now;
    const operation = judge.begin({ client: this.id, kind, name, value, input, read, isVotedOn, calledAt });
    this.#outstanding.add(operation);
    trace.addOften(
      this.id,
      operation.number,
      () => `asks ${operation.number}: ${name} ${textOf(value)}${readText(read)}`,
    );
    client.input((core, now) => {
      const deadline = now + timeoutMs;
      if (kind === "query") {
        const completion = { settle: (answer: QueryAnswer) => this.#onQuery(operation, answer) };
        return core.query({ name, input, read, deadline, completion }, now);
      }
      const completion = { settle: (outcome: CommandOutcome) => this.#onCommand(operation, outcome, () => pending) };
      const pending = core.command({ name, input, idempotency: undefined, deadline, completion }, now);
      return pending;
    });
    return operation;
  }

  #levelOf(asked: AskedRead): ReadLevel {
    if (asked === "ownWrites") return { kind: "atLeast", index: this.#newest };
    const level = readLevelOf(asked);
    if (typeof level === "string") throw new WorkloadFailed(level);
    return level;
  }

  #askLater(process: SimProcess): void {
    const delay = -Math.log(1 - this.#pace.fraction()) * this.#parts.paceMs;
    process.post(delay, () => {
      this.#askLater(process);
      if (this.#outstanding.size >= this.#parts.outstandingMax || !this.#parts.takeOperation()) return;
      this.ask(
        drawn(this.#parts.workload, this.#draw),
        this.#pace.spread(this.#parts.timeoutMsMax / 20, this.#parts.timeoutMsMax),
      );
    });
  }

  #onCommand(operation: Operation, outcome: CommandOutcome, askedAs: () => PendingCommand): void {
    switch (outcome.status) {
      case "answered": {
        const { session, number } = askedAs();
        this.#newest = maxIndex(this.#newest, outcome.index);
        this.#parts.judge.answered(operation, { session: session ?? 0, number: number ?? 0 }, outcome.reply);
        return this.#finish(operation, () => describeReply(outcome.reply));
      }
      case "refused":
        return this.#end(operation, { kind: "refused", refusal: outcome.refusal });
      case "unknown":
        if (this.#pace.chance(0.3)) return this.#end(operation, { kind: "unknown", cause: outcome.cause });
        return this.#resolve(operation, outcome.token);
    }
  }

  #onQuery(operation: Operation, answer: QueryAnswer): void {
    if (answer.status === "refused") return this.#end(operation, { kind: "refused", refusal: answer.refusal });
    if (!this.#isBelieving) return this.#end(operation, { kind: "unknown", cause: "told by a liar" });
    const { outcome, index, ageMs } = answer;
    operation.link = this.#links;
    this.#newest = maxIndex(this.#newest, index);
    this.#parts.judge.read(operation, { outcome, index, ageMs });
    this.#finish(operation, () => `${outcome.status} at ${index}, ${ageMs} ms old`);
  }

  #resolve(operation: Operation, token: OutcomeToken): void {
    const completion = { settle: (resolution: Resolution) => this.#onResolved(operation, token, resolution) };
    // Asked from within an answer: the core takes it as an input of its own, once that one has ended.
    this.#process?.post(0, () => {
      this.#client?.input((core, now) =>
        core.resolve({ token, deadline: now + this.#parts.timeoutMsMax, completion }, now),
      );
    });
  }

  #onResolved(operation: Operation, token: OutcomeToken, resolution: Resolution): void {
    switch (resolution.status) {
      case "executed":
        if (resolution.reply === undefined)
          return this.#end(operation, { kind: "unknown", cause: "executed, its reply is gone" });
        this.#parts.judge.answered(operation, token, resolution.reply);
        this.#parts.markers.ended("executed");
        return this.#finish(operation, () => `resolved as ${describeReply(resolution.reply)}`);
      case "notExecuted":
        return this.#end(operation, { kind: "notExecuted" });
      case "lost":
      case "refused":
        return this.#end(operation, { kind: "unknown", cause: `resolve: ${resolution.status}` });
    }
  }

  /** Whoever speaks to it lies by no plan. */
  get #isBelieving(): boolean {
    const { signer, isBelieved } = this.#parts;
    if (signer === undefined) return true;
    const address = this.#client?.core.status().connectedTo;
    return address !== undefined && isBelieved(address);
  }

  #end(operation: Operation, told: NonNullable<Operation["end"]>): void {
    const end = this.#parts.judge.trusted(operation, told);
    operation.end = end;
    if (end.kind === "unknown" || end.kind === "notExecuted") this.#parts.markers.ended(end.kind);
    this.#finish(operation, () => (end.kind === "refused" ? `refused ${end.refusal.code}` : end.kind));
  }

  #finish(operation: Operation, how: () => string): void {
    const { scheduler, trace } = this.#parts;
    operation.endedAt = scheduler.now;
    this.#outstanding.delete(operation);
    trace.addOften(this.id, -operation.number, () => `${nameOf(operation)}: ${how()}`);
  }
}

/** What a client asks is not the product's fault. */
function drawn(workload: PlainWorkload, draw: Draw): PlainAsk {
  try {
    return workload(draw);
  } catch (cause) {
    throw new WorkloadFailed(`The workload threw: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

function admit(machine: LowLevelMachine, name: string, value: unknown): Uint8Array {
  if (!machine.commandNames.includes(name) && !machine.queryNames.includes(name))
    throw new WorkloadFailed(`Cannot ask ${name}: ${machine.name} has no such command or query`);
  let admitted: ReturnType<LowLevelMachine["admit"]>;
  try {
    admitted = machine.admit(name, encodeValue(value));
  } catch (cause) {
    throw new WorkloadFailed(`Cannot ask ${name}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  if ("then" in admitted)
    throw new WorkloadFailed(`Cannot ask ${name}: its schema validates asynchronously, and a simulation does not wait`);
  if (admitted.status === "invalid") throw new WorkloadFailed(`Cannot ask ${name}: ${admitted.message}`);
  return admitted.input;
}

function rotated<Item>(items: readonly Item[], by: number): readonly Item[] {
  return [...items.slice(by), ...items.slice(0, by)];
}

function readText(read: ReadLevel): string {
  if (read.kind === "linearizable") return "";
  if (read.kind === "atLeast") return ` at least at ${read.index}`;
  return read.kind === "maxStaleness" ? ` at most ${read.ms} ms old` : ` ${read.kind}`;
}

/** For people. */
function textOf(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  const fields = Object.entries(value).map(([name, field]) => `${name}=${String(field)}`);
  return fields.join(" ");
}
