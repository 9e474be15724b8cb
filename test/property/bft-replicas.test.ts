/**
 * Whole replicas under PBFT through crashes at random times: every acknowledged command counts once, and all come to the same state. In every
 * other run the first of them lies as well, on the wire and in what it reports; then the others only restart, since one is all that may fail.
 * Audits find nothing in those who do not lie.
 */
import { expect, test } from "vitest";
import { defaultLimits } from "../../src/api/config.js";
import { nextBetween, randomStream } from "../../src/base/random.js";
import { liarNamed } from "../../src/sim/liars/named.js";
import { encodeAuditReport } from "../../src/wire/audit-codec.js";
import { decodeAnyReport } from "../../src/wire/report-codec.js";
import type { SaidReport } from "../../src/wire/signed-report.js";
import { BftGroup } from "../../test-support/bft-group.js";

const ids = ["a", "b", "c", "d"];
const lies = [
  ...["deafToSome", "unreliable", "corruptVotes", "doubleVotes", "nextIndex", "farView", "withholdingCommits", "hasty"],
  ...["doubleProposals", "emptyPrimary", "gaps", "repeating", "hidingBatches", "usurping", "restless", "twoFaced"],
  ...["omitting", "adding", "wrongCheckpoints", "noCheckpoints", "falseProofs", "lyingStatus", "replaying", "forging"],
];
const seeds = Number(process.env["BFT_REPLICA_SEEDS"] ?? 4);
const from = Number(process.env["BFT_REPLICA_SEED_BASE"] ?? 1);

test.each(Array.from({ length: seeds }, (_, at) => from + at))("seed %i", async (seed) => {
  const random = randomStream(seed, "crashes");
  const liar = seed % 2 === 0 ? liarNamed(lies[nextBetween(random, 0, lies.length - 1)] ?? expect.fail()) : undefined;
  const honest = liar === undefined ? ids : ids.slice(1);
  const audit = { ...defaultLimits.audit, everyCommands: 4, everyMs: 200 };
  const reportOf = (id: string, said: SaidReport): SaidReport =>
    id === "a" && liar !== undefined ? other(said) : said;
  const group = new BftGroup(ids, { liar, reportOf, limits: { audit } });
  let down: string | undefined;
  let count = 0;
  for (let round = 0; round < 30; round += 1) {
    const up = honest.filter((id) => id !== down);
    const door = group.door(up[nextBetween(random, 0, up.length - 1)] ?? expect.fail());
    for (let more = nextBetween(random, 0, 4); more > 0; more -= 1) {
      count += 1;
      expect(await group.add(door, "x")).toBe(String(count));
    }
    door.close();
    const what = nextBetween(random, 0, 8);
    if (down !== undefined && what < 3) {
      group.start(down);
      down = undefined;
    } else if (down === undefined && what < 3) {
      const id = honest[nextBetween(random, 0, honest.length - 1)] ?? expect.fail();
      group.crash(id);
      if (liar === undefined) down = id;
      else group.start(id);
    } else if (what === 3) {
      for (const id of ids) if (id !== down) group.crash(id);
      for (const id of ids) group.start(id);
      down = undefined;
    }
    group.advance(nextBetween(random, 0, 400));
  }
  if (down !== undefined) group.start(down);
  const reader = group.door("b");
  expect(await group.read(reader, "x")).toBe(String(count));
  // What it has sent is all that the others know of a liar: its own state is a correct core's, and may lag.
  if (liar !== undefined) group.crash("a");
  await group.until("equal states", () => {
    const states = honest.map((id) => Buffer.from(group.replica(id).executor.digest()).toString("hex"));
    return new Set(states).size === 1;
  });
  const order = new Map<number, string>();
  for (const executed of group.executed.values()) {
    executed.forEach((what, index) => {
      expect(order.get(index) ?? what).toBe(what);
      order.set(index, what);
    });
  }
  const audits = honest.map((id) => group.replica(id).core.status().audit);
  expect(Math.min(...audits.map(({ positions }) => positions.agreed + positions.named))).toBeGreaterThan(0);
  const named = group.found.filter((each) => !/: different /.test(each)).map((each) => each.slice(3));
  expect([...new Set(named)].filter((each) => liar === undefined || each !== "named a")).toEqual([]);
  if (liar === undefined) expect(group.found).toEqual([]);
  expect(group.quarantines.filter((each) => honest.includes(each.slice(0, 1)))).toEqual([]);
  expect(group.broken).toEqual([]);
});

/** Of an audit report other digests. */
function other(said: SaidReport): SaidReport {
  const decoded = decodeAnyReport(said.report);
  if (decoded?.kind !== "audit") return said;
  const positions = decoded.report.positions.map((position) => ({ ...position, state: { high: 1, low: 1 } }));
  return { ...said, report: encodeAuditReport({ ...decoded.report, positions }) };
}
