/**
 * Commands as lines of JSON, as `quorate check-determinism --commands` reads them and its processes pass them on.
 *
 * Owns: the form of a line: {"command": "bid", "input": …} or {"query": …}, with the convention of `machine-json.ts` for what JSON lacks.
 */
import type { PlainAsk } from "../../sim/workload.js";
import { isPlainObject } from "../../wire/canonical.js";
import { readMachineJson, toMachineJson } from "../machine-json.js";

const depthMax = 64;

/** A sentence's end if the line is none: "… line 3: <this>". */
export function readAsk(line: string): PlainAsk | string {
  const reading = readMachineJson(line, depthMax);
  if (reading.status === "invalid") return reading.message;
  const { value } = reading;
  if (typeof value !== "object" || value === null || !isPlainObject(value)) return "it is no object";
  const { command, query, input } = value;
  if (typeof command === "string") return { kind: "command", name: command, value: input };
  if (typeof query === "string") return { kind: "query", name: query, value: input };
  return 'it has neither "command" nor "query"';
}

export function writeAsk({ kind, name, value }: PlainAsk): string {
  return JSON.stringify(toMachineJson(value === undefined ? { [kind]: name } : { [kind]: name, input: value }));
}
