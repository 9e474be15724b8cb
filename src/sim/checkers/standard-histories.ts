/**
 * What clients of the standard machine saw, as histories for the search.
 *
 * Owns: the translation, key by key, and rule V12. The search knows nothing of the log: it finds an order by itself or shows that there
 * is none, so it would also see an order judge that is wrong. Called at the end of a run.
 */
import { decodeValue } from "../../wire/canonical.js";
import type { Operation } from "../operation.js";
import type { HistoryOperation } from "./effect.js";
import { usualSearchLimits } from "./order-search.js";
import { judgeHistory } from "./history-verdict.js";
import type { Json, ModelName, RecordedOp } from "./sequential-models.js";
import { seesEverything } from "./read-levels.js";
import { must, RuleBroken } from "./violation.js";

interface Input {
  readonly key: string;
  readonly value: number | string;
  readonly from: number | null;
  readonly to: number;
}

/** The model that a command or query belongs to; others are judged by the order alone. */
const modelOf: Readonly<Record<string, ModelName>> = {
  write: "kv",
  cas: "kv",
  read: "kv",
  append: "append-list",
  get: "append-list",
  add: "counter",
  count: "counter",
};

export function searchHistories(operations: readonly Operation[]): void {
  const histories = new Map<string, { model: ModelName; part: HistoryOperation<RecordedOp>[] }>();
  for (const operation of operations) {
    // What may be old has its place in the order (V11), not in what all saw.
    if (!seesEverything(operation)) continue;
    const model = modelOf[operation.name];
    const recorded = model === undefined ? undefined : recordOf(operation);
    if (model === undefined || recorded === undefined) continue;
    const { key } = operation.value as Input;
    const history = histories.get(key);
    if (history === undefined) histories.set(key, { model, part: [recorded] });
    else history.part.push(recorded);
  }
  for (const [key, { model, part }] of histories) {
    const verdict = judgeHistory(model, new Map([[key, part]]), usualSearchLimits);
    must(
      verdict.kind !== "unknown",
      "V16",
      () => `the search for an order of key ${key} gave up on ${part.length} operations`,
    );
    if (verdict.kind === "notLinearizable") throw new RuleBroken("V12", verdict.explain());
  }
}

/** Undefined for what surely had no effect: it is not part of the history. */
function recordOf({
  client,
  name,
  value,
  calledAt,
  endedAt,
  end,
}: Operation): HistoryOperation<RecordedOp> | undefined {
  const isAnswered = end?.kind === "answered" || end?.kind === "read";
  const isUnknown = end === undefined || end.kind === "unknown";
  if (!isAnswered && !isUnknown) return undefined;
  // As one that nobody could finish: it was taken back.
  if (end?.kind === "answered" && end.reply.status === "failed") return undefined;
  const answer = answerOf(end);
  const op = opOf(name, value as Input, answer);
  if (op === undefined) return undefined;
  return { process: client, call: calledAt, ret: isAnswered ? endedAt : undefined, op };
}

function answerOf(end: Operation["end"]): Json | undefined {
  const bytes =
    end?.kind === "answered" && end.reply.status === "ok"
      ? end.reply.output
      : end?.kind === "read" && end.outcome.status === "ok"
        ? end.outcome.output
        : undefined;
  return bytes === undefined ? undefined : (decodeValue(bytes) as Json);
}

function opOf(name: string, { value, from, to }: Input, answer: Json | undefined): RecordedOp | undefined {
  switch (name) {
    case "write":
      return { f: "write", value };
    case "cas":
      return { f: "cas", from, to, ok: answer === undefined ? undefined : answer === true };
    case "read":
      return { f: "read", answer };
    case "append":
      return { f: "append", value: String(value) };
    case "get":
      return { f: "get", answer };
    case "add":
      return { f: "add", value: Number(value), answer };
    case "count":
      return { f: "read", answer };
    default:
      return undefined;
  }
}
