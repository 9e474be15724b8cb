/**
 * `quorate dev`: a whole cluster on this machine.
 *
 * Owns: its flags, what is printed, Ctrl-C. The work is in `dev-cluster.ts`.
 */
import { Argument, Command, InvalidArgumentError, Option as Flag } from "commander";
import {
  defaultEnginePlace,
  defaultFaultModel,
  enginePlaces,
  faultModels,
  type EnginePlace,
  type FaultModel,
} from "../../api/config.js";
import { lies, twin, type Lie } from "../../sim/lies.js";
import { cardAsJson, renderCard, type CardParts } from "../card.js";
import { DevCluster, usualPorts, type DevEvent, type DevOptions, type PortKind } from "../dev-cluster.js";
import { defaultDataDir } from "../dev-record.js";
import { exitCodes, type ExitCode } from "../exit-codes.js";
import { bundledName } from "../options.js";
import { paintFor, type Paint } from "../paint.js";
import type { Exit } from "./exit.js";

interface Given {
  readonly replicas?: string;
  readonly faults?: FaultModel;
  readonly lie?: Lie | typeof twin;
  readonly data: string;
  readonly ephemeral?: boolean;
  readonly engine?: EnginePlace;
  readonly json?: boolean;
  readonly restart: boolean;
  readonly redisPort?: number;
  readonly httpPort?: number;
  readonly clientPort?: number;
  readonly peerPort?: number;
}

export function devCommand(exit: Exit): Command {
  const command = new Command("dev")
    .summary("run a whole cluster on this machine")
    .description("Runs a cluster of replicas on loopback, each in a process of its own, until Ctrl-C.")
    .addArgument(
      new Argument("[machine]", `a module whose default export is a machine, .js or .ts (default: ${bundledName})`),
    )
    .addOption(
      new Flag(
        "--replicas <count>",
        "how many replicas (default: 3, under Byzantine faults 4, or what the data directory holds)",
      ).choices(["1", "3", "4", "5", "7"]),
    )
    .addOption(
      new Flag(
        "--faults <model>",
        `what replicas may do wrong at worst: crash, they stop; byzantine, they do anything, and 4 replicas tolerate one that does (default: ${defaultFaultModel})`,
      ).choices(faultModels),
    )
    .addOption(
      new Flag(
        "--lie <way>",
        "under Byzantine faults, how the first replica lies: says nothing; tells some that nothing is ordered; votes for what nobody has; orders nothing; computes something else; runs twice under one key, before half of the others each",
      ).choices([...lies, twin]),
    )
    .option("--data <dir>", "where the replicas keep their logs between runs", defaultDataDir)
    .addOption(
      new Flag("--ephemeral", "keep nothing: use a temporary directory and remove it at the end").conflicts("data"),
    )
    .addOption(
      new Flag("--engine <where>", `where each replica orders, as of start (default: ${defaultEnginePlace})`).choices(
        enginePlaces,
      ),
    )
    .option("--json", "print the card, and later events, as lines of JSON")
    .option("--no-restart", "leave a replica dead that dies");
  for (const kind of ["redis", "http", "client", "peer"] as const) {
    command.addOption(new Flag(`--${kind}-port <port>`, portMeaning(kind)).argParser(portOf));
  }
  return command.action(async (machine: string | undefined) => {
    exit(await runDev(command.opts<Given>(), machine));
  });
}

function portMeaning(kind: PortKind): string {
  return `the first replica's port for ${kind === "peer" ? "the other replicas" : kind}; the next replicas take the next ports, 0 takes any free ones (default: ${usualPorts[kind]}, or what it was before)`;
}

function portOf(text: string): number {
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65_530) return port;
  throw new InvalidArgumentError("expected a port from 0 to 65530");
}

async function runDev(given: Given, machine: string | undefined): Promise<ExitCode> {
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  // Whoever read us is gone; the cluster goes on until a signal.
  process.stdout.on("error", () => undefined);
  const paint = paintFor(process.stdout.isTTY, process.env);
  const asked = waitForInterrupt();
  if (given.json !== true) print(paint("dim", "Starting the replicas …"));
  // What keeps a cluster from starting is the failure's message: only beside a card it is news.
  let early: string[] | undefined = given.json === true ? undefined : [];
  const tell = (event: DevEvent): void => {
    const line = given.json === true ? JSON.stringify(event) : describeEvent(event, paint);
    if (early === undefined) print(line);
    else early.push(line);
  };
  const cluster = await DevCluster.open(optionsOf(given, machine), tell);
  asked.onImpatience(() => cluster.kill());
  const stopped = asked.interrupted.then(() => {
    if (given.json !== true) print(paint("dim", "Stopping the replicas …"));
    return cluster.stop();
  });
  await cluster.start();
  for (const line of early ?? []) print(line);
  early = undefined;
  if (!asked.isInterrupted()) {
    const card = cardOf(cluster, given);
    print(given.json === true ? cardAsJson(card) : renderCard(card, paint));
  }
  await stopped;
  print(given.json === true ? JSON.stringify({ event: "stopped" }) : paint("dim", "Stopped."));
  return exitCodes.ok;
}

function optionsOf(given: Given, machine: string | undefined): DevOptions {
  return {
    replicas: given.replicas === undefined ? undefined : Number(given.replicas),
    faults: given.faults,
    lie: given.lie,
    dataDir: given.data,
    ephemeral: given.ephemeral === true,
    ports: { redis: given.redisPort, http: given.httpPort, client: given.clientPort, peer: given.peerPort },
    machine,
    engine: given.engine,
    restart: given.restart,
  };
}

function cardOf(cluster: DevCluster, given: Given): CardParts {
  return {
    clusterId: cluster.clusterId,
    dataDir: cluster.dataDir,
    ephemeral: given.ephemeral === true,
    restart: given.restart,
    machine: cluster.machine,
    replicas: cluster.views(),
    workingDirectory: process.cwd(),
    faults: cluster.faults,
  };
}

function describeEvent(event: DevEvent, paint: Paint): string {
  switch (event.event) {
    case "exited":
      return `${paint("red", "✗")} ${event.id} (process ${event.pid}) is gone: ${event.cause}`;
    case "restarted":
      return `${paint("green", "✓")} ${event.id} is back as process ${event.pid}`;
    case "leader":
      return `${paint("cyan", "→")} ${event.id} leads now (term ${event.term})`;
    case "refused":
      return `${paint("red", "✗")} ${event.message}`;
  }
}

interface Interrupt {
  readonly interrupted: Promise<void>;
  isInterrupted(): boolean;
  onImpatience(act: () => void): void;
}

/** npm passes on a Ctrl-C that the terminal has sent already: only a later signal is an impatient one. */
const impatientAfterMs = 500;

function waitForInterrupt(): Interrupt {
  let firstAt: number | undefined;
  let impatience: () => void = () => undefined;
  let settle: () => void = () => undefined;
  const interrupted = new Promise<void>((resolve) => (settle = resolve));
  const onSignal = (): void => {
    const now = performance.now();
    firstAt ??= now;
    settle();
    if (now - firstAt <= impatientAfterMs) return;
    impatience();
    setTimeout(() => process.exit(130), 100);
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  process.on("SIGHUP", onSignal);
  return { interrupted, isInterrupted: () => firstAt !== undefined, onImpatience: (act) => (impatience = act) };
}
