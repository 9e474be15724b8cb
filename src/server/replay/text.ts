/**
 * What was replayed, as text for people and as JSON.
 *
 * Owns: both forms. Timers and events are collections of the state with names of their own; here they are told as what they are. Long values
 * are cut in texts, never in JSON.
 */
import type { Outcome, StateChange } from "../../api/low-level.js";
import { membersOf } from "../../model/membership.js";
import type { Reply, Request } from "../../model/request.js";
import { askText, outcomeText, valueText } from "../../sim/machine-copy.js";
import { decodeValue } from "../../wire/canonical.js";
import { toMachineJson, type JsonValue } from "../machine-json.js";
import type { Changes, ComparedMemory, ComparedReport, Replayed, ReplayedStep } from "./replayer.js";

// --- for people ---

export function replayedText(replayed: Replayed): string {
  const { entry, steps, members, report, remembered } = replayed;
  const lines = [`${entry.index}  ${timeText(entry.time)}  ${entry.kind}`];
  if (members !== undefined) {
    lines.push(
      `  members ${membersOf(members)
        .map(({ id, role }) => `${id} ${role}`)
        .join(", ")}`,
    );
  }
  if (report !== undefined) lines.push(`  ${reportText(report)}`);
  for (const step of steps) if (isTold(step)) lines.push(...stepLines(step));
  for (const memory of remembered) lines.push(...memoryLines(memory));
  return lines.join("\n");
}

function memoryLines({ replica, answers, isStateEqual }: ComparedMemory): readonly string[] {
  const lines = answers.flatMap((answer, at) =>
    answer === undefined
      ? []
      : [`  ${replica} answered request ${at + 1} with ${replyText(answer)}, NOT what is computed here`],
  );
  return isStateEqual
    ? lines
    : [...lines, `  ${replica} had another state behind this entry, NOT what is computed here`];
}

/** A sweep that did nothing comes with every entry. */
function isTold(step: ReplayedStep): boolean {
  if (step.kind !== "sweep" || step.outcome.status === "failed") return true;
  return step.changes !== undefined && step.changes.shown.length > 0;
}

function stepLines(step: ReplayedStep): readonly string[] {
  const changes = changeLines(step.changes).map((line) => `    ${line}`);
  if (step.kind === "request") {
    const { request, reply, repeated, principal } = step;
    const again = repeated ? " (answered from what was stored: nothing ran)" : "";
    return [`  ${askedText(request, principal)}`, `    = ${replyText(reply)}${again}`, ...changes];
  }
  const name = step.kind === "timer" ? `timer ${step.name} ${valueText(step.key)}` : "sweep";
  return [`  ${name}`, ...(step.outcome.status === "failed" ? [`    = ${outcomeText(step.outcome)}`] : []), ...changes];
}

export function askedText(request: Request, principal: string): string {
  const whose = principal === "" ? "" : ` of ${valueText(principal)}`;
  switch (request.kind) {
    case "open":
      return `a session is opened${whose}`;
    case "command": {
      const { session, number, name, input, idempotency } = request;
      const key = idempotency === undefined ? "" : ` key ${valueText(idempotency.key)}`;
      const asked = askText({ kind: "command", name, value: decodeValue(input) });
      return `session ${session}${whose} #${number}${key}  ${asked}`;
    }
    case "resolve":
      return `session ${request.session}${whose}  asks what became of #${request.number}`;
    case "keepAlive":
      return `session ${request.session}${whose}  is kept alive`;
    case "close":
      return `session ${request.session}${whose}  is closed`;
  }
}

export function replyText(reply: Reply): string {
  switch (reply.status) {
    case "ok":
    case "rejected":
    case "failed":
      return outcomeText(reply as Outcome);
    case "refused":
      return `refused: ${valueText(reply.refusal)}`;
    case "opened":
      return `session ${reply.session}`;
    case "resolved": {
      const { outcome } = reply;
      if (outcome.kind === "tombstoned") return "it was not executed and never will be";
      return outcome.reply === undefined ? "executed" : `executed: ${replyText(outcome.reply)}`;
    }
    case "alive":
    case "closed":
      return reply.status;
  }
}

function changeLines(changes: Changes): readonly string[] {
  if (changes === undefined) return [];
  const lines = changes.shown.map(changeText).filter((line) => line !== undefined);
  return changes.more === 0 ? lines : [...lines, `and ${changes.more} more keys`];
}

