/** Limits and times of cores under test: small, so that a test meets them. */
import type { RaftSettings } from "../src/consensus/raft/state.js";

export const testSettings: RaftSettings = {
  heartbeatMs: 30,
  electionTimeoutMsMin: 150,
  electionTimeoutMsMax: 300,
  reconnectElectionMsMax: 30,
  appendBytesMax: 4096,
  inflightBytesMax: 64 * 1024,
  inflightCountMax: 32,
  logCacheBytes: 16 * 1024,
  leaseMs: 0,
  clockDriftPercentMax: 10,
  priority: 1,
  priorityStableMs: 1_000,
  writeStallMsMax: 900,
  turnStallMsMax: 10_000,
};
