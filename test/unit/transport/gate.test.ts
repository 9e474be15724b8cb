/** Who is let in when members have changed, and one side may not know it yet (hazards E12, M8). */
import { expect, test } from "vitest";
import type { Member, Membership } from "../../../src/model/membership.js";
import { checkReplicaHello, helloTo, mayBe, type Identity } from "../../../src/transport/gate.js";
import { noDisk } from "../../../src/wire/handshake.js";
import { id } from "../../../test-support/raft-core.js";

const member = (name: string, changes: Partial<Member> = {}): Member => ({
  ...{ id: name, role: "voter", incarnation: 1, peer: `${name}:1`, client: `${name}:2` },
  ...changes,
});

function identityOf(name: string, incarnation: number, foundation: string): Identity {
  const machine = { machine: "kv", machineVersion: 1 };
  return { clusterId: "blue", id: name, incarnation, process: name, foundation, found: noDisk, ...machine };
}

/** What b, whose newest configuration is entry 5 of term 2, says to a hello of d. */
function answer(
  known: Membership,
  incarnation: number,
  configuration: readonly [number, number],
  founders = "",
): string {
  const b = identityOf("b", 1, "limits;members=a,b");
  const d = identityOf("d", incarnation, `limits${founders}`);
  const standing = { membership: known, configuration: id(5, 2), promisedBy: () => undefined };
  return checkReplicaHello(helloTo("b", d, id(...configuration)), b, standing)?.code ?? "let in";
}

const without = { members: [member("a"), member("b")] };
const joining = { members: [...without.members, member("d", { role: "joining", incarnation: 0 })] };
const bound = { members: [...without.members, member("d", { incarnation: 77 })] };

test("one that is no member is told so, unless it knows newer members than we do", () => {
  expect(answer(without, 77, [0, 0])).toBe("NOT_A_MEMBER");
  expect(answer(without, 77, [5, 2])).toBe("NOT_A_MEMBER");
  expect(answer(without, 77, [9, 1])).toBe("NOT_A_MEMBER");
  expect(answer(without, 77, [6, 2])).toBe("let in");
  expect(answer(without, 77, [3, 3])).toBe("let in");
});

test("any directory may join, but a founder's; once it votes no other may speak for it", () => {
  expect(answer(joining, 77, [0, 0])).toBe("let in");
  expect(answer(joining, 1, [0, 0])).toBe("WRONG_INCARNATION");
  expect(answer(bound, 77, [0, 0])).toBe("let in");
  expect(answer(bound, 78, [0, 0])).toBe("WRONG_INCARNATION");
});

test("while a directory is being replaced both may speak, afterwards only another one than the old", () => {
  const after = [...without.members, member("d", { role: "joining", incarnation: 0, replaces: 77 })];

  expect([77, 78].map((spoken) => mayBe({ members: after, before: bound.members }, "d", spoken))).toEqual([true, true]);
  expect([77, 78].map((spoken) => mayBe({ members: after }, "d", spoken))).toEqual([false, true]);
});

test("a replica that joined has no founders to compare, but the same limits", () => {
  expect(answer(bound, 77, [0, 0], ";members=a,b")).toBe("let in");
  expect(answer(bound, 77, [0, 0], ";members=a,x")).toBe("WRONG_FOUNDATION");
  expect(answer(bound, 77, [0, 0], ",other")).toBe("WRONG_FOUNDATION");
});
