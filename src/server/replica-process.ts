/**
 * One replica as a process of its own: what `quorate start` runs, and what `quorate dev` runs several of.
 *
 * Owns: the order of opening (logs, machine, replica, doors) and of closing, signals, and the exit code. Leaves to others: the
 * replica (`node/create-replica.ts`), the doors (`http.ts`, `resp/`), configuration (`settings.ts`). Reports to a parent process,
 * if there is one, over the channel that it opened; a replica whose parent is gone stops, so that none is left behind.
 */
import { defaultEnginePlace, enginePlaces, type EnginePlace } from "../api/config.js";
import type { ForbiddenUse, LowLevelMachine } from "../api/low-level.js";
import type { Replica } from "../api/replica.js";
import { InvariantViolation } from "../base/invariant.js";
import type { RoleView } from "../consensus/vocabulary.js";
import { CannotStart, startReplica, type ReplicaOptions } from "../node/create-replica.js";
import { newLongestTurns, reportOf, resetTurns, watchEventLoop } from "../node/event-loop.js";
import type { EventLoopWatch, LongestTurns } from "../node/event-loop.js";
import { DiskError } from "../ports/disk.js";
import { formatAddress, isLoopback, parseAddress } from "../node/network.js";
import { healthy, type EngineHealth } from "../replica/channel.js";
import { tellFinding, tellQuarantine } from "./divergence-log.js";
import { CommandFailure, exitCodes, usageFailure, type ExitCode } from "./exit-codes.js";
import { corruptingOutputs, lies, lyingBy, type Liar, type Lie, type Outgoing } from "../sim/lies.js";
import { keyOfName } from "../wire/key-name.js";
import { handshakeRefusals } from "../wire/handshake.js";
import { openHttpAudit } from "./http-audit.js";
import { openHttpEvents } from "./http-events.js";
import { openHttpCalls } from "./http-calls.js";
import { openHttpOperator } from "./http-operator.js";
import { makeHttpApp, startHttpDoor, type HttpDoor, type ProcessStatus } from "./http.js";
import { checkKeys, readKeyFile } from "./key-file.js";
import { limitsOf } from "./limit-options.js";
import { openLogs, openSink, type Logs } from "./logs.js";
import { loadMachine, prepareMachine } from "./machine-module.js";
import { bundledName } from "./options.js";
import { openMetrics } from "./metrics.js";
import { startRespDoor, type RespDoor } from "./resp/listener.js";
import { checkRequired, countSetting, flagSetting, membersSetting, textSetting, type Settings } from "./settings.js";

/** What a parent is told. */
export type ProcessEvent =
  | { readonly event: "listening"; readonly status: ProcessStatus }
  | {
      readonly event: "role";
      readonly role: RoleView["role"];
      readonly term: number;
      readonly leader: string | undefined;
    }
  | { readonly event: "failed"; readonly exitCode: ExitCode; readonly message: string };

/** Runs until it is stopped or broken; answers the code to exit with. */
export async function runReplicaProcess(settings: Settings, report: (event: ProcessEvent) => void): Promise<ExitCode> {
  checkRequired(settings);
  checkListeners(settings);
  checkKeys(settings);
  const sink = openSink(2, countSetting(settings, "log.bufferBytesMax"));
  const logs = openLogs(textSetting(settings, "log.level") ?? "info", sink);
  try {
    return await runLogged(settings, logs, report);
  } catch (cause) {
    const failure = failureOf(cause);
    report({ event: "failed", exitCode: failure.exitCode, message: failure.message });
    logs.logger.fatal({ exitCode: failure.exitCode, ...stackOf(cause, failure) }, failure.message);
    return failure.exitCode;
  } finally {
    await logs.close();
  }
}

async function runLogged(settings: Settings, logs: Logs, report: (event: ProcessEvent) => void): Promise<ExitCode> {
  const stopped = waitForStop(logs);
  const given = textSetting(settings, "replica.machine") ?? bundledName;
  const machine = await loadMachine(prepareMachine(given), given);
  checkRedis(settings, machine);
  const eventLoop = watchEventLoop();
  const engine = enginePlaces.find((place) => place === textSetting(settings, "replica.engine")) ?? defaultEnginePlace;
  const engineTurns = engine === "worker" ? newLongestTurns() : undefined;
  const environment = { logs, report, broken: stopped.broken, engine, engineTurns };
  const replica = await openReplica(settings, machine, environment);
  const doors = await openDoors(settings, { machine, replica, logs, eventLoop, engineTurns }).catch(
    async (cause: unknown) => {
      await replica.stop();
      throw cause;
    },
  );
  report({ event: "listening", status: doors.status() });
  logs.logger.info({ ...doors.status().addresses, machine: machine.name, pid: process.pid }, "listening");
  const exitCode = await stopped.reason;
  logs.logger.info({ exitCode }, "stopping");
  // A broken replica answers nothing any more: waiting for it helps nobody.
  await doors.close(exitCode === exitCodes.ok ? countSetting(settings, "stop.drainMsMax") : 0);
  await replica.stop();
  eventLoop.stop();
  logs.logger.info({ exitCode }, "stopped");
  return exitCode;
}

