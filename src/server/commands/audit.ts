/**
 * `quorate audit`: what replicas have found by comparing all of them.
 *
 * Owns: the text, the exit code. Each replica is asked for itself: one that is wrong may tell something else than the others.
 */
import { Command, Option as Flag } from "commander";
import { z } from "zod";
import { answerMsMax, endpointsOf, faultOf, withEndpoints } from "../endpoints.js";
import { CommandFailure, exitCodes } from "../exit-codes.js";
import { askFinding, askState } from "../forensics/ask.js";
import { findingToJson } from "../forensics/finding-json.js";
import { describePair, pairsOf, type ComparedPair } from "../forensics/report.js";
import { writeEvidence } from "../replay/evidence.js";
import type { Exit } from "./exit.js";

const positionSchema = z.looseObject({
  index: z.number(),
  kind: z.string(),
  agreeing: z.array(z.string()),
  differing: z.array(z.string()),
  missing: z.array(z.string()),
});

/** What the text needs of `/v1/status`. */
const statusSchema = z.looseObject({
  id: z.string(),
  audit: z.looseObject({
    positions: z.record(z.string(), z.number()),
    waiting: z.number(),
    recent: z.array(positionSchema),
    findings: z.array(positionSchema),
    named: z.array(z.looseObject({ replica: z.string(), from: z.number(), to: z.number() })),
    replicas: z.array(
      z.looseObject({
        replica: z.string(),
        agreedAt: z.number(),
        unchecked: z.number(),
        uncheckedFrom: z.number(),
        uncheckedMs: z.number(),
        isAlarm: z.boolean(),
      }),
    ),
    evidence: z.array(z.string()),
  }),
});

type AuditReport = z.infer<typeof statusSchema>["audit"];
type Position = z.infer<typeof positionSchema>;

/** One endpoint's answer, or why there is none. */
export type AskedAudit =
  | { readonly endpoint: string; readonly id: string; readonly audit: AuditReport; readonly fault: undefined }
  | { readonly endpoint: string; readonly fault: string };

const recentShown = 5;

export function auditCommand(exit: Exit): Command {
  const command = withEndpoints(new Command("audit"))
    .summary("show what comparing the replicas has found")
    .description(
      "Exit code 0 if all replicas answer, nobody differs and nobody is unchecked for long, 1 otherwise, 2 for wrong usage.",
    )
    .addOption(new Flag("-w, --write-out <form>", "the form of the output").choices(["text", "json"]).default("text"));
  command.addCommand(exportCommand(command));
  return command.action(async () => {
    const given = command.opts<{ writeOut: "text" | "json" }>();
    const asked = await Promise.all(endpointsOf(command).map(ask));
    const text = given.writeOut === "json" ? JSON.stringify({ replicas: asked }) : asked.map(renderAudit).join("\n\n");
    process.stdout.write(`${text}\n`);
    if (given.writeOut === "text") for (const why of await whyDifferent(asked)) process.stdout.write(`\n${why}\n`);
    exit(asked.every(isWell) ? exitCodes.ok : exitCodes.failure);
  });
}

function exportCommand(audit: Command): Command {
  return new Command("export")
    .summary("write what replicas kept of the newest difference into a file, which quorate replay executes")
    .argument("<file>", "is not overwritten")
    .action(async (file: string) => {
      const pairs = await newestPairs(await Promise.all(endpointsOf(audit).map(ask)));
      const [first] = pairs;
      if (first === undefined) {
        const message =
          "Cannot write evidence: no two replicas that answer have kept anything of the same difference since they were started";
        throw new CommandFailure(exitCodes.failure, message, {});
      }
      const { reference } = first;
      const state = reference.agreedAt === 0 ? [] : await askState(reference.endpoint);
      const chunks = state ?? [];
      const report = (await Promise.all(pairs.map(describePair))).join("\n\n");
      const kept = [reference, ...pairs.map(({ other }) => other)];
      const findings = kept.map((each) => findingToJson(each, { ...each, before: undefined, after: undefined }));
      writeEvidence(file, { findings, chunks, report });
      const without = state === undefined ? "; the state before is no longer kept, so it cannot be executed" : "";
      process.stdout.write(`${file} holds what ${kept.map(({ replica }) => replica).join(" and ")} kept${without}\n`);
    });
}

