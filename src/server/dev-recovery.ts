/**
 * A local cluster of which `quorate recover` let the survivors go on: `quorate dev` goes on with them.
 *
 * Owns: what the survivors' directories say is written to the record of `dev`. Leaves to others: the recovery itself (`commands/recover.ts`).
 * Called by `dev-cluster.ts` before anything is started.
 */
import { join } from "node:path";
import { nodeDisk } from "../node/disk.js";
import { nodeHash } from "../node/hash.js";
import { decodeIdentity, identityBytesMax } from "../storage/identity.js";
import { readRecoveryRecord } from "../storage/recovery-record.js";
import type { DevRecord } from "./dev-record.js";
import { CommandFailure, exitCodes } from "./exit-codes.js";
import { survivorFromJson } from "./recovery-report.js";

interface Recovered {
  readonly clusterId: string;
  readonly survivors: readonly string[];
}

/** The same record if nothing was recovered since it was written. @throws CommandFailure if a recovery was not finished */
export function afterRecovery(record: DevRecord, dataDir: string): DevRecord {
  const recovered = new Map<string, Recovered>();
  for (const { id } of record.replicas) {
    const found = recoveredIn(join(dataDir, id), id);
    if (found !== undefined && found.clusterId !== record.clusterId) recovered.set(id, found);
  }
  const [newest] = recovered.values();
  if (newest === undefined) return record;
  const { clusterId, survivors } = newest;
  const missing = survivors.filter((id) => recovered.get(id)?.clusterId !== clusterId);
  if (missing.length > 0) {
    const flags = survivors.map((id) => `--data ${join(dataDir, id)}`).join(" ");
    const message = `Cannot start the cluster: its recovery as ${clusterId} was not done for ${missing.join(", ")}. Finish it: quorate recover ${flags} --cluster-id ${clusterId} --accept-loss`;
    throw new CommandFailure(exitCodes.dataRefused, message, {});
  }
  const isSurvivor = ({ id }: { readonly id: string }): boolean => recovered.has(id);
  return {
    ...record,
    clusterId,
    replicas: record.replicas.filter(isSurvivor),
    former: [...(record.former ?? []), ...record.replicas.filter((replica) => !isSurvivor(replica))],
    bootstrapped: record.bootstrapped.filter((id) => recovered.has(id)),
  };
}

/** Undefined if no recovery was done here, or if the replica's own start is to say what is wrong. */
function recoveredIn(path: string, id: string): Recovered | undefined {
  const identityPath = join(path, "identity");
  if (!nodeDisk.exists(identityPath)) return undefined;
  const decoded = decodeIdentity(nodeDisk.readFile(identityPath, identityBytesMax), nodeHash);
  const record = readRecoveryRecord(nodeDisk, nodeHash, path);
  if (decoded.kind !== "identity" || record === undefined || record === "damaged") return undefined;
  const lines = record.text.split("\n");
  const survivors = lines.map((line) => survivorFromJson(line, `the recovery record of ${id}`).id);
  return { clusterId: decoded.identity.clusterId, survivors };
}
