/**
 * What a change of a machine would have done: the log of a replica, executed by the code before it and by the code after it, side by side.
 *
 * Owns: from where, when the new version is started, and the outputs that differ. Leaves to others: reading the directory
 * (`replay/source.ts`), the migration (`execution/versions.ts`), printing (`commands/preflight.ts`).
 */
import type { ReplicatedLimits } from "../../api/config.js";
import type { LowLevelMachine } from "../../api/low-level.js";
import type { Executed, Executor } from "../../execution/executor.js";
import type { Entry } from "../../model/entry.js";
import { after, type LogIndex } from "../../model/ids.js";
import type { Reply, Request } from "../../model/request.js";
import { askText, outcomeKey, outcomeText } from "../../sim/machine-copy.js";
import { decodeValue } from "../../wire/canonical.js";
import { decodeBatch } from "../../wire/request-codec.js";
import { CommandFailure, exitCodes } from "../exit-codes.js";
import type { DirectorySource } from "../replay/source.js";

export interface RehearsalParts {
  readonly source: DirectorySource;
  /** Executes what was ordered so far. */
  readonly old: LowLevelMachine;
  readonly next: LowLevelMachine;
  readonly limits: ReplicatedLimits;
  /** So many differences are kept; all are counted. */
  readonly shownMax: number;
}

/** One start of a version: before the first request that is executed, or behind the last. */
export interface Migration {
  readonly version: number;
  readonly behind: LogIndex;
  /** Wall clock, on this machine. */
  readonly ms: number;
  /** What it threw. */
  readonly failure: string | undefined;
}

export interface OutputDifference {
  readonly index: LogIndex;
  readonly ordinal: number;
  /** With its input. */
  readonly command: string;
  readonly old: string;
  readonly next: string;
}

export interface Rehearsal {
  readonly from: LogIndex;
  readonly to: LogIndex;
  readonly commands: number;
  /** The version that executes at the end, by either. */
  readonly versions: { readonly old: number; readonly next: number };
  readonly migrations: readonly Migration[];
  readonly differences: {
    readonly count: number;
    readonly byCommand: Readonly<Record<string, number>>;
    readonly shown: readonly OutputDifference[];
  };
  /** Why the log was not executed to its end, if so. */
  readonly stopped: string | undefined;
}

/** @throws CommandFailure if there is no state to begin with. */
export async function rehearse(parts: RehearsalParts): Promise<Rehearsal> {
  const { source, shownMax } = parts;
  const { old, next } = beginning(parts);
  const from = old.executedIndex;
  const migrations: Migration[] = [];
  const byCommand: Record<string, number> = {};
  const shown: OutputDifference[] = [];
  let [commands, count] = [0, 0];
  let stopped: string | undefined;
  let hasBegun = false;
  const entries = source.entries(after(from));
  for (;;) {
    const step = await entries.next();
    if (step.done === true) {
      stopped = step.value;
      break;
    }
    const entry = step.value;
    // A log that begins says first with which version.
    if (!hasBegun && (entry.kind === "batch" || entry.kind === "time")) {
      hasBegun = true;
      migrations.push(...startAll(next));
    }
    const outputs = [old.execute(entry), next.execute(entry)] as const;
    stopped = old.broken ?? next.broken;
    if (stopped !== undefined) break;
    for (const { name, ...found } of compare(entry, ...outputs)) {
      commands += 1;
      if (found.old === found.next) continue;
      count += 1;
      byCommand[name] = (byCommand[name] ?? 0) + 1;
      if (shown.length < shownMax) shown.push(textsOf(found));
    }
  }
  const to = old.executedIndex;
  const versions = { old: old.versions.state.active, next: next.versions.state.active };
  migrations.push(...startAll(old));
  return { from, to, commands, versions, migrations, differences: { count, byCommand, shown }, stopped };
}

/** Both in the oldest state of the directory that can be used. */
function beginning({ source, old, next, limits }: RehearsalParts): { readonly old: Executor; readonly next: Executor } {
  const objections: string[] = [];
  for (const start of source.starts) {
    const before = start.open({ machine: old, limits });
    const behind = typeof before === "string" ? before : start.open({ machine: next, limits });
    if (typeof before !== "string" && typeof behind !== "string") return { old: before, next: behind };
    if (typeof behind === "string") objections.push(behind);
  }
  throw new CommandFailure(exitCodes.dataRefused, `Cannot rehearse ${source.path}: ${objections.join("; ")}`, {});
}

/** Every version that it has and that has not started. */
function startAll(executor: Executor): readonly Migration[] {
  const migrations: Migration[] = [];
  for (;;) {
    const { executedIndex: index, time, versions } = executor;
    const begun = performance.now();
    const outcome = versions.rehearse({ index, time });
    const ms = performance.now() - begun;
    if (outcome === "void") return migrations;
    if (typeof outcome === "object") throw new CommandFailure(exitCodes.dataRefused, outcome.cannot, {});
    const failed = outcome === "failed" ? versions.state.failed.at(-1) : undefined;
    const version = failed?.version ?? versions.state.active;
    migrations.push({ version, behind: index, ms, failure: failed?.message });
    if (failed !== undefined) return migrations;
  }
}

interface Compared {
  readonly name: string;
  readonly index: LogIndex;
  readonly ordinal: number;
  readonly request: Request & { readonly kind: "command" };
  /** Equal for equal outputs only. */
  readonly old: string;
  readonly next: string;
  readonly replies: readonly [old: Reply | undefined, next: Reply | undefined];
}

function* compare(
  { index, kind, payload }: Entry,
  old: readonly Executed[],
  next: readonly Executed[],
): Generator<Compared, void> {
  const requests = kind === "batch" ? (decodeBatch(payload) ?? []) : [];
  for (const [ordinal, request] of requests.entries()) {
    if (request.kind !== "command") continue;
    const replies = [old[ordinal]?.reply, next[ordinal]?.reply] as const;
    const [oldKey, nextKey] = [keyOf(replies[0]), keyOf(replies[1])];
    yield { name: request.name, index, ordinal, request, old: oldKey, next: nextKey, replies };
  }
}

function textsOf({ index, ordinal, request, replies }: Omit<Compared, "name">): OutputDifference {
  const command = askText({ kind: "command", name: request.name, value: decodeValue(request.input) });
  return { index, ordinal, command, old: textOf(replies[0]), next: textOf(replies[1]) };
}

function keyOf(reply: Reply | undefined): string {
  if (reply?.status === "ok" || reply?.status === "rejected" || reply?.status === "failed") return outcomeKey(reply);
  return textOf(reply);
}

function textOf(reply: Reply | undefined): string {
  if (reply?.status === "ok" || reply?.status === "rejected" || reply?.status === "failed") return outcomeText(reply);
  return reply?.status === "refused" ? `refused: ${reply.refusal.code}` : (reply?.status ?? "nothing");
}
