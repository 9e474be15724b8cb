import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { RaftMessage } from "../../../src/consensus/raft/messages.js";
import type { Entry } from "../../../src/model/entry.js";
import { counterMax } from "../../../src/model/ids.js";
import { decodeRaftMessage, encodeRaftMessage } from "../../../src/wire/raft-codec.js";
import { append, entriesOf, i, id, t } from "../../../test-support/raft-core.js";

const counter = fc.oneof(
  fc.nat(300),
  fc.maxSafeNat().map((value) => value % counterMax),
);
const flag = fc.boolean();

/** Valid messages: an entry's term and time never go back, and no term is above the message's. */
const message: fc.Arbitrary<RaftMessage> = fc
  .record({
    term: counter,
    a: counter,
    b: counter,
    flag,
    payloads: fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 5 }),
  })
  .chain(({ term, a, b, flag: yes, payloads }) => {
    const top = t(Math.min(term + 1, counterMax - 1));
    const last = a === 0 ? id(0, 0) : id(a, Math.max(1, Math.min(b, top)));
    const previous = id(Math.min(last.index, counterMax - 10), last.term);
    const entries: Entry[] = payloads.map((payload, at) => ({
      ...{ index: i(previous.index + at + 1), term: top, kind: at % 2 === 0 ? "batch" : "time", time: a, payload },
    }));
    const reply = { kind: "AppendEntriesReply", term: top, round: b } as const;
    return fc.constantFrom<RaftMessage>(
      { kind: "PreVote", term: top, attempt: b, last },
      { kind: "PreVoteReply", term: top, attempt: b, granted: yes },
      { kind: "RequestVote", term: top, last },
      { kind: "RequestVoteReply", term: top, granted: yes },
      { kind: "AppendEntries", term: top, round: b, previous, commit: i(b), entries },
      { ...reply, outcome: { kind: "accepted", match: i(b) } },
      { ...reply, outcome: { kind: "conflict", rejected: i(Math.max(1, b)), hint: last } },
      { ...reply, outcome: { kind: "outdated" } },
      { ...reply, outcome: { kind: "accepted", match: i(b) }, space: yes ? "short" : "none" },
      { ...reply, outcome: { kind: "accepted", match: i(b) }, priority: b === 1 ? 0 : b },
      { kind: "ReadIndex", term: top, id: a, byLease: true },
      { kind: "ReadIndexReply", term: top, id: a, index: yes ? i(b) : undefined },
      { kind: "TimeoutNow", term: top },
    );
  });

test("what is encoded is decoded to the same", () => {
  fc.assert(
    fc.property(message, (original) => {
      expect(decodeRaftMessage(encodeRaftMessage(original))).toEqual(original);
    }),
    { numRuns: 2000, seed: 7 },
  );
});

test("bytes of anybody give a message or nothing, never an exception, and one message has one form", () => {
  const damaged = fc
    .record({ message, at: fc.nat(), to: fc.nat(255), cut: fc.nat(3) })
    .map(({ message: original, at, to, cut }) => {
      const bytes = encodeRaftMessage(original).slice();
      bytes[at % bytes.length] = to;
      return bytes.subarray(0, bytes.length - cut);
    });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), damaged), (bytes) => {
      const decoded = decodeRaftMessage(bytes);
      if (decoded !== undefined) expect([...encodeRaftMessage(decoded)]).toEqual([...bytes]);
    }),
    { numRuns: 5000, seed: 7 },
  );
});

test("a message that would break a rule of the core is refused where it comes in", () => {
  const refused = (broken: RaftMessage): void => expect(decodeRaftMessage(encodeRaftMessage(broken))).toBeUndefined();
  const whole = append(5, [3, 2], { entries: [3, 4], commit: 1 });
  expect(decodeRaftMessage(encodeRaftMessage(whole))).toEqual(whole);

  refused(append(5, [3, 2], { entries: [4, 3] })); // Terms go back.
  refused(append(5, [3, 2], { entries: [1] })); // Also against the entry before.
  refused(append(5, [3, 2], { entries: [6] })); // An entry from a term that has not begun.
  refused({ ...whole, previous: id(3, 0) });
  refused({ ...whole, previous: id(0, 2) });
  const [first, second] = entriesOf([3, 4], 3);
  if (first !== undefined && second !== undefined)
    refused({
      ...whole,
      entries: [
        { ...first, time: 9 },
        { ...second, time: 8 },
      ],
    });
  refused({ ...whole, previous: id(counterMax - 2, 2) }); // The last entry would lie at the limit (F8).
  refused({ kind: "RequestVote", term: counterMax as never, last: id(0, 0) });
  refused({
    kind: "AppendEntriesReply",
    term: t(1),
    round: 1,
    outcome: { kind: "conflict", rejected: i(0), hint: id(0, 0) },
  });
});

test("a lie about the count of entries costs nothing", () => {
  const bytes = Uint8Array.from([4, 1, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x07]);

  expect(decodeRaftMessage(bytes)).toBeUndefined();
});

test("decoded payloads are views of the message, not copies", () => {
  const bytes = encodeRaftMessage(append(1, [0, 0], { entries: [1] }));
  const decoded = decodeRaftMessage(bytes);

  if (decoded?.kind !== "AppendEntries") throw new Error("it is AppendEntries");
  expect(decoded.entries[0]?.payload.buffer).toBe(bytes.buffer);
});
