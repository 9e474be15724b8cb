/**
 * Whole replicas under PBFT through crashes at random times: every acknowledged command counts once, and all come to the same state. In every
 * other run the first of them lies as well, on the wire; then the others only restart, since one is all that may fail.
 */
import { expect, test } from "vitest";
import { nextBetween, randomStream } from "../../src/base/random.js";
import { liarNamed } from "../../src/sim/liars/named.js";
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
  const group = new BftGroup(ids, liar === undefined ? {} : { liar });
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
  expect(group.broken).toEqual([]);
});
