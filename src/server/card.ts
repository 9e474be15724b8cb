/**
 * The card that `quorate dev` shows when its cluster is up.
 *
 * Owns: its text, for people and as one line of JSON. The three commands tell a story: write, kill the leader, read it elsewhere.
 */
import { relative, resolve } from "node:path";
import type { FaultModel } from "../api/config.js";
import type { LowLevelMachine } from "../api/low-level.js";
import type { DevReplicaView } from "./dev-cluster.js";
import { defaultDataDir } from "./dev-record.js";
import { bundledName } from "./options.js";
import { renderTable, type Cell, type Paint } from "./paint.js";

export interface CardParts {
  readonly clusterId: string;
  readonly dataDir: string;
  readonly ephemeral: boolean;
  /** Whether a dead replica is started again. */
  readonly restart: boolean;
  readonly machine: Pick<LowLevelMachine, "name" | "commandNames" | "queryNames">;
  readonly replicas: readonly DevReplicaView[];
  readonly workingDirectory: string;
  readonly faults: FaultModel;
}

export function renderCard(parts: CardParts, paint: Paint): string {
  const { replicas, machine } = parts;
  const leader = replicas.find(({ role }) => role === "leader");
  const hasRedis = replicas.some(({ redis }) => redis !== undefined);
  const header = ["", "role", ...(hasRedis ? ["redis"] : []), "http", "client", "pid", "data"];
  const rows = replicas.map((replica) => rowOf(replica, parts, hasRedis));
  return [
    "",
    `${paint("bold", `quorate: ${replicas.length} ${replicas.length === 1 ? "replica" : "replicas"} of ${machine.name}`)} on this machine, ${tolerance(parts)}`,
    "",
    indent(renderTable(header, rows, paint)),
    "",
    `  ${paint("dim", dataLine(parts))}`,
    "",
    `${paint("bold", "Try, in another terminal:")}`,
    "",
    ...commandsOf(parts, leader).map(([command, why]) => `  ${paint("cyan", command)}\n      ${paint("dim", why)}`),
    "",
    `  ${paint("dim", `${statusCommandOf(parts)} shows all replicas. Ctrl-C here stops them.`)}`,
    "",
  ].join("\n");
}

/** One line: `{"replicas": […]}`, addresses as `host:port`. */
export function cardAsJson({ clusterId, dataDir, machine, replicas }: CardParts): string {
  return JSON.stringify({ event: "started", clusterId, dataDir, machine: machine.name, replicas });
}

function tolerance(parts: CardParts): string {
  const down = downOf(parts.replicas);
  const left = lossesLeft(parts);
  if (down.length > 0) {
    const who = `of which ${down.join(" and ")} ${down.length === 1 ? "is" : "are"} down`;
    return `${who}: ${left > 0 ? `it tolerates the loss of ${left} more` : "one more loss stops it"}`;
  }
  if (left === 0) return "which tolerates no failure: give --replicas 3";
  return `which ${left === 1 ? "tolerates the loss of any one" : `tolerates the loss of any ${left}`}`;
}

function downOf(replicas: readonly DevReplicaView[]): readonly string[] {
  return replicas.filter(({ role }) => role === "down").map(({ id }) => id);
}

/** How many more may be lost while enough are left to decide. */
function lossesLeft({ replicas, faults }: CardParts): number {
  const ofAll = faults === "byzantine" ? 3 : 2;
  return Math.floor((replicas.length - 1) / ofAll) - downOf(replicas).length;
}

/** `status` looks into the usual directory unless it is told another. */
function statusCommandOf({ dataDir, workingDirectory }: CardParts): string {
  const isUsual = resolve(workingDirectory, dataDir) === resolve(workingDirectory, defaultDataDir);
  return `npx quorate status${isUsual ? "" : ` --data ${shortPath(dataDir, workingDirectory)}`}`;
}

function rowOf(replica: DevReplicaView, { workingDirectory }: CardParts, hasRedis: boolean): readonly Cell[] {
  const style = replica.role === "leader" ? "green" : replica.role === "down" ? "red" : undefined;
  return [
    { text: replica.id, style: "bold" },
    style === undefined ? { text: replica.role } : { text: replica.role, style },
    ...(hasRedis ? [{ text: replica.redis ?? "-" }] : []),
    { text: replica.http },
    { text: replica.client },
    { text: String(replica.pid ?? "-") },
    { text: shortPath(replica.dataDir, workingDirectory) },
  ];
}

function dataLine({ dataDir, ephemeral, workingDirectory, clusterId }: CardParts): string {
  const shown = shortPath(dataDir, workingDirectory);
  const fate = ephemeral ? "is removed at the end" : "is kept: the next start goes on from it";
  return `cluster ${clusterId}; ${shown} ${fate}; logs in ${shown}/logs`;
}

/** What to type, and what to watch for. */
function commandsOf(parts: CardParts, leader: DevReplicaView | undefined): readonly (readonly [string, string])[] {
  const { machine, replicas, restart, faults } = parts;
  const entry = replicas.find(({ role }) => role === "follower") ?? leader ?? replicas[0];
  const other = replicas.find(({ id, role }) => id !== entry?.id && role === "follower") ?? entry;
  const kill = [
    `kill -9 ${leader?.pid ?? 0}`,
    `kills the leader, ${leader?.id ?? "?"}: ${afterTheKill(lossesLeft(parts) > 0, restart)}`,
  ] as const;
  if (machine.name === bundledName && entry?.redis !== undefined) {
    return [
      [
        `redis-cli -p ${portOf(entry.redis)} SET greeting hello`,
        `writes at ${entry.id}; ${faults === "byzantine" ? "a quorum" : "a majority"} has it on disk before OK is answered. Any Redis client will do`,
      ],
      kill,
      [curl(other?.http, "queries", "get", '"greeting"'), `reads it at ${other?.id ?? "?"}, over HTTP`],
    ];
  }
  const [command] = machine.commandNames;
  const [query] = machine.queryNames;
  return [
    [
      curl(entry?.http, "commands", command ?? "name", "{}"),
      `asks ${entry?.id ?? "?"} for a command of ${machine.name}; write its input instead of {}. Commands: ${listOf(machine.commandNames)}`,
    ],
    kill,
    [
      curl(other?.http, "queries", query ?? "name", "{}"),
      `asks ${other?.id ?? "?"} for a query. Queries: ${listOf(machine.queryNames)}`,
    ],
  ];
}

function afterTheKill(othersGoOn: boolean, restart: boolean): string {
  if (othersGoOn)
    return `another replica leads within moments, and this one ${restart ? "is started again" : "stays dead"}`;
  return restart ? "nobody answers until it is started again, a second later" : "nobody answers any more";
}

function curl(http: string | undefined, kind: "commands" | "queries", name: string, body: string): string {
  return `curl http://${http ?? ""}/v1/${kind}/${name} -d '${body}'`;
}

function listOf(names: readonly string[]): string {
  return names.length > 8 ? `${names.slice(0, 8).join(", ")}, …` : names.join(", ");
}

function portOf(address: string): string {
  return address.slice(address.lastIndexOf(":") + 1);
}

function shortPath(path: string, workingDirectory: string): string {
  const short = relative(workingDirectory, path);
  return short !== "" && !short.startsWith("..") ? short : path;
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => `  ${line}`)
    .join("\n");
}
