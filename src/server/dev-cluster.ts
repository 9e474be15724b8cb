/**
 * A whole cluster on this machine, each replica in a process of its own: what `quorate dev` runs.
 *
 * Owns: founding a cluster once, starting its processes, starting a dead one again, stopping them all. Leaves to others: what a
 * process does (`replica-process.ts`), what is remembered (`dev-record.ts`), what people see (`commands/dev.ts`, `card.ts`).
 * Invariant: a replica is told to bootstrap only while the record says that it never took part.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { nodeDisk } from "../node/disk.js";
import { defaultFaultModel, type EnginePlace, type FaultModel } from "../api/config.js";
import type { LowLevelMachine } from "../api/low-level.js";
import { twin, type Lie } from "../sim/lies.js";
import { readRecord, writeRecord, type DevRecord, type DevReplica } from "./dev-record.js";
import { afterRecovery } from "./dev-recovery.js";
import { signingFlags, withKey } from "./dev-keys.js";
import { membersOfTwin, placeTwin, type DevTwin } from "./dev-twin.js";
import { CommandFailure, exitCodes, usageFailure } from "./exit-codes.js";
import { checkFree, choosePorts, loopbackHost } from "./free-ports.js";
import { loadMachine, prepareMachine } from "./machine-module.js";
import { bundledName } from "./options.js";
import type { ProcessEvent } from "./replica-process.js";

export interface DevOptions {
  readonly replicas: number | undefined;
  readonly faults: FaultModel | undefined;
  /** How the first replica lies, if it does. */
  readonly lie: Lie | typeof twin | undefined;
  readonly dataDir: string;
  readonly ephemeral: boolean;
  /** Where each kind of port starts; 0 takes any free ones; `undefined` the recorded or usual ones. */
  readonly ports: Readonly<Record<PortKind, number | undefined>>;
  readonly machine: string | undefined;
  readonly engine: EnginePlace | undefined;
  readonly restart: boolean;
}

export type PortKind = "redis" | "http" | "client" | "peer";

/** Where the usual ports start. Redis's own 6379 is left to a Redis that may run here. */
export const usualPorts: Readonly<Record<PortKind, number>> = { redis: 7379, http: 7300, client: 7200, peer: 7100 };

export type DevEvent =
  | { readonly event: "exited"; readonly id: string; readonly pid: number; readonly cause: string }
  | { readonly event: "restarted"; readonly id: string; readonly pid: number }
  | { readonly event: "leader"; readonly id: string; readonly term: number }
  /** Not started again, with the reason. */
  | { readonly event: "refused"; readonly id: string; readonly message: string };

/** One replica as the card shows it. */
export interface DevReplicaView extends DevReplica {
  readonly pid: number | undefined;
  readonly role: string;
  readonly dataDir: string;
}

const byzantineReplicasMin = 4;
const restartAfterMs = 1000;
const startMsMax = 30_000;
/** A replica that dies this often in a row before it listens is not started again. */
const earlyDeathsMax = 5;

export class DevCluster {
  readonly #dataDir: string;
  readonly #options: DevOptions;
  readonly #prepared: string;
  readonly #machine: LowLevelMachine;
  readonly #tell: (event: DevEvent) => void;
  #record: DevRecord;
  readonly #running = new Map<string, Running>();
  #twin: DevTwin | undefined;
  #leader: string | undefined;
  #leaderTerm = 0;
  #stopping = false;
  #wake: () => void = () => undefined;

  private constructor(parts: OpenedDev, options: DevOptions, tell: (event: DevEvent) => void) {
    this.#dataDir = parts.dataDir;
    this.#record = parts.record;
    this.#prepared = parts.prepared;
    this.#machine = parts.machine;
    this.#options = options;
    this.#tell = tell;
  }

  /** Founds a cluster, or opens the one that is there; nothing runs yet. */
  static async open(options: DevOptions, tell: (event: DevEvent) => void): Promise<DevCluster> {
    return new DevCluster(await openDev(options), options, tell);
  }