// --- checks before anything is opened ---

function checkListeners(settings: Settings): void {
  if (flagSetting(settings, "listen.insecure")) return;
  for (const path of ["listen.http", "listen.redis"]) {
    const address = textSetting(settings, path);
    if (address === undefined || isLoopback(parseAddress(address).host)) continue;
    throw usageFailure(
      `Cannot listen on ${address} (${path}): other machines could reach it and nobody is authenticated. Use 127.0.0.1, or give --insecure if everyone who reaches it may read and write`,
    );
  }
}

function checkRedis(settings: Settings, machine: LowLevelMachine): void {
  if (textSetting(settings, "listen.redis") === undefined || machine.name === bundledName) return;
  throw usageFailure(
    `Cannot serve Redis clients: the machine is ${machine.name} and only ${bundledName} understands them. Leave listen.redis out`,
  );
}

// --- opening ---

interface ReplicaEnvironment {
  readonly logs: Logs;
  readonly report: (event: ProcessEvent) => void;
  readonly broken: (reason: string) => void;
  readonly engine: EnginePlace;
  readonly engineTurns: LongestTurns | undefined;
}

function openReplica(settings: Settings, machine: LowLevelMachine, environment: ReplicaEnvironment): Promise<Replica> {
  const { logger } = environment.logs;
  const isCorrupting = textSetting(settings, "replica.lie") === ("corrupt-outputs" satisfies Lie);
  return startReplica(isCorrupting ? corruptingOutputs(machine) : machine, {
    id: textSetting(settings, "replica.id") ?? "",
    clusterId: textSetting(settings, "replica.clusterId") ?? "",
    dataDir: textSetting(settings, "replica.dataDir") ?? "",
    members: membersSetting(settings).map(({ id, peer, client }) => ({
      ...{ id, peer, client, role: "voter", incarnation: 1 },
    })),
    bootstrap: flagSetting(settings, "replica.bootstrap"),
    join: flagSetting(settings, "replica.join"),
    insecure: flagSetting(settings, "listen.insecure"),
    engine: environment.engine,
    ...(environment.engineTurns === undefined ? {} : { engineTurns: environment.engineTurns }),
    ...byzantineOf(settings),
    watchdog: true,
    limits: limitsOf((path) => countSetting(settings, path)),
    onRole: ({ role, term, view, leader }) => {
      const shown = { role, term: view ?? term, leader };
      logger.info(shown, "role changed");
      environment.report({ event: "role", ...shown });
    },
    onHealth: tellHealth(logger),
    onFinding: tellFinding(logger),
    onQuarantine: tellQuarantine(logger),
    onBroken: environment.broken,
    onPeer: (peer, isConnected, cause) => logger.info({ peer, isConnected, cause }, "link to a replica changed"),
    onDropped: tellDropped(logger),
    onForbiddenUse: tellForbidden(logger),
  });
}

function byzantineOf(settings: Settings): Pick<ReplicaOptions, "byzantine"> {
  if (textSetting(settings, "replica.faults") !== "byzantine") return {};
  const path = textSetting(settings, "replica.keyFile");
  if (path === undefined) {
    throw usageFailure(
      "Cannot start under Byzantine faults without replica.keyFile: replicas sign what they say. `quorate keygen` makes a key",
    );
  }
  const keys = membersSetting(settings).flatMap(({ id, key }) => {
    const bytes = key === undefined ? undefined : keyOfName(key);
    return bytes === undefined ? [] : [[id, bytes] as const];
  });
  const id = textSetting(settings, "replica.id") ?? "";
  const way = lies.find((each) => each === textSetting(settings, "replica.lie"));
  const replicas = membersSetting(settings).map((member) => member.id);
  const lie = way && ((seal: Liar["seal"]): Outgoing => lyingBy(way, { self: id, replicas, seal }));
  const next = textSetting(settings, "replica.nextKeyFile");
  const administrator = textSetting(settings, "replica.administrator");
  return {
    byzantine: {
      signer: readKeyFile(path),
      nextSigner: next === undefined ? undefined : readKeyFile(next),
      keys: new Map(keys),
      administrator: administrator === undefined ? undefined : keyOfName(administrator),
      lie,
    },
  };
}

