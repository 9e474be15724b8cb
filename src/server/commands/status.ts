/**
 * `quorate status`: every replica in one table.
 *
 * Owns: whom to ask, the table, the exit code. Each replica is asked for itself, so what is shown of one is what it believes.
 */
import { Command, Option as Flag } from "commander";
import { z } from "zod";
import { answerMsMax, endpointsOf, faultOf, withEndpoints } from "../endpoints.js";
import { exitCodes, type ExitCode } from "../exit-codes.js";
import { paintFor, renderTable, type Cell, type Paint } from "../paint.js";
import type { Exit } from "./exit.js";

/** What the table needs of `/v1/status`; a newer replica may say more. */
const statusSchema = z.looseObject({
  id: z.string(),
  clusterId: z.string(),
  role: z.string(),
  term: z.number(),
  lastIndex: z.number(),
  commitIndex: z.number(),
  executedIndex: z.number(),
  ready: z.boolean(),
  checks: z.record(z.string(), z.boolean()).optional(),
  broken: z.string().optional(),
  storage: z.looseObject({ full: z.string().optional() }).optional(),
  unfinished: z.looseObject({ index: z.number(), reason: z.string() }).optional(),
  stalled: z.string().optional(),
  resigned: z.looseObject({ reason: z.string(), term: z.number() }).optional(),
  quarantine: z
    .looseObject({ state: z.string(), forMs: z.number(), count: z.number(), rebuiltFrom: z.number().optional() })
    .optional(),
  quorateVersion: z.string(),
  uptimeMs: z.number(),
  machine: z.looseObject({
    name: z.string(),
    version: z.number(),
    // Of a release before versions there is only the one.
    active: z.number().optional(),
    failed: z.array(z.looseObject({ version: z.number(), index: z.number(), message: z.string() })).optional(),
  }),
  audit: z
    .looseObject({
      named: z.array(z.looseObject({ replica: z.string(), from: z.number() })),
      replicas: z.array(z.looseObject({ replica: z.string(), uncheckedFrom: z.number(), isAlarm: z.boolean() })),
    })
    .optional(),
});

type StatusReport = z.infer<typeof statusSchema>;

/** One endpoint's answer, or why there is none. */
export type Asked =
  | { readonly endpoint: string; readonly status: StatusReport; readonly fault: undefined }
  | { readonly endpoint: string; readonly status: undefined; readonly fault: string };

export function statusCommand(exit: Exit): Command {
  const command = withEndpoints(new Command("status"))
    .summary("show every replica's role and progress")
    .description("Exit code 0 if all replicas answer and are ready, 1 if one does not or is not, 2 for wrong usage.")
    .addOption(
      new Flag("-w, --write-out <form>", "the form of the output").choices(["table", "json"]).default("table"),
    );
  return command.action(async () => {
    const given = command.opts<{ writeOut: "table" | "json" }>();
    const endpoints = endpointsOf(command);
    const asked = await Promise.all(endpoints.map(ask));
    const paint = paintFor(process.stdout.isTTY, process.env);
    process.stdout.write(given.writeOut === "json" ? asJson(asked) : `${renderStatus(asked, paint)}\n`);
    exit(exitCodeOf(asked));
  });
}

async function ask(endpoint: string): Promise<Asked> {
  try {
    const response = await fetch(`http://${endpoint}/v1/status`, { signal: AbortSignal.timeout(answerMsMax) });
    if (!response.ok) return { endpoint, status: undefined, fault: `answered ${response.status}` };
    const checked = statusSchema.safeParse(await response.json());
    if (checked.success) return { endpoint, status: checked.data, fault: undefined };
    return { endpoint, status: undefined, fault: "not a quorate replica" };
  } catch (cause) {
    return { endpoint, status: undefined, fault: faultOf(cause) };
  }
}

export function renderStatus(asked: readonly Asked[], paint: Paint): string {
  const farthest = Math.max(0, ...asked.map(({ status }) => status?.commitIndex ?? 0));
  const header = [
    "",
    "role",
    "term",
    "last",
    "commit",
    "executed",
    "lag",
    "machine",
    "version",
    "uptime",
    "endpoint",
    "state",
  ];
  return renderTable(
    header,
    asked.map((one) => rowOf(one, farthest)),
    paint,
  );
}

