import { expect, test } from "vitest";
import { checkLimits, defaultLimits, fingerprintOf, type Limits } from "../../../src/api/config.js";

test("the defaults keep every relation", () => {
  expect(checkLimits(defaultLimits)).toBeUndefined();
});

test("a limit that is no whole number from 1 is named, in every section", () => {
  for (const section of Object.keys(defaultLimits) as (keyof Limits)[]) {
    for (const name of Object.keys(defaultLimits[section])) {
      // Leases are off with a duration of 0.
      const none = section === "lease" && name === "durationMs" ? -2 : 0;
      for (const value of [none, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "7"]) {
        const limits = { ...defaultLimits, [section]: { ...defaultLimits[section], [name]: value } } as Limits;

        expect(checkLimits(limits)).toContain(`Cannot use ${section}.${name}: it is ${String(value)}`);
      }
    }
  }
});

test("relations between limits are checked, with both names in the message", () => {
  const sessions = { ...defaultLimits.sessions, replyBytesTotalMax: defaultLimits.sessions.replyBytesMax - 1 };
  const raft = { ...defaultLimits.raft, electionTimeoutMsMin: 2 * defaultLimits.raft.heartbeatMs };
  const repair = { ...defaultLimits.repair, replyMsMin: defaultLimits.repair.replyMsMax + 1 };
  const transport = { ...defaultLimits.transport, peerFrameBytesMax: 65_536 };

  expect(checkLimits({ ...defaultLimits, sessions })).toMatch(/replyBytesTotalMax.*replyBytesMax/);
  expect(checkLimits({ ...defaultLimits, raft })).toMatch(/electionTimeoutMsMin.*heartbeatMs/);
  expect(checkLimits({ ...defaultLimits, repair })).toMatch(/replyMsMax.*replyMsMin/);
  expect(checkLimits({ ...defaultLimits, transport })).toContain("peerFrameBytesMax");
});

test("replicas that execute by different limits have different fingerprints; what is a replica's own does not count", () => {
  const { checkpoints, sessions, idempotency, lease, machine, audit } = defaultLimits;
  const same = { ...defaultLimits, raft: { ...defaultLimits.raft, heartbeatMs: 50 } };
  const replicated = { checkpoints, sessions, idempotency, lease, machine, audit };
  expect(fingerprintOf(same)).toBe(fingerprintOf(defaultLimits));
  for (const other of [
    { ...replicated, sessions: { ...sessions, repliesMax: 7 } },
    { ...replicated, idempotency: { ...idempotency, keysMax: 7 } },
    { ...replicated, lease: { ...lease, durationMs: 1_000 } },
    { ...replicated, machine: { ...machine, timersPerEntryMax: 7 } },
    { ...replicated, audit: { ...audit, everyCommands: 7 } },
  ])
    expect(fingerprintOf(other)).not.toBe(fingerprintOf(defaultLimits));
});
