/**
 * What `quorate dev` remembers of a local cluster, outside its replicas' directories: `<data>/cluster.json`.
 *
 * Owns: the file. It says which replicas were bootstrapped, so that one whose directory was wiped is noticed: it has forgotten
 * its votes and must not vote again. Called by `dev-cluster.ts` and, for its addresses, by `status`.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { faultModels } from "../api/config.js";
import { nodeDisk } from "../node/disk.js";
import { CommandFailure, exitCodes } from "./exit-codes.js";

/** Where `dev` keeps a cluster, and `status` looks for one, unless told otherwise. */
export const defaultDataDir = ".quorate/dev";

const replicaSchema = z.strictObject({
  id: z.string(),
  peer: z.string(),
  client: z.string(),
  http: z.string(),
  redis: z.string().optional(),
  /** Its public key, under Byzantine faults. */
  key: z.string().optional(),
});

const recordSchema = z.strictObject({
  format: z.literal(1),
  clusterId: z.string().min(1),
  /** `kv` or the path as it was given. */
  machine: z.string().min(1),
  replicas: z.array(replicaSchema).min(1),
  /** Replicas that have taken part: an empty directory of theirs was wiped. */
  bootstrapped: z.array(z.string()),
  /** Lost before the others went on by `recover`: never started again, and still among the founders. */
  former: z.array(replicaSchema).optional(),
  /** Crash faults without it. */
  faults: z.enum(faultModels).optional(),
});

export type DevRecord = z.infer<typeof recordSchema>;
export type DevReplica = z.infer<typeof replicaSchema>;

function recordPathOf(dataDir: string): string {
  return join(dataDir, "cluster.json");
}

/** `undefined` if there was no cluster yet. A damaged record is refused: guessing could make a wiped replica vote. */
export function readRecord(dataDir: string): DevRecord | undefined {
  const path = recordPathOf(dataDir);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && (cause.code === "ENOENT" || cause.code === "ENOTDIR"))
      return undefined;
    throw cause;
  }
  const checked = recordSchema.safeParse(parseJson(text));
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues;
  const fault = issue === undefined ? "wrong form" : `${issue.path.join(".")}: ${issue.message}`;
  const message = `Cannot read ${path}: ${fault}. It says which replicas have voted, so it is not guessed. To start over: rm -rf ${dataDir}`;
  throw new CommandFailure(exitCodes.dataRefused, message, {});
}

/** Written aside, flushed and renamed: a crash leaves the old record or the new one. */
export function writeRecord(dataDir: string, record: DevRecord): void {
  const path = recordPathOf(dataDir);
  nodeDisk.makeDirectory(dirname(path));
  nodeDisk.writeFileAtomically(path, Buffer.from(`${JSON.stringify(record, undefined, 2)}\n`));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