/** What has changed since it was told last. */
function tellHealth(logger: Logs["logger"]): (health: EngineHealth) => void {
  let told = healthy;
  return (health) => {
    const { full, stalled, resigned } = health;
    if (full !== undefined && told.full === undefined)
      logger.warn({ full }, "the disk is full: commands are refused, or left to another leader");
    if (full === undefined && told.full !== undefined) logger.info("there is space for the log again");
    if (stalled !== undefined && stalled !== told.stalled)
      logger.warn({ stalled }, "this replica cannot lead at present");
    if (stalled === undefined && told.stalled !== undefined) logger.info("this replica can lead again");
    if (resigned !== told.resigned) logger.warn({ ...resigned }, "gave leadership up");
    told = health;
  };
}

const refusalsToldMax = 64;

/**
 * What replicas have against each other (another machine, another cluster, no member) keeps this one alone without any fault of
 * its own to report, and a damaged disk is somebody's matter too, so these are warnings, once for each text; what else is dropped is routine.
 */
function tellDropped(logger: Logs["logger"]): (reason: string, detail: string) => void {
  const told = new Set<string>();
  const lasting = new Map<string, string>([
    ...handshakeRefusals
      .filter((code) => code !== "STOPPING")
      .map((code) => [code, "replicas refuse each other"] as const),
    ["damaged chunk", "the disk is damaged: a checkpoint is taken anew"],
  ]);
  return (reason, detail) => {
    const said = lasting.get(reason);
    if (said === undefined || told.has(detail) || told.size >= refusalsToldMax) {
      logger.debug({ reason, detail }, "dropped");
      return;
    }
    told.add(detail);
    logger.warn({ reason, detail }, said);
  };
}

/** Once for each place: whoever asks for the command again would fill the log. */
function tellForbidden(logger: Logs["logger"]): (use: ForbiddenUse) => void {
  const told = new Set<string>();
  return ({ where, used, message, stack, index }) => {
    const place = `${where} ${used}`;
    if (told.has(place) || told.size >= refusalsToldMax) return;
    told.add(place);
    logger.error({ index, where, used, stack }, message);
  };
}

interface DoorParts {
  readonly machine: LowLevelMachine;
  readonly replica: Replica;
  readonly logs: Logs;
  readonly eventLoop: EventLoopWatch;
  readonly engineTurns: LongestTurns | undefined;
}

interface Doors {
  status(): ProcessStatus;
  close(drainMsMax: number): Promise<void>;
}

async function openDoors(settings: Settings, parts: DoorParts): Promise<Doors> {
  const redis = await openRedis(settings, parts);
  let http: HttpDoor | undefined;
  const status = (): ProcessStatus =>
    processStatus(parts, http?.address, redis === undefined ? undefined : formatAddress(redis.host, redis.port));
  try {
    http = await openHttp(settings, { ...parts, redis }, status);
  } catch (cause) {
    await redis?.close();
    throw cause;
  }
  return {
    status,
    close: async (drainMsMax) => {
      await Promise.all([http?.close(drainMsMax), redis?.close()]);
    },
  };
}

async function openRedis(settings: Settings, { replica }: DoorParts): Promise<RespDoor | undefined> {
  const address = textSetting(settings, "listen.redis");
  if (address === undefined) return undefined;
  return startRespDoor({
    ...parseAddress(address),
    door: replica.openDoor("redis"),
    limits: { connectionsMax: countSetting(settings, "redis.connectionsMax") },
    info: () => replica.status(),
  });
}

/** Streams of events open at once; more are answered with 503. */
const eventStreamsMax = 1_024;