async function ask(endpoint: string): Promise<AskedAudit> {
  try {
    const response = await fetch(`http://${endpoint}/v1/status`, { signal: AbortSignal.timeout(answerMsMax) });
    if (!response.ok) return { endpoint, fault: `answered ${response.status}` };
    const checked = statusSchema.safeParse(await response.json());
    if (!checked.success) return { endpoint, fault: "no quorate replica with audits" };
    return { endpoint, id: checked.data.id, audit: checked.data.audit, fault: undefined };
  } catch (cause) {
    return { endpoint, fault: faultOf(cause) };
  }
}

/** A text for each replica that differs, as far as what replicas have kept tells why. */
async function whyDifferent(asked: readonly AskedAudit[]): Promise<readonly string[]> {
  return Promise.all((await newestPairs(asked)).map(describePair));
}

async function newestPairs(asked: readonly AskedAudit[]): Promise<readonly ComparedPair[]> {
  const answering = asked.filter((each) => each.fault === undefined);
  const findings = await Promise.all(
    answering
      .filter(({ audit }) => audit.findings.length + audit.named.length > 0)
      .map(({ endpoint }) => askFinding(endpoint)),
  );
  const known = findings.filter((finding) => finding !== undefined);
  const position = Math.max(0, ...known.map((finding) => finding.position));
  const verdicts = answering.flatMap(({ audit }) => [...audit.findings, ...audit.recent]);
  return pairsOf(
    known,
    verdicts.find(({ index }) => index === position),
  );
}

export function isWell(asked: AskedAudit): boolean {
  if (asked.fault !== undefined) return false;
  const { named, recent, replicas } = asked.audit;
  const last = recent.findLast(({ kind }) => kind !== "notChecked");
  const isUnclear = last?.kind === "different" || last?.kind === "allDifferent";
  return named.length === 0 && !isUnclear && !replicas.some(({ isAlarm }) => isAlarm);
}

export function renderAudit(asked: AskedAudit): string {
  if (asked.fault !== undefined) return `${asked.endpoint} unreachable: ${asked.fault}`;
  const { positions, waiting, recent, findings, named, replicas, evidence } = asked.audit;
  const counts = Object.entries(positions).filter(([, count]) => count > 0);
  return [
    `by ${asked.id} (${asked.endpoint})`,
    `  positions   ${counts.map(([kind, count]) => `${count} ${wordsOf(kind)}`).join(", ") || "none yet"}; ${waiting} waiting`,
    ...named.map(({ replica, from, to }) => `  DIFFERS     ${replica}, from entry ${from} to ${to}`),
    ...replicas.map((replica) => `  ${replica.replica.padEnd(11)} ${describeReplica(replica)}`),
    ...findings.map((finding) => `  found       ${describePosition(finding)}`),
    ...recent.slice(-recentShown).map((position) => `  last        ${describePosition(position)}`),
    ...evidence.map((path) => `  evidence    ${path}`),
  ].join("\n");
}

function describeReplica({
  agreedAt,
  unchecked,
  uncheckedFrom,
  uncheckedMs,
  isAlarm,
}: AuditReport["replicas"][number]): string {
  const agreed = agreedAt === 0 ? "has not agreed yet" : `agreed last at ${agreedAt}`;
  if (unchecked === 0) return agreed;
  const since = `not checked at ${unchecked} since ${uncheckedFrom}, for ${Math.round(uncheckedMs / 1_000)} s`;
  return `${agreed}, ${isAlarm ? since.toUpperCase() : since}`;
}

function describePosition({ index, kind, agreeing, differing, missing }: Position): string {
  const groups = [
    ["same", agreeing],
    ["different", differing],
    ["not checked", missing],
  ] as const;
  const told = groups.filter(([, ids]) => ids.length > 0).map(([name, ids]) => `${name}: ${ids.join(" ")}`);
  return `${index} ${wordsOf(kind)}${told.length === 0 ? "" : ` (${told.join("; ")})`}`;
}

function wordsOf(kind: string): string {
  const words: Readonly<Record<string, string>> = {
    different: "different, cannot name",
    allDifferent: "all different: the machine is not deterministic",
    notChecked: "not checked",
  };
  return words[kind] ?? kind;
}
