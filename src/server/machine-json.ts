/**
 * A machine's values as JSON and back, for HTTP and for people.
 *
 * Owns: the convention for what JSON lacks, and the checks of foreign JSON. Reversible: every value has one JSON form, and
 * reading it gives the value. Limits come before parsing, since depth and digits cannot be seen afterwards.
 *
 *   5n         {"$bigint":"5"}
 *   bytes      {"$bytes":"base64"}
 *   undefined  {"$undefined":true}
 *   -0         {"$number":"-0"}         also whole numbers beyond 2^53, whose digits JSON readers would round
 *   {"$x": 1}  {"$object":{"$x":1}}     an object whose only key starts with $
 */
import { Buffer } from "node:buffer";

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

export type JsonReading =
  { readonly status: "read"; readonly value: unknown } | { readonly status: "invalid"; readonly message: string };

/** Reads a body. An empty one is `undefined`: commands without an input are asked without a body. */
export function readMachineJson(text: string, depthMax: number): JsonReading {
  if (text.trim() === "") return { status: "read", value: undefined };
  const fault = checkText(text, depthMax);
  if (fault !== undefined) return { status: "invalid", message: fault };
  try {
    return { status: "read", value: fromJson(JSON.parse(text) as JsonValue) };
  } catch (cause) {
    if (cause instanceof SyntaxError)
      return { status: "invalid", message: `Cannot read the body as JSON: ${cause.message}` };
    if (cause instanceof WrongTag) return { status: "invalid", message: cause.message };
    throw cause;
  }
}

class WrongTag extends Error {}

/**
 * What parsing would hide: nesting beyond the limit, and integers that a double cannot hold.
 * One pass over the text; strings are skipped.
 */
function checkText(text: string, depthMax: number): string | undefined {
  let depth = 0;
  let at = 0;
  while (at < text.length) {
    const letter = text[at] ?? "";
    if (letter === '"') at = endOfString(text, at);
    else if (letter === "[" || letter === "{") {
      depth += 1;
      if (depth > depthMax) return `Cannot read the body: it nests deeper than ${depthMax} arrays and objects`;
    } else if (letter === "]" || letter === "}") depth -= 1;
    else if (letter >= "0" && letter <= "9") {
      const end = endOfNumber(text, at);
      const digits = text.slice(at, end);
      if (/^\d+$/.test(digits) && !Number.isSafeInteger(Number(digits))) {
        return `Cannot read the body: the number ${digits.slice(0, 40)} is not exact in JSON; write {"$bigint":"…"} if the command takes a bigint`;
      }
      at = end - 1;
    }
    at += 1;
  }
  return undefined;
}

/** The closing quote, or the end of an unfinished text, which the parser then refuses. */
function endOfString(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at;
}

function endOfNumber(text: string, from: number): number {
  let at = from;
  while (at < text.length && /[0-9.eE+-]/.test(text[at] ?? "")) at += 1;
  return at;
}

// --- JSON to value; the depth is bounded by checkText ---

function fromJson(json: JsonValue): unknown {
  if (typeof json !== "object" || json === null) return json;
  if (Array.isArray(json)) return (json as readonly JsonValue[]).map(fromJson);
  const members = Object.entries(json);
  const [only] = members;
  if (members.length === 1 && only?.[0].startsWith("$") === true) return fromTag(only[0], only[1]);
  return objectOf(members);
}

/** `fromEntries` defines own properties, so `__proto__` is plain data like any other key. */
function objectOf(members: readonly (readonly [string, JsonValue])[]): unknown {
  return Object.fromEntries(members.map(([key, value]) => [key, fromJson(value)]));
}

function fromTag(tag: string, content: JsonValue): unknown {
  switch (tag) {
    case "$bigint":
      if (typeof content === "string" && /^(0|-?[1-9]\d{0,4095})$/.test(content)) return BigInt(content);
      throw new WrongTag('Cannot read $bigint: expected decimal digits in a string, like {"$bigint":"5"}');
    case "$bytes":
      return bytesFromBase64(content);
    case "$undefined":
      if (content === true) return undefined;
      throw new WrongTag('Cannot read $undefined: expected {"$undefined":true}');
    case "$number":
      if (isNumberText(content)) return Number(content);
      throw new WrongTag('Cannot read $number: expected the shortest decimal text of a double, like {"$number":"-0"}');
    case "$object":
      if (typeof content === "object" && content !== null && !Array.isArray(content))
        return objectOf(Object.entries(content));
      throw new WrongTag("Cannot read $object: expected an object within it");
    default:
      throw new WrongTag(
        `Cannot read ${tag.slice(0, 40)}: an object whose only key starts with $ is a tag, and the tags are $bigint, $bytes, $undefined, $number, $object`,
      );
  }
}

function isNumberText(content: JsonValue): content is string {
  return typeof content === "string" && Number.isFinite(Number(content)) && textOfNumber(Number(content)) === content;
}

function bytesFromBase64(content: JsonValue): Uint8Array {
  if (typeof content === "string") {
    const bytes = Buffer.from(content, "base64");
    if (bytes.toString("base64") === content) return new Uint8Array(bytes);
  }
  throw new WrongTag('Cannot read $bytes: expected padded base64 in a string, like {"$bytes":"aGk="}');
}

// --- value to JSON; values come from the canonical decoder, which bounds their depth ---

export function toMachineJson(value: unknown): JsonValue {
  switch (typeof value) {
    case "bigint":
      return { $bigint: value.toString() };
    case "undefined":
      return { $undefined: true };
    case "number":
      return isPlainNumber(value) ? value : { $number: textOfNumber(value) };
    case "boolean":
    case "string":
      return value;
    case "object":
      return value === null ? null : objectToJson(value);
    default:
      throw new TypeError(`Cannot write a ${typeof value} as JSON: it is not plain data`);
  }
}

/** Whether its plain digits are exact for every reader: -0 loses its sign, and digits beyond 2^53 look exact and are not. */
function isPlainNumber(value: number): boolean {
  return !Object.is(value, -0) && (!Number.isInteger(value) || Number.isSafeInteger(value) || Math.abs(value) >= 1e21);
}

function textOfNumber(value: number): string {
  return Object.is(value, -0) ? "-0" : String(value);
}

function objectToJson(value: object): JsonValue {
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString("base64") };
  if (Array.isArray(value)) return value.map(toMachineJson);
  const members = Object.entries(value).map(([key, member]) => [key, toMachineJson(member)] as const);
  const json = Object.fromEntries(members);
  const isLikeTag = members.length === 1 && members[0]?.[0].startsWith("$") === true;
  return isLikeTag ? { $object: json } : json;
}
