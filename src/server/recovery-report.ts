/**
 * What survivors say of themselves and what a recovery does, as text for people and as JSON that travels between machines.
 *
 * Owns: both forms, and reading reports back. Called by the `recover` verb.
 */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { logIndex, noIndex, noTerm, term as termOf, type LogIndex } from "../model/ids.js";
import { membersMax, type Configuration, type Member } from "../model/membership.js";
import type { Recovery, Survivor } from "../replica/recovery-plan.js";
import { usageFailure } from "./exit-codes.js";
import { hostPort, replicaId } from "./options.js";

const index = z
  .int()
  .min(0)
  .transform((value) => logIndex(value) ?? noIndex);
const term = z
  .int()
  .min(0)
  .transform((value) => termOf(value) ?? noTerm);
const members = z
  .array(
    z.strictObject({
      id: replicaId,
      role: z.enum(["voter", "learner", "joining"]),
      incarnation: z.int().min(0),
      replaces: z.int().min(0).optional(),
      peer: hostPort,
      client: hostPort,
    }),
  )
  .max(membersMax);
const survivorSchema = z.strictObject({
  report: z.literal("survivor"),
  version: z.literal(1),
  clusterId: z.string().min(1),
  machine: z.string(),
  id: replicaId,
  incarnation: z.int().min(0),
  term,
  last: z.strictObject({ index, term }),
  committed: index,
  executed: index,
  configuration: z.strictObject({ index, term, members, before: members.optional() }),
  flaw: z.string().optional(),
});

/** One line. */
export function survivorToJson({ configuration, ...rest }: Survivor): string {
  const { membership, ...at } = configuration;
  return JSON.stringify({ report: "survivor", version: 1, ...rest, configuration: { ...at, ...membership } });
}

/** @throws CommandFailure `what` names the place of the text. */
export function survivorFromJson(text: string, what: string): Survivor {
  const checked = survivorSchema.safeParse(parseJson(text, what));
  if (!checked.success) {
    const [issue] = checked.error.issues;
    const place = issue === undefined ? "" : `${issue.path.join(".")}: ${issue.message}`;
    throw usageFailure(`Cannot read ${what}: it is not a survivor's report (${place})`);
  }
  const { configuration, report: _report, version: _version, flaw, ...rest } = checked.data;
  const { members: now, before, ...at } = configuration;
  const membership: Configuration["membership"] = before === undefined ? { members: now } : { members: now, before };
  return { ...rest, flaw, configuration: { ...at, membership } };
}

/** Each line is a report, so reports may be joined into one file. @throws CommandFailure */
export function readReports(path: string): readonly Survivor[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw usageFailure(`Cannot read the report ${path}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  if (lines.length === 0) throw usageFailure(`Cannot read the report ${path}: it is empty`);
  return lines.map((line) => survivorFromJson(line, `the report ${path}`));
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw usageFailure(`Cannot read ${what}: it is not JSON`);
  }
}

export function describeSurvivor(survivor: Survivor): string {
  const { id, clusterId, machine, incarnation, term: ofTerm, last, committed, configuration, flaw } = survivor;
  const { membership } = configuration;
  const lines = [
    `replica ${id} of cluster ${clusterId}, machine ${machine}, incarnation ${incarnation}, term ${ofTerm}`,
    `  log      ends with entry ${last.index} of term ${last.term}`,
    `  known    ${committed === noIndex ? "of no entry that it was committed" : `that entries up to ${committed} were committed`}`,
    `  members  ${describeMembers(membership.members)} (entry ${configuration.index})`,
  ];
  if (membership.before !== undefined)
    lines.push(`  before   ${describeMembers(membership.before)}, in the middle of a change`);
  if (flaw !== undefined) lines.push(`  flaw     ${flaw}`);
  return `${lines.join("\n")}\n`;
}

export function recoveryToJson({ kind: _kind, uncertain, gone, ...rest }: Recovery, isDone: boolean): string {
  return JSON.stringify({
    report: "recovery",
    version: 1,
    done: isDone,
    ...rest,
    uncertain: uncertain ?? null,
    gone: gone === undefined ? null : { from: gone.from, certainTo: gone.certainTo ?? null },
  });
}

export function describeRecovery(recovery: Recovery, isDone: boolean): string {
  const { from, to, source, entry, lost } = recovery;
  const goesOn = isDone ? "goes on" : "would go on";
  const lines = [
    `cluster ${from} ${goesOn} as ${to} with the log of ${source}, and entry ${entry.index} of term ${entry.term} makes its members`,
    `  members      ${describeMembers(recovery.members)}`,
    `  lost         ${lost.map(({ id }) => id).join(", ")}`,
    `  uncertain    ${describeUncertain(recovery)}`,
    `  may be gone  ${describeGone(recovery)}`,
  ];
  return `${lines.join("\n")}\n`;
}

function describeUncertain({ uncertain }: Recovery): string {
  if (uncertain === undefined) return "nothing: every entry that is kept is known to be committed";
  return `entries ${range(uncertain.from, uncertain.to)} are kept, although no survivor knows whether they were acknowledged`;
}

function describeGone({ gone }: Recovery): string {
  if (gone === undefined) return "nothing: whatever was acknowledged is in this log";
  const { from, certainTo } = gone;
  if (certainTo === undefined) {
    return `every entry from ${from} on that was acknowledged: those who are lost could do that without a survivor, and nobody knows how far`;
  }
  return `entries ${range(from, certainTo)} were committed and are gone for certain, and whatever was acknowledged behind them`;
}

function range(from: LogIndex, to: LogIndex): string {
  return from === to ? String(from) : `${from} to ${to}`;
}

function describeMembers(list: readonly Member[]): string {
  return list.map(({ id, role, peer }) => `${id} ${role} at ${peer}`).join(", ");
}