function rowOf({ endpoint, status, fault }: Asked, farthest: number): readonly Cell[] {
  if (status === undefined) {
    const blank = Array.from({ length: 9 }, () => ({ text: "-" }));
    return [{ text: "?" }, ...blank, { text: endpoint }, { text: `unreachable: ${fault}`, style: "red" }];
  }
  const { id, role, term, lastIndex, commitIndex, executedIndex, machine, quorateVersion, uptimeMs } = status;
  const lag = Math.max(0, farthest - executedIndex);
  return [
    { text: id, style: "bold" },
    role === "leader" ? { text: role, style: "green" } : { text: role },
    ...[term, lastIndex, commitIndex, executedIndex].map((count) => ({ text: String(count) })),
    lag > 1000 ? { text: String(lag), style: "yellow" } : { text: String(lag) },
    { text: machineText(machine) },
    { text: quorateVersion },
    { text: describeDuration(uptimeMs) },
    { text: endpoint },
    stateOf(status),
  ];
}

/** The version that executes, and the newest that this replica has. */
function machineText({ name, version, active = version }: StatusReport["machine"]): string {
  return active === version ? `${name} v${active}` : `${name} v${active}, has v${version}`;
}

function stateOf(status: StatusReport): Cell {
  const { broken, ready, storage, unfinished, stalled, resigned, machine, checks = {} } = status;
  if (broken !== undefined) return { text: `broken: ${broken}`, style: "red" };
  if (storage?.full !== undefined) return { text: "disk full", style: "red" };
  const audit = quarantineCell(status) ?? auditCell(status);
  if (audit !== undefined) return audit;
  const failed = machine.failed?.find(({ version }) => version === machine.version);
  if (failed !== undefined) return { text: `v${failed.version} did not start: ${failed.message}`, style: "red" };
  if (unfinished !== undefined)
    return { text: `waits at entry ${unfinished.index}: cannot finish a command (${unfinished.reason})`, style: "red" };
  if (stalled !== undefined) return { text: `stalled: ${stalled}`, style: "red" };
  const past = resigned === undefined ? "" : `, resigned term ${resigned.term}: ${resigned.reason}`;
  const { count = 0 } = status.quarantine ?? {};
  const healed = count === 0 ? "" : `, rebuilt ${count === 1 ? "once" : `${count} times`}`;
  if (ready) return { text: `ready${healed}${past}`, style: "green" };
  const bad = Object.keys(checks).filter((check) => checks[check] === false);
  return { text: `not ready${bad.length === 0 ? "" : `, fails: ${bad.join(" ")}`}${past}`, style: "yellow" };
}

function quarantineCell({ quarantine }: StatusReport): Cell | undefined {
  if (quarantine === undefined || quarantine.state === "sound") return undefined;
  const { state, forMs, rebuiltFrom } = quarantine;
  const since = `for ${describeDuration(forMs)}`;
  if (state === "stopped") return { text: `quarantine: stopped ${since}, bad memory? see the log`, style: "red" };
  if (state === "unspared") return { text: `differs, and cannot be spared ${since}: quorate audit`, style: "red" };
  const from =
    rebuiltFrom === undefined ? "" : `, from ${rebuiltFrom === 0 ? "the first entry" : `checkpoint ${rebuiltFrom}`}`;
  return { text: `quarantine: ${state} ${since}${from}`, style: "red" };
}

/** What all replicas have found of this one. */
function auditCell({ id, audit }: StatusReport): Cell | undefined {
  const named = audit?.named.find(({ replica }) => replica === id);
  if (named !== undefined) return { text: `differs since ${named.from}: quorate audit`, style: "red" };
  const unchecked = audit?.replicas.find(({ replica, isAlarm }) => replica === id && isAlarm);
  if (unchecked === undefined) return undefined;
  return { text: `not checked since ${unchecked.uncheckedFrom}: quorate audit`, style: "yellow" };
}

/** The two largest units: `3d 4h`, `12m 5s`, `8s`. */
export function describeDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const units = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "m"],
    [seconds % 60, "s"],
  ] as const;
  const first = units.findIndex(([count]) => count > 0);
  if (first < 0) return "0s";
  return units
    .slice(first, first + 2)
    .map(([count, unit]) => `${count}${unit}`)
    .join(" ");
}

function asJson(asked: readonly Asked[]): string {
  const replicas = asked.map(({ endpoint, status, fault }) =>
    status === undefined ? { endpoint, fault } : { endpoint, ...status },
  );
  return `${JSON.stringify({ replicas })}\n`;
}

function exitCodeOf(asked: readonly Asked[]): ExitCode {
  return asked.every(({ status }) => status?.ready === true) ? exitCodes.ok : exitCodes.failure;
}
