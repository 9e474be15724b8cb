import { expect, test } from "vitest";
import { nodeHash } from "../../../src/node/hash.js";
import { Repair } from "../../../src/replica/repair.js";
import { encodeRepairMessage } from "../../../src/wire/repair-codec.js";
import { indexOf, nameOf, repairGroup, repairLimits, textEntry } from "../../../test-support/repair-group.js";

const noLog = { read: () => {} };

function repairOf(damaged: readonly number[], peers: readonly string[]): Repair {
  const names = damaged.map((index) => nameOf(textEntry(index)));
  return new Repair({ damaged: names, peers: () => peers, log: noLog, hash: nodeHash, seed: 1, limits: repairLimits });
}

test("a replica without damage asks nobody", () => {
  const repair = repairOf([], ["b", "c"]);

  expect(repair.step(0)).toEqual([]);
  expect(repair.firstDamaged).toBeUndefined();
});

test("nothing is executed from the lowest damaged entry on, until that one is written", () => {
  const repair = repairOf([9, 4], ["b"]);
  repair.receive("b", encodeRepairMessage({ kind: "repairReply", entry: textEntry(4) }), 0);

  expect(repair.firstDamaged).toBe(4);
  expect(repair.step(0).filter(({ kind }) => kind === "write")).toEqual([{ kind: "write", entry: textEntry(4) }]);
  expect(repair.firstDamaged).toBe(4);
  repair.written(indexOf(4));
  expect(repair.firstDamaged).toBe(9);
});

test("only the entry whose checksum survived is written; any other answer is counted, and the next peer asked (P5)", () => {
  const repair = repairOf([4], ["b", "c"]);
  const [first] = repair.step(0);
  if (first?.kind !== "send") throw new Error("nothing asked");

  repair.receive(first.to, encodeRepairMessage({ kind: "repairReply", entry: textEntry(4, "another text") }), 5);
  const effects = repair.step(5);

  expect(effects).toHaveLength(1);
  expect(effects[0]).toMatchObject({ kind: "send", to: first.to === "b" ? "c" : "b" });
  expect(repair.status).toMatchObject({ damaged: 1, wrongReplies: 1, unavailable: [] });
});

test("an entry that comes twice is written once, and one that nobody wants is not written", () => {
  const repair = repairOf([4], ["b", "c"]);
  repair.step(0);
  for (const peer of ["b", "c"])
    repair.receive(peer, encodeRepairMessage({ kind: "repairReply", entry: textEntry(4) }), 0);
  repair.receive("b", encodeRepairMessage({ kind: "repairReply", entry: textEntry(5) }), 0);

  expect(repair.step(0).map((effect) => effect.kind === "write" && effect.entry.index)).toEqual([4]);
});

test("a bounded number of entries is asked for at once, the lowest first", () => {
  const repair = repairOf([1, 2, 3, 4, 5, 6, 7, 8], ["b"]);

  expect(repair.step(0)).toHaveLength(repairLimits.requestsInFlightMax);
  expect(repair.step(1)).toHaveLength(0);
});

test("a silent peer is passed over after its time, and asked ever more rarely, but for ever", () => {
  const repair = repairOf([4], ["b"]);
  const askedAt: number[] = [];
  for (let now = 0; now < 60_000; now += 10) if (repair.step(now).length > 0) askedAt.push(now);

  const gaps = askedAt.slice(1).map((at, place) => at - (askedAt[place] ?? 0));
  expect(gaps[0]).toBeLessThanOrEqual(repairLimits.replyMsMin + 10);
  expect(Math.max(...gaps)).toBeLessThanOrEqual(repairLimits.replyMsMax + 10);
  expect(Math.min(...gaps.slice(6))).toBeGreaterThanOrEqual(repairLimits.replyMsMax / 2);
  expect(askedAt.at(-1)).toBeGreaterThan(57_000);
});

test("what a leader has cut off is wanted no more, also if its repair is being written", () => {
  const repair = repairOf([4, 9], ["b"]);
  repair.receive("b", encodeRepairMessage({ kind: "repairReply", entry: textEntry(9) }), 0);
  repair.step(0);

  repair.truncated(indexOf(5));
  repair.written(indexOf(9));

  expect(repair.firstDamaged).toBe(4);
  expect(repair.status).toMatchObject({ damaged: 1, repaired: 0 });
});

test("foreign bytes are counted and change nothing", () => {
  const repair = repairOf([4], ["b"]);

  repair.receive("b", new Uint8Array([99]), 0);
  repair.receive("b", new Uint8Array(0), 0);

  expect(repair.status).toMatchObject({ damaged: 1, wrongReplies: 2 });
});

test("a peer that asks for too much at once is answered for a bounded part of it", () => {
  const group = repairGroup(50, { a: [], b: [] });
  for (let index = 1; index <= 50; index += 1) {
    group
      .of("b")
      .repair.receive("a", encodeRepairMessage({ kind: "repairRequest", wanted: nameOf(textEntry(index)) }), 0);
  }

  group.run(50);

  expect(group.of("b").sent).toBe(repairLimits.readsInFlightMax);
});
