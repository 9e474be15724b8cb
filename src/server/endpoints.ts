/**
 * Which replicas a verb asks, over HTTP, and why one did not answer.
 *
 * Owns: the two flags, their defaults, the wording. Called by the verbs that look at a running cluster or change it.
 */
import type { Command } from "commander";
import { defaultDataDir, readRecord } from "./dev-record.js";
import { usageFailure } from "./exit-codes.js";
import { isAddress } from "./options.js";

export const answerMsMax = 2000;

export function withEndpoints(command: Command): Command {
  return command
    .option(
      "--endpoints <a,b,c>",
      "HTTP addresses of replicas (environment: QUORATE_ENDPOINTS; default: those of quorate dev)",
    )
    .option("--data <dir>", "the data directory of quorate dev", defaultDataDir);
}

export function endpointsOf(command: Command): readonly string[] {
  const given = command.opts<{ endpoints?: string; data: string }>();
  const list = given.endpoints ?? process.env["QUORATE_ENDPOINTS"];
  const dataDir = given.data;
  if (list === undefined || list === "") {
    const record = readRecord(dataDir);
    if (record !== undefined) return record.replicas.map(({ http }) => http);
    throw usageFailure(
      `Cannot find replicas: there is no local cluster in ${dataDir}. Run quorate dev, or give --endpoints host:port,…`,
    );
  }
  const endpoints = list.split(",").map((text) =>
    text
      .trim()
      .replace(/^http:\/\//, "")
      .replace(/\/$/, ""),
  );
  const wrong = endpoints.find((endpoint) => !isAddress(endpoint));
  if (wrong !== undefined)
    throw usageFailure(`Cannot use the endpoint "${wrong}": expected host:port, separated by commas`);
  return endpoints;
}

export function faultOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  if (cause.name === "TimeoutError") return `no answer within ${answerMsMax} ms`;
  const inner = cause.cause;
  const code =
    inner instanceof Error && "code" in inner
      ? String(inner.code)
      : inner instanceof Error
        ? inner.message
        : cause.message;
  return code === "ECONNREFUSED" ? "nobody listens" : code;
}
