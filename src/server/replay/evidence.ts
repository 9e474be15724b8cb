/**
 * Evidence files: what replicas kept of a difference, written by `quorate audit export`, or by a replica into its own directory, and executed by
 * `quorate replay`.
 *
 * Owns: reading and executing them. A file has lines of JSON (`replica/evidence-keeper.ts`): a head, what each replica kept, the state at the
 * last agreement, chunk by chunk, and in a replica's own file the state that it had when the difference was found. Execution is that of the machine alone: which requests ran is taken from the answers, so sessions are not needed.
 */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import type { LowLevelMachine, MachineFork, MachineInstance, Outcome } from "../../api/low-level.js";
import { InvariantViolation } from "../../base/invariant.js";
import type { Executed } from "../../execution/executor.js";
import type { TrailEntry } from "../../model/audit.js";
import type { Entry } from "../../model/entry.js";
import { after, noIndex, noTerm, type AgreedTime, type LogIndex } from "../../model/ids.js";
import { keyOf, type Reply } from "../../model/request.js";
import { decodeBatch } from "../../wire/request-codec.js";
import { evidenceVersion } from "../../wire/trail-json.js";
import { nodeHash } from "../../node/hash.js";
import { CommandFailure, exitCodes } from "../exit-codes.js";
import { bytesOf, findingFromJson, type KeptFinding } from "../forensics/finding-json.js";
import { machineOfVersion } from "../machine-module.js";
import type { ReplayExecutor, ReplayParts, ReplaySource } from "./source.js";

export interface Evidence {
  /** As JSON; the first is of a replica that agreed with others, if there is one. */
  readonly findings: readonly unknown[];
  /** Base64. */
  readonly chunks: readonly string[];
  /** As `quorate audit` prints it. */
  readonly report: string;
}

/** Never over a file that is there. */
export function writeEvidence(path: string, { findings, chunks, report }: Evidence): void {
  const file = openSync(path, "wx", 0o600);
  const lines = [
    { quorate: "evidence", version: evidenceVersion, report },
    ...findings.map((finding) => ({ finding })),
  ];
  for (const line of lines) writeSync(file, `${JSON.stringify(line)}\n`);
  for (const chunk of chunks) writeSync(file, `${JSON.stringify({ state: chunk })}\n`);
  closeSync(file);
}

/** @throws CommandFailure */
export function openEvidence(path: string): ReplaySource {
  const { findings, chunks, kept } = readEvidence(path);
  const [reference] = findings;
  if (reference === undefined) throw refused(path, "it holds nothing of any replica");
  const { agreedAt, clusterId, machine, foundAt, replica } = reference;
  const isFromStart = agreedAt === noIndex && reference.entries[0]?.index === 1;
  if (chunks.length === 0 && !isFromStart) throw refused(path, "it holds no state from before the difference");
  const time = timeBefore(reference, agreedAt);
  return {
    path,
    ...{ clusterId, machine, replicaId: replica },
    founders: { members: [] },
    starts: [{ index: agreedAt, open: (parts) => openRun(parts, reference, { time, chunks }) }],
    lastIndex: foundAt,
    notes: [`evidence of ${findings.map((finding) => finding.replica).join(", ")}; executed is what ${replica} did`],
    entries: (from) => entriesOf(reference, from),
    remembered: (index) =>
      findings.flatMap((finding) => {
        const entry = entryOf(finding, index);
        return entry === undefined ? [] : [{ replica: finding.replica, entry }];
      }),
    ...(kept.length > 0 && findings.length === 1 ? { kept } : {}),
    close: () => undefined,
  };
}

interface ReadEvidence {
  readonly findings: readonly KeptFinding[];
  /** Of the state at the last agreement. */
  readonly chunks: readonly Uint8Array[];
  /** Of the state when the difference was found. */
  readonly kept: readonly Uint8Array[];
}

