/**
 * The keys of a local cluster under Byzantine faults: one for each replica and one for its administrator, in `<data>/keys`.
 *
 * Owns: making them once. Leaves to others: their form (`key-file.ts`). Called by `dev-cluster.ts`.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { nodeDisk } from "../node/disk.js";
import type { Signer } from "../ports/signatures.js";
import { keyNameOf } from "../wire/key-name.js";
import type { DevReplica } from "./dev-record.js";
import { readKeyFile, writeKeyFile } from "./key-file.js";

/** Made once, outside the replicas' directories: a wiped replica is to be noticed, and not to lose its name. */
export function withKey(replica: DevReplica, dataDir: string): DevReplica {
  return replica.key !== undefined ? replica : { ...replica, key: keyNameOf(keyIn(dataDir, replica.id).publicKey) };
}

function keyIn(dataDir: string, name: string): Signer {
  const path = keyPathOf(dataDir, name);
  nodeDisk.makeDirectory(dirname(path));
  return existsSync(path) ? readKeyFile(path) : writeKeyFile(path);
}

/** One who is no replica signs changes of the members: its key is made with the first replica's. */
export function signingFlags(dataDir: string, id: string): readonly string[] {
  const administrator = keyNameOf(keyIn(dataDir, "administrator").publicKey);
  return ["--faults", "byzantine", "--key-file", keyPathOf(dataDir, id), "--administrator", administrator];
}

function keyPathOf(dataDir: string, id: string): string {
  return join(dataDir, "keys", `${id}.pem`);
}
