/** The thread that verifies signatures: see `signature-thread.ts`. Owns: nothing; it answers each message by one. */
import { parentPort } from "node:worker_threads";
import type { Claim } from "../ports/signatures.js";
import { isSignedBy } from "./signatures.js";

parentPort?.on("message", (claims: readonly Claim[]) => parentPort?.postMessage(claims.map(isSignedBy)));