async function openHttp(
  settings: Settings,
  parts: DoorParts & { readonly redis: RespDoor | undefined },
  status: () => ProcessStatus,
): Promise<HttpDoor | undefined> {
  const address = textSetting(settings, "listen.http");
  if (address === undefined) return undefined;
  const { machine, replica, logs, eventLoop, engineTurns, redis } = parts;
  const answers = new Map<number, number>();
  const door = replica.openDoor("http");
  const events = openHttpEvents({ machine, door, streamsMax: eventStreamsMax });
  const calls = openHttpCalls({
    machine,
    door,
    bodyBytesMax: countSetting(settings, "http.bodyBytesMax"),
    jsonDepthMax: countSetting(settings, "http.jsonDepthMax"),
    callsPendingMax: countSetting(settings, "http.callsPendingMax"),
    callMsMax: countSetting(settings, "http.callMsMax"),
  });
  const metrics = openMetrics({
    status: () => replica.status(),
    eventLoop: eventLoop.report,
    engineEventLoop: () => (engineTurns === undefined ? undefined : reportOf(engineTurns)),
    logLinesDropped: logs.dropped,
    httpAnswers: () => answers,
    redis: () => redis?.counters(),
  });
  const app = makeHttpApp({
    calls,
    events,
    operator: openHttpOperator(replica),
    audit: openHttpAudit(replica),
    metrics,
    status,
    resetEventLoop: () => {
      eventLoop.reset();
      if (engineTurns !== undefined) resetTurns(engineTurns);
    },
    answered: (code, asked) => {
      answers.set(code, (answers.get(code) ?? 0) + 1);
      logs.logger.debug({ asked, code }, "answered over HTTP");
    },
    failed: (cause) => logs.logger.error({ cause: textOfCause(cause) }, "an HTTP request failed unexpectedly"),
    loopbackOnly: isLoopback(parseAddress(address).host),
  });
  const http = await startHttpDoor(app, address);
  return {
    address: http.address,
    close: (drainMsMax) => {
      events.close();
      return http.close(drainMsMax);
    },
  };
}

function processStatus(
  { replica, eventLoop, engineTurns }: DoorParts,
  http: string | undefined,
  redis: string | undefined,
): ProcessStatus {
  const status = replica.status();
  const self = status.members.find(({ id }) => id === status.id);
  return {
    ...status,
    pid: process.pid,
    addresses: { peer: self?.peer ?? "", client: self?.client ?? "", http, redis },
    eventLoop: eventLoop.report(),
    engineEventLoop: engineTurns === undefined ? undefined : reportOf(engineTurns),
  };
}

// --- ending ---

interface Stop {
  readonly reason: Promise<ExitCode>;
  readonly broken: (reason: string) => void;
}

/** npm passes on a Ctrl-C that the terminal has sent already: only a later signal is an impatient one. */
const impatientAfterMs = 500;

/** The first signal drains, the second exits at once; so does a parent that goes away. */
function waitForStop(logs: Logs): Stop {
  const { logger } = logs;
  let settle: (exitCode: ExitCode) => void = () => undefined;
  const reason = new Promise<ExitCode>((resolve) => (settle = resolve));
  let firstAt: number | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    const now = performance.now();
    firstAt ??= now;
    if (now - firstAt > impatientAfterMs) process.exit(signal === "SIGINT" ? 130 : 143);
    logger.info({ signal }, "asked to stop");
    settle(exitCodes.ok);
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  process.on("disconnect", () => settle(exitCodes.ok));
  endOnUnexpected(logs);
  const broken = (why: string): void => {
    logger.fatal({ reason: why }, "this replica is broken and stops; the others go on");
    settle(exitCodes.broken);
  };
  return { reason, broken };
}

/** After an exception that nobody expected the state may be half changed: going on could lie, so the process ends. */
function endOnUnexpected(logs: Logs): void {
  const end = (cause: unknown): void => {
    const exitCode = cause instanceof InvariantViolation ? exitCodes.broken : exitCodes.failure;
    logs.logger.fatal(
      { cause: textOfCause(cause), exitCode },
      "an unexpected error ends this replica; the others go on",
    );
    void logs.close().then(() => process.exit(exitCode));
  };
  process.on("uncaughtException", end);
  process.on("unhandledRejection", end);
}

function failureOf(cause: unknown): CommandFailure {
  if (cause instanceof CommandFailure) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new CommandFailure(exitCodeOf(cause), message, { cause });
}

/** Where it happened, unless the message says all there is: about usage, the directory or an address. */
function stackOf(cause: unknown, failure: CommandFailure): { readonly cause?: string } {
  if (failure.exitCode === exitCodes.failure || failure.exitCode === exitCodes.broken) {
    return { cause: textOfCause(failure.cause ?? failure) };
  }
  return cause instanceof CommandFailure && cause.cause !== undefined ? { cause: textOfCause(cause.cause) } : {};
}

function exitCodeOf(cause: unknown): ExitCode {
  if (cause instanceof CannotStart) return /^[A-Z_]+$/.test(cause.code) ? exitCodes.usage : exitCodes.dataRefused;
  if (cause instanceof InvariantViolation || cause instanceof DiskError) return exitCodes.broken;
  const system = systemCodeOf(cause) ?? (cause instanceof Error ? systemCodeOf(cause.cause) : undefined);
  return system === "EADDRINUSE" || system === "EADDRNOTAVAIL" || system === "EACCES"
    ? exitCodes.addressUnavailable
    : exitCodes.failure;
}

function systemCodeOf(cause: unknown): string | undefined {
  return cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined;
}

function textOfCause(cause: unknown): string {
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
}