function readEvidence(path: string): ReadEvidence {
  const findings: KeptFinding[] = [];
  const states = { state: [] as Uint8Array[], after: [] as Uint8Array[] };
  for (const [at, text] of readFileSync(path, "utf8").trim().split("\n").entries()) {
    const line = parsed(text);
    const finding = line["finding"] === undefined ? undefined : findingFromJson(line["finding"]);
    if (at === 0) {
      if (line["quorate"] !== "evidence") throw refused(path, "it is neither a data directory nor an evidence file");
      if (line["version"] !== evidenceVersion)
        throw refused(
          path,
          `its form is version ${String(line["version"])}, and this program knows ${evidenceVersion}`,
        );
    } else if (finding !== undefined) findings.push(finding);
    else if (typeof line["state"] === "string") states.state.push(bytesOf(line["state"]));
    else if (typeof line["after"] === "string") states.after.push(bytesOf(line["after"]));
    else if (line["cut"] === "state" || line["cut"] === "after") states[line["cut"]] = [];
    else throw refused(path, `line ${at + 1} is damaged`);
  }
  return { findings, chunks: states.state, kept: states.after };
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function timeBefore(finding: KeptFinding, index: LogIndex): AgreedTime {
  return entryOf(finding, index)?.time ?? 0;
}

/** They are without gaps. */
function entryOf({ entries }: KeptFinding, index: LogIndex): TrailEntry | undefined {
  return entries[index - (entries[0]?.index ?? 0)];
}

async function* entriesOf(finding: KeptFinding, from: LogIndex): AsyncGenerator<Entry, string | undefined> {
  for (let index = from; index <= finding.foundAt; index = after(index)) {
    const entry = entryOf(finding, index);
    if (entry?.content === undefined) return `what entry ${index} held was no longer remembered`;
    yield { index, term: noTerm, kind: entry.kind, time: entry.time, payload: entry.content.payload };
  }
  return undefined;
}

/** The machine of the replica whose entries they are. */
class EvidenceRun implements ReplayExecutor {
  readonly #instance: MachineInstance;
  readonly #finding: KeptFinding;
  readonly sessions = { state: () => "unknown" as const };
  readonly audits = { due: undefined };
  executedIndex: LogIndex;
  time: AgreedTime;
  broken: string | undefined;

  constructor(
    { machine, limits }: ReplayParts,
    finding: KeptFinding,
    before: { readonly time: AgreedTime; readonly chunks: readonly Uint8Array[] },
  ) {
    this.#instance = openMachine(machineOfVersion(machine, finding.machineVersion), limits);
    this.#finding = finding;
    this.executedIndex = finding.agreedAt;
    this.time = before.time;
    if (before.chunks.length > 0) this.#instance.install(before.chunks);
  }

  execute(entry: Entry): readonly Executed[] {
    const { index, time, kind, payload } = entry;
    if (kind === "version") {
      this.broken = `entry ${index} starts another version of the machine, which evidence does not hold`;
      return [];
    }
    this.executedIndex = index;
    this.time = time;
    const requests = kind === "batch" ? (decodeBatch(payload) ?? []) : [];
    const answers = entryOf(this.#finding, index)?.content?.answers ?? [];
    const ran = requests.flatMap((request, ordinal) => {
      const answer = answers[ordinal];
      const hasRun = answer !== undefined && !answer.repeated && isOutcome(answer.reply);
      return hasRun && request.kind === "command" ? [{ request, ordinal }] : [];
    });
    const commands = ran.map(({ request: { session, name, input }, ordinal }) => ({ ordinal, session, name, input }));
    const outcomes = this.#instance.apply({ index, time, commands });
    return requests.map((request, ordinal) => {
      const { reply, repeated } = answers[ordinal] ?? { reply: { status: "closed" as const }, repeated: false };
      const outcome = outcomes[ran.findIndex((other) => other.ordinal === ordinal)];
      return { key: keyOf(request), reply: outcome === undefined ? reply : replyOf(outcome, reply), repeated };
    });
  }

  fork(): { readonly machine: MachineFork; release(): void } {
    const machine = this.#instance.fork();
    return { machine, release: () => machine.release() };
  }
}

function openRun(...[parts, finding, before]: ConstructorParameters<typeof EvidenceRun>): EvidenceRun | string {
  try {
    return new EvidenceRun(parts, finding, before);
  } catch (cause) {
    if (cause instanceof InvariantViolation || !(cause instanceof Error)) throw cause;
    return `it cannot be executed by this machine: ${cause.message}`;
  }
}

function openMachine(machine: LowLevelMachine, limits: ReplayParts["limits"]): MachineInstance {
  return machine.open({ hash: nodeHash, limits: limits.machine });
}

function isOutcome({ status }: Reply): boolean {
  return status === "ok" || status === "rejected" || status === "failed";
}

function replyOf(outcome: Outcome, recorded: Reply): Reply {
  return { ...outcome, expiresAt: "expiresAt" in recorded ? recorded.expiresAt : undefined };
}

function refused(path: string, fact: string): CommandFailure {
  return new CommandFailure(exitCodes.dataRefused, `Cannot replay ${path}: ${fact}`, {});
}
