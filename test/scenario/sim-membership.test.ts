/** Members that change while one of them is away, told of whole clusters: it must be found again, or be told that it is out (E12). */
import { expect, test } from "vitest";

import { newestConfiguration } from "../../src/consensus/raft/configuration.js";
import type { Instruction, InstructionOutcome } from "../../src/model/instruction.js";
import { memberOf } from "../../src/model/membership.js";
import { append, groupOf, quick, type Story } from "../../test-support/sim-stories.js";

const limits = { raft: quick };

function instruct(group: Story, instruction: Instruction): void {
  let outcome: InstructionOutcome | undefined;
  group.replica(group.untilLeader()).instruct(instruction, (told) => (outcome = told));
  group.until("the instruction to be done", () => outcome !== undefined);
  expect(outcome).toBe("done");
}

function add(group: Story, id: string): void {
  group.replica(id).join();
  instruct(group, { kind: "change", change: { kind: "add", id, peer: `${id}:1`, client: `${id}:2`, role: "joining" } });
  group.until(`${id} to be a voter`, () => {
    const { membership } = newestConfiguration(group.raft(group.untilLeader()));
    return memberOf(membership, id)?.role === "voter";
  });
}

// Who sorts first calls, and a did not know d: so nobody called, and a stayed behind for ever (the sweep's seeds 11517, 13594, and six more).
test("a replica that was away while members changed is reached by a leader that it does not know", () => {
  const group = groupOf(5, { seed: 1, limits, plan: { spares: 1 } });
  if (group.untilLeader() === "a") instruct(group, { kind: "transfer", to: "b" });
  group.kill("a");
  add(group, "d");
  append(group, 5);
  instruct(group, { kind: "transfer", to: "d" });
  expect(group.untilLeader()).toBe("d");

  group.start("a").untilQuiet();

  expect(group.executed("a")).toBe(group.raft("d").log.lastIndex);
  expect(group.untilLeader()).toBe("d");
  group.conclude();
});

test("E12: a replica that was down when it was removed is told when it is back, and disturbs nobody, wherever its id sorts", () => {
  for (const gone of ["a", "c"]) {
    const group = groupOf(5, { seed: 2, limits });
    const to = gone === "a" ? "b" : "a";
    if (group.untilLeader() === gone) instruct(group, { kind: "transfer", to });
    group.kill(gone);
    instruct(group, { kind: "change", change: { kind: "remove", id: gone } });
    append(group, 3);
    const leader = group.untilLeader();
    const { term } = group.raft(leader);

    group.start(gone).pass(5_000);

    expect(group.traceText(10_000)).toContain(`${gone.padEnd(8)}  drops NOT_A_MEMBER`);
    expect([group.untilLeader(), group.raft(leader).term]).toEqual([leader, term]);
    append(group, 3);
    group.conclude();
  }
});