  /** Starts the processes; resolves when a leader is known, or when `stop` was called meanwhile. */
  async start(): Promise<void> {
    try {
      await this.#startAll();
    } catch (cause) {
      await this.stop();
      throw cause;
    }
  }

  get clusterId(): string {
    return this.#record.clusterId;
  }

  get faults(): FaultModel {
    return this.#record.faults ?? defaultFaultModel;
  }

  get machine(): LowLevelMachine {
    return this.#machine;
  }

  get dataDir(): string {
    return this.#dataDir;
  }

  get leader(): string | undefined {
    return this.#leader;
  }

  views(): readonly DevReplicaView[] {
    return this.#record.replicas.map((replica) => {
      const running = this.#running.get(replica.id);
      const isUp = running?.listening === true;
      return {
        ...replica,
        pid: running?.child?.pid,
        role: isUp ? (replica.id === this.#leader ? "leader" : "follower") : "down",
        dataDir: this.#directoryOf(replica.id),
      };
    });
  }

  /** Asks every process to stop, waits, then kills what is left; answers when all are gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wake();
    await Promise.all([...this.#running.values()].map((running) => stopChild(running)));
    if (this.#options.ephemeral) rmSync(this.#dataDir, { recursive: true, force: true });
  }

  /** Ends every process at once, without waiting: for the second signal. */
  kill(): void {
    this.#stopping = true;
    for (const { child } of this.#running.values()) child?.kill("SIGKILL");
  }

  // --- starting ---

  async #startAll(): Promise<void> {
    for (const { peer, client, http, redis } of this.#record.replicas) {
      for (const address of [peer, client, http, redis]) {
        if (address !== undefined) await checkFree(Number(address.split(":")[1]), portHint);
      }
    }
    nodeDisk.makeDirectory(join(this.#dataDir, "logs"));
    const [first] = this.#record.replicas;
    if (this.#options.lie === twin && first !== undefined) this.#twin = await placeTwin(first);
    for (const { id } of this.#record.replicas) this.#startOne(id);
    if (this.#twin !== undefined) this.#startOne(this.#twin.name);
    await this.#untilLed();
    // Only now are the addresses ours: whoever was refused since the cluster runs already must not hide it from `status`.
    writeRecord(this.#dataDir, this.#record);
  }

  /** A leader, and everyone else listening or refused. */
  async #untilLed(): Promise<void> {
    const timedOut = new Promise<"late">((done) => setTimeout(() => done("late"), startMsMax).unref());
    while (!this.#stopping && !this.#isLed()) {
      const woken = new Promise<"woken">((done) => (this.#wake = () => done("woken")));
      const failed = [...this.#running.values()].filter(({ refusal }) => refusal !== undefined);
      const needed = Math.floor(this.#record.replicas.length / 2) + 1;
      if (this.#record.replicas.length - failed.length < needed) throw failureOf(failed);
      if ((await Promise.race([woken, timedOut])) === "late")
        throw new CommandFailure(exitCodes.failure, this.#lateMessage(), {});
    }
  }

  #isLed(): boolean {
    const isSettled = [...this.#running.values()].every(({ listening, refusal }) => listening || refusal !== undefined);
    return isSettled && this.#leader !== undefined && this.#running.get(this.#leader)?.listening === true;
  }

  #lateMessage(): string {
    return `Cannot start the cluster: no leader within ${startMsMax / 1000} s. The replicas' logs are in ${join(this.#dataDir, "logs")}`;
  }

  #startOne(id: string): void {
    const before = this.#running.get(id);
    const running: Running = {
      id,
      child: undefined,
      listening: false,
      refusal: undefined,
      earlyDeaths: before?.earlyDeaths ?? 0,
    };
    this.#running.set(id, running);
    const isNew = !this.#record.bootstrapped.includes(id);
    if (!isNew && isEmpty(this.#directoryOf(id))) {
      return this.#refuse(running, wipedMessage(id, this.#directoryOf(id), this.#dataDir));
    }
    const child = spawnReplica(this.#argumentsOf(id, isNew), join(this.#dataDir, "logs", `${id}.log`));
    running.child = child;
    child.on("message", (message) => this.#onMessage(running, message as ProcessEvent));
    child.on("error", (cause) => this.#refuse(running, `Cannot run a process for replica ${id}: ${cause.message}`));
    child.on("exit", (code, signal) => this.#onExit(running, code, signal));
  }

  /** Of the process of this name. */
  #argumentsOf(name: string, isNew: boolean): readonly string[] {
    const { clusterId, replicas, faults, former = [] } = this.#record;
    const { lie } = this.#options;
    const id = this.#replicaOf(name);
    const self = replicas.find((replica) => replica.id === name);
    const double = this.#twin?.of === id ? this.#twin : undefined;
    const known = double === undefined ? replicas : membersOfTwin(replicas, double, name === double.name);
    return [
      ...["--id", id, "--cluster-id", clusterId, "--data", this.#directoryOf(name), "--machine", this.#prepared],
      ...[...known, ...former].flatMap((replica) => ["--member", memberTextOf(replica)]),
      ...(faults === "byzantine" ? signingFlags(this.#dataDir, id) : []),
      ...(lie !== undefined && lie !== twin && id === replicas[0]?.id ? ["--lie", lie] : []),
      ...["--listen-http", self?.http ?? `${loopbackHost}:0`],
      ...(self?.redis === undefined ? [] : ["--listen-redis", self.redis]),
      ...(isNew ? ["--bootstrap"] : []),
      ...(this.#options.engine === undefined ? [] : ["--engine", this.#options.engine]),
    ];
  }

  // --- what the processes tell ---

  #onMessage(running: Running, message: ProcessEvent): void {
    switch (message.event) {
      case "listening":
        running.listening = true;
        running.earlyDeaths = 0;
        this.#markBootstrapped(running.id);
        if (running.restarted === true)
          this.#tell({ event: "restarted", id: running.id, pid: running.child?.pid ?? 0 });
        break;
      case "role":
        if (message.role === "leader") this.#onLeader(this.#replicaOf(running.id), message.term);
        break;
      case "failed":
        if (message.exitCode === exitCodes.usage || message.exitCode === exitCodes.dataRefused)
          this.#refuse(running, message.message);
        else running.lastFailure = message.message;
        break;
    }
    this.#wake();
  }

  #onLeader(id: string, term: number): void {
    if (term < this.#leaderTerm || (id === this.#leader && term === this.#leaderTerm)) return;
    const isFirst = this.#leader === undefined;
    [this.#leader, this.#leaderTerm] = [id, term];
    if (!isFirst) this.#tell({ event: "leader", id, term });
  }

  #markBootstrapped(id: string): void {
    if (this.#record.bootstrapped.includes(id)) return;
    this.#record = { ...this.#record, bootstrapped: [...this.#record.bootstrapped, id].sort() };
    writeRecord(this.#dataDir, this.#record);
  }

  #onExit(running: Running, code: number | null, signal: NodeJS.Signals | null): void {
    const pid = running.child?.pid ?? 0;
    const wasListening = running.listening;
    running.listening = false;
    running.child = undefined;
    running.gone?.();
    if (this.#stopping) return;
    const ending = signal === null ? `exit code ${code ?? "unknown"}` : signal;
    const cause = running.lastFailure === undefined ? ending : `${ending}: ${running.lastFailure}`;
    this.#tell({ event: "exited", id: running.id, pid, cause });
    if (!wasListening) running.earlyDeaths += 1;
    if (running.earlyDeaths >= earlyDeathsMax) {
      this.#refuse(running, `Replica ${running.id} died ${earlyDeathsMax} times before it listened`);
    }
    this.#wake();
    if (!this.#options.restart || running.refusal !== undefined) return;
    setTimeout(() => this.#restart(running.id), restartAfterMs);
  }

  #restart(id: string): void {
    if (this.#stopping) return;
    this.#startOne(id);
    const running = this.#running.get(id);
    if (running !== undefined) running.restarted = true;
  }

  #refuse(running: Running, message: string): void {
    if (running.refusal !== undefined) return;
    running.refusal = message;
    this.#tell({ event: "refused", id: running.id, message });
    this.#wake();
  }

  /** Of the process of this name: the first replica may have two. */
  #replicaOf(name: string): string {
    return name === this.#twin?.name ? this.#twin.of : name;
  }

  #directoryOf(id: string): string {
    return join(this.#dataDir, id);
  }
}

interface Running {
  readonly id: string;
  child: ChildProcess | undefined;
  listening: boolean;
  /** Why it is not started again. */
  refusal: string | undefined;
  earlyDeaths: number;
  lastFailure?: string;
  restarted?: boolean;
  /** Called when the process is gone, while a stop waits for it. */
  gone?: () => void;
}

// --- founding ---

interface OpenedDev {
  readonly dataDir: string;
  readonly record: DevRecord;
  readonly prepared: string;
  readonly machine: LowLevelMachine;
}

const portHint =
  "Is another `quorate dev` running? Stop it, or run a cluster beside it: --ephemeral --redis-port 0 --http-port 0 --client-port 0 --peer-port 0";

async function openDev(options: DevOptions): Promise<OpenedDev> {
  const recorded = options.ephemeral ? undefined : readRecord(resolve(options.dataDir));
  const found = recorded === undefined ? undefined : afterRecovery(recorded, resolve(options.dataDir));
  const given = options.machine ?? found?.machine ?? bundledName;
  if (found !== undefined) checkSame(found, options, resolve(options.dataDir));
  const prepared = prepareMachine(given);
  // Here once, before anything is founded, instead of in each process.
  const machine = await loadMachine(prepared, given);
  const dataDir = options.ephemeral ? mkdtempSync(join(tmpdir(), "quorate-dev-")) : resolve(options.dataDir);
  const clusterId = found?.clusterId ?? `dev-${randomBytes(4).toString("hex")}`;
  if (options.lie !== undefined && (found?.faults ?? options.faults) !== "byzantine") {
    throw usageFailure("Cannot let a replica lie: under crash faults the others believe it. Give --faults byzantine");
  }
  const faults = found === undefined ? options.faults : found.faults;
  const placed = await placeReplicas(found, { ...options, faults }, given === bundledName);
  const replicas = faults === "byzantine" ? placed.map((replica) => withKey(replica, dataDir)) : placed;
  const present = replicas.map(({ id }) => id).filter((id) => hasIdentity(join(dataDir, id)));
  // A directory with an identity took part, even if we died before we could write that down.
  const bootstrapped = [...new Set([...(found?.bootstrapped ?? []), ...present])].sort();
  const record: DevRecord = {
    format: 1,
    clusterId,
    machine: given === bundledName ? given : resolve(given),
    replicas,
    bootstrapped,
    ...(found?.former === undefined ? {} : { former: found.former }),
    ...(faults === undefined ? {} : { faults }),
  };
  if (found === undefined || found !== recorded) writeRecord(dataDir, record);
  return { dataDir, record, prepared, machine };
}

/** A log of one machine means nothing to another, and members do not change yet. */
function checkSame(found: DevRecord, { replicas, machine, faults }: DevOptions, dataDir: string): void {
  const advice = `Give another directory by --data, --ephemeral, or start over: rm -rf ${dataDir}`;
  if (replicas !== undefined && replicas !== found.replicas.length) {
    throw usageFailure(
      `Cannot run ${replicas} replicas: ${dataDir} holds a cluster of ${found.replicas.length}, and its members do not change. ${advice}`,
    );
  }
  const kept = found.faults ?? defaultFaultModel;
  if (faults !== undefined && faults !== kept) {
    throw usageFailure(
      `Cannot run under ${faults} faults: the cluster in ${dataDir} was made for ${kept} faults. ${advice}`,
    );
  }
  const wanted = machine === undefined || machine === bundledName ? machine : resolve(machine);
  if (wanted !== undefined && wanted !== found.machine) {
    throw usageFailure(`Cannot run ${wanted}: the log in ${dataDir} was written by ${found.machine}. ${advice}`);
  }
}

async function placeReplicas(
  found: DevRecord | undefined,
  options: DevOptions,
  withRedis: boolean,
): Promise<DevReplica[]> {
  const isByzantine = options.faults === "byzantine";
  const count = options.replicas ?? found?.replicas.length ?? (isByzantine ? byzantineReplicasMin : 3);
  if (isByzantine && count < byzantineReplicasMin) {
    throw usageFailure(
      `Cannot run ${count} replicas under Byzantine faults: it takes four to tolerate one that lies, and seven to tolerate two`,
    );
  }
  const taken = new Set<number>();
  const place = async (kind: PortKind): Promise<readonly string[]> => {
    const recorded = found?.replicas.map((replica) => replica[kind]).filter((address) => address !== undefined) ?? [];
    const base = options.ports[kind];
    if (base === undefined && recorded.length === count) return recorded;
    const ports = await choosePorts(base ?? usualPorts[kind], count, taken);
    return ports.map((port) => `${loopbackHost}:${port}`);
  };
  const peers = await place("peer");
  const clients = await place("client");
  const https = await place("http");
  const redises = withRedis ? await place("redis") : [];
  return peers.map((peer, at) => {
    const redis = redises[at];
    const base = {
      id: found?.replicas[at]?.id ?? String.fromCharCode("a".charCodeAt(0) + at),
      peer,
      client: clients[at] ?? "",
      http: https[at] ?? "",
      ...(found?.replicas[at]?.key === undefined ? {} : { key: found.replicas[at].key }),
    };
    return redis === undefined ? base : { ...base, redis };
  });
}

function memberTextOf({ id, peer, client, key }: DevReplica): string {
  return `${id}=${peer},${client}${key === undefined ? "" : `,${key}`}`;
}

// --- processes ---

/**
 * Its own process group, so that a Ctrl-C in the terminal reaches `dev` alone, which then stops everyone in order; the channel
 * between us ends with `dev`, and the replica with the channel. Logs go to a file, which never blocks.
 */
function spawnReplica(flags: readonly string[], logFile: string): ChildProcess {
  const log = openSync(logFile, "a", 0o600);
  const main = fileURLToPath(new URL("./main.js", import.meta.url));
  const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("QUORATE_")));
  const child = spawn(process.execPath, [main, "start", ...flags], {
    detached: true,
    stdio: ["ignore", log, log, "ipc"],
    env: environment,
  });
  closeSync(log);
  return child;
}

const stopMsMax = 10_000;

function stopChild(running: Running): Promise<void> {
  const { child } = running;
  if (child === undefined) return Promise.resolve();
  return new Promise((done) => {
    const timer = setTimeout(() => child.kill("SIGKILL"), stopMsMax);
    running.gone = () => {
      clearTimeout(timer);
      done();
    };
    child.kill("SIGTERM");
  });
}

/** Written last when a directory is founded: without it, nobody has voted from there. */
function hasIdentity(directory: string): boolean {
  return existsSync(join(directory, "identity"));
}

function isEmpty(directory: string): boolean {
  return !existsSync(directory) || readdirSync(directory).length === 0;
}

function wipedMessage(id: string, directory: string, dataDir: string): string {
  return `Replica ${id} took part before, and its directory ${directory} is empty: it would vote again without knowing its votes, so it is not started. The others go on if they are a majority. To start over: rm -rf ${dataDir}`;
}

function failureOf(failed: readonly Running[]): CommandFailure {
  const messages = [...new Set(failed.map(({ refusal }) => refusal ?? ""))].join("\n");
  return new CommandFailure(exitCodes.dataRefused, messages, {});
}
