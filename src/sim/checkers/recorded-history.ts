/**
 * A recorded history: one JSON object, read and checked.
 *
 * Owns: the form of `quorate check-history`'s file, and every reason to refuse it, in words that name the operation and the field. Leaves to
 * others: files (`server/commands/check-history.ts`), verdicts (`history-verdict.ts`).
 */
import type { HistoryOperation } from "./effect.js";
import { modelNames, type Json, type ModelName, type RecordedOp } from "./sequential-models.js";

export interface RecordedHistory {
  readonly id: string | number;
  readonly model: ModelName;
  /** By key; of other models than `kv` there is one part. */
  readonly parts: ReadonlyMap<string, readonly HistoryOperation<RecordedOp>[]>;
}

type Fields = { readonly [name: string]: unknown };

class Refused extends Error {}

/** The history, or why it is none. */
export function readHistory(text: string): RecordedHistory | string {
  try {
    return historyOf(JSON.parse(text));
  } catch (cause) {
    if (cause instanceof Refused) return cause.message;
    if (cause instanceof SyntaxError) return `it is not JSON: ${cause.message}`;
    throw cause;
  }
}

function historyOf(value: unknown): RecordedHistory {
  const { id, model, ops } = fieldsOf(value, "the line");
  if (typeof id !== "string" && typeof id !== "number") throw new Refused("its id is neither a text nor a number");
  const name = modelNames.find((known) => known === model);
  if (name === undefined) throw new Refused(`its model is ${show(model)}, and the models are ${modelNames.join(", ")}`);
  if (!Array.isArray(ops)) throw new Refused("its ops are not a list");
  const parts = new Map<string, HistoryOperation<RecordedOp>[]>();
  for (const [at, each] of ops.entries()) {
    const where = `operation ${at}`;
    const fields = fieldsOf(each, where);
    const key = name === "kv" ? textField(fields, "key", where) : "";
    const part = parts.get(key);
    const operation = operationOf(name, fields, where);
    if (part === undefined) parts.set(key, [operation]);
    else part.push(operation);
  }
  return { id, model: name, parts };
}

function operationOf(model: ModelName, fields: Fields, where: string): HistoryOperation<RecordedOp> {
  const { p, call, ret } = fields;
  if (typeof p !== "string" && typeof p !== "number")
    throw new Refused(`${where}: its p is neither a text nor a number`);
  if (typeof call !== "number" || !Number.isFinite(call)) throw new Refused(`${where}: its call is not a time`);
  if (ret !== null && (typeof ret !== "number" || !Number.isFinite(ret)))
    throw new Refused(`${where}: its ret is neither a time nor null`);
  if (ret !== null && ret < call) throw new Refused(`${where}: it returns at ${ret}, before its call at ${call}`);
  return { process: String(p), call, ret: ret ?? undefined, op: opOf(model, fields, { where, isKnown: ret !== null }) };
}

interface Place {
  readonly where: string;
  readonly isKnown: boolean;
}

function opOf(model: ModelName, fields: Fields, place: Place): RecordedOp {
  const { f } = fields;
  const { where } = place;
  switch (`${model === "kv" ? "register" : model} ${String(f)}`) {
    case "register read":
      return { f: "read", answer: answerOf(fields, place) };
    case "register write":
      checkOut(fields, place);
      return { f: "write", value: given(fields, "value", where) };
    case "register cas":
      return { f: "cas", from: given(fields, "from", where), to: given(fields, "to", where), ok: okOf(fields, place) };
    case "append-list get":
      return { f: "get", answer: answerOf(fields, place) };
    case "append-list append":
      checkOut(fields, place);
      return { f: "append", value: textField(fields, "value", where) };
    case "counter read":
      return { f: "read", answer: answerOf(fields, place) };
    case "counter add":
      return { f: "add", value: amountOf(fields, where), answer: answerOf(fields, place) };
    default:
      throw new Refused(`${where}: its f is ${show(f)}, which ${model} does not have`);
  }
}

function answerOf(fields: Fields, { where, isKnown }: Place): Json | undefined {
  if (!isKnown) return undefined;
  const out = fieldsOf(fields["out"], `${where}: its out`);
  if (!("value" in out)) throw new Refused(`${where}: its out has no value`);
  return out["value"] as Json;
}

function okOf(fields: Fields, { where, isKnown }: Place): boolean | undefined {
  if (!isKnown) return undefined;
  const { ok } = fieldsOf(fields["out"], `${where}: its out`);
  if (typeof ok !== "boolean") throw new Refused(`${where}: its out has no ok that is true or false`);
  return ok;
}

function checkOut(fields: Fields, { where, isKnown }: Place): void {
  if (isKnown) fieldsOf(fields["out"], `${where}: its out`);
}

function amountOf(fields: Fields, where: string): number {
  const value = fields["value"] ?? 1;
  if (typeof value !== "number" || !Number.isFinite(value)) throw new Refused(`${where}: its value is not a number`);
  return value;
}

function given(fields: Fields, name: string, where: string): Json {
  if (!(name in fields)) throw new Refused(`${where}: it has no ${name}`);
  return fields[name] as Json;
}

function textField(fields: Fields, name: string, where: string): string {
  const value = fields[name];
  if (typeof value !== "string") throw new Refused(`${where}: its ${name} is not a text`);
  return value;
}

function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Refused(`${what} is not an object`);
  return value as Fields;
}

function show(value: unknown): string {
  return typeof value === "string" ? `"${value}"` : String(value);
}