/** Undefined for what the library notes beside timers and events. */
export function changeText({ collection, key, before, after }: StateChange): string | undefined {
  switch (collection) {
    case "$timerTimes":
    case "$eventStreams":
      return undefined;
    case "$timers": {
      const [at, name, timer] = key as readonly [number, string, string];
      const what = `timer ${name} ${valueText(timer)}`;
      if (after === undefined) return `${what} for ${timeText(at)} is gone`;
      return `${what} is set for ${timeText(at)} with ${valueText((after.value as { readonly data?: unknown }).data)}`;
    }
    case "$events": {
      const [name] = key as readonly [string];
      if (after === undefined) return undefined;
      return `event ${name} ${valueText(decodeValue(after.value as Uint8Array))}`;
    }
    default:
      return `${placeText(collection, key)}: ${contentText(before)} -> ${contentText(after)}`;
  }
}

function placeText(collection: string, key: unknown): string {
  return `${collection}[${valueText(key)}]`;
}

function contentText(content: StateChange["before"]): string {
  return content === undefined ? "nothing" : valueText(content.value);
}

function reportText({ replica, equal, different }: ComparedReport): string {
  const same = `${equal} position${equal === 1 ? "" : "s"} as computed here`;
  const [first] = different;
  if (first === undefined) return `report of ${replica}: ${same}`;
  const { index, parts } = first;
  return `report of ${replica}: ${same}, ${different.length} NOT, the first at entry ${index} (${parts})`;
}

export function timeText(time: number): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? String(time) : date.toISOString();
}

// --- for programs ---

export function replayedJson({ entry, steps, members, report, remembered }: Replayed): JsonValue {
  const { index, term, time, kind } = entry;
  return {
    event: "entry",
    ...{ index, term, time, kind },
    ...(members === undefined ? {} : { members: toMachineJson(membersOf(members)) }),
    ...(report === undefined ? {} : { report: toMachineJson(report) }),
    steps: steps.filter(isTold).map(stepJson),
    ...(remembered.length === 0 ? {} : { different: remembered.map(memoryJson) }),
  };
}

function memoryJson({ replica, answers, isStateEqual }: ComparedMemory): JsonValue {
  const told = answers.map((answer) => (answer === undefined ? null : replyJson(answer)));
  return { replica, answers: told, isStateEqual };
}

function stepJson(step: ReplayedStep): JsonValue {
  const changes =
    step.changes === undefined ? {} : { changes: step.changes.shown.map(changeJson), more: step.changes.more };
  if (step.kind !== "request") {
    const named = step.kind === "timer" ? { name: step.name, key: step.key } : {};
    const { outcome } = step;
    const failed = outcome.status === "failed" ? { failed: outcome.message } : {};
    return { kind: step.kind, ...named, ...failed, ...changes };
  }
  const { request, reply, repeated, principal } = step;
  return { ...requestJson(request), principal, reply: replyJson(reply), repeated, ...changes };
}

function requestJson(request: Request): { readonly [key: string]: JsonValue } {
  switch (request.kind) {
    case "open":
      return { kind: "open" };
    case "command": {
      const { session, number, name, input, idempotency } = request;
      const key = idempotency === undefined ? {} : { idempotencyKey: idempotency.key };
      return { kind: "command", session, number, ...key, name, input: toMachineJson(decodeValue(input)) };
    }
    case "resolve":
      return { kind: "resolve", session: request.session, number: request.number };
    case "keepAlive":
    case "close":
      return { kind: request.kind, session: request.session };
  }
}

function replyJson(reply: Reply): JsonValue {
  switch (reply.status) {
    case "ok":
    case "rejected":
    case "failed":
      return outcomeJson(reply as Outcome);
    case "refused":
      return { status: "refused", refusal: toMachineJson(reply.refusal) };
    case "opened":
      return { status: "opened", session: reply.session };
    case "resolved": {
      const { outcome } = reply;
      if (outcome.kind === "tombstoned" || outcome.reply === undefined) return { status: "resolved", as: outcome.kind };
      return { status: "resolved", as: outcome.kind, reply: replyJson(outcome.reply) };
    }
    case "alive":
    case "closed":
      return { status: reply.status };
  }
}

function outcomeJson(outcome: Outcome): JsonValue {
  switch (outcome.status) {
    case "ok":
      return { status: "ok", output: toMachineJson(decodeValue(outcome.output)) };
    case "rejected":
      return { status: "rejected", code: outcome.code, data: toMachineJson(decodeValue(outcome.data)) };
    case "failed":
      return { status: "failed", message: outcome.message };
  }
}

function changeJson({ collection, key, before, after }: StateChange): JsonValue {
  return {
    collection,
    key: toMachineJson(key),
    ...(before === undefined ? {} : { before: toMachineJson(before.value) }),
    ...(after === undefined ? {} : { after: toMachineJson(after.value) }),
  };
}
