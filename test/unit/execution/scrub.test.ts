import { describe, expect, test } from "vitest";

import { defaultLimits } from "../../../src/api/config.js";
import { doAll } from "../../../src/base/steps.js";
import { encodeMembership } from "../../../src/model/membership-codec.js";
import type { Session } from "../../../src/execution/session-table.js";
import type { HeldKey } from "../../../src/execution/idempotency-table.js";
import type { Membership } from "../../../src/model/membership.js";
import { encodeAuditReport } from "../../../src/wire/audit-codec.js";
import {
  ask,
  command,
  execute,
  opened,
  rawEntry,
  replicaWith,
  type OrderedReplica,
} from "../../../test-support/order.js";

const membership: Membership = {
  members: [
    { id: "a", role: "voter", incarnation: 1, peer: "a:1", client: "a:2" },
    { id: "b", role: "voter", incarnation: 1, peer: "b:1", client: "b:2" },
  ],
};

describe("a scrub finds what is not what was written", () => {
  test("in a reply that a session keeps, also in that of the newest session", () => {
    const replica = compared();
    expect(scrub(replica)).toEqual([]);

    for (const session of [...replica.executor.audited.sessions.contents().sessions]) {
      const [reply] = session.replies.values();
      flip(bytesOf(reply));
      expect(scrub(replica)).toContain("the sessions");
      flip(bytesOf(reply));
      expect(scrub(replica)).toEqual([]);
    }
  });

  test("in a session's numbers and times, however wrong they are", () => {
    const replica = compared();
    const [session] = replica.executor.audited.sessions.contents().sessions as Iterable<Session>;
    if (session === undefined) throw new Error("no session");

    session.expiresAt ^= 64;
    expect(scrub(replica)).toEqual(["the sessions"]);
    session.expiresAt ^= 64;
    const { next } = session;
    session.next = (next + 2 ** 50) as typeof next;
    expect(scrub(replica)).toEqual(["the sessions"]);
  });

  test("in an idempotency key", () => {
    const replica = compared();
    const [held] = replica.executor.audited.keys.contents() as Iterable<HeldKey>;
    flip(held?.digest);

    expect(scrub(replica)).toEqual(["the idempotency keys"]);
  });

  test("in the members", () => {
    const replica = compared();
    const [member] = replica.executor.configuration.membership.members as readonly { peer: string }[];
    if (member === undefined) throw new Error("no member");
    member.peer = "`:1";

    expect(scrub(replica)).toEqual(["the members"]);
  });

  test("in the members, also if other members come before it does", () => {
    const replica = compared();
    const twin = compared();
    const [member] = replica.executor.configuration.membership.members as readonly { peer: string }[];
    if (member === undefined) throw new Error("no member");
    member.peer = "`:1";
    for (const each of [replica, twin]) configure(each);

    expect(scrub(replica)).toEqual([]);
    expect(digest(replica)).not.toEqual(digest(twin));
  });
});

test("a session that is used while a scrub goes on is not called damaged, nor are those that come and go", () => {
  const replica = compared();
  const sessions = Array.from({ length: 20 }, (_, at) => opened(replica, 2_000, `more ${at}`));
  digest(replica);
  const steps = replica.executor.scrubbing();
  let number = 1;
  for (let at = 0; ; at += 1) {
    const { done, value } = steps.next();
    if (done === true) {
      expect(value).toEqual([]);
      break;
    }
    const session = sessions[at % 20];
    if (session === undefined) continue;
    if (at % 5 === 4) opened(replica, 3_000, `new ${at}`);
    else if (at % 7 === 6) ask(replica, 3_000, { kind: "close", session });
    else if (at < 20) ask(replica, 3_000, command(session, number, "x"));
    if (at % 3 === 0) digest(replica);
    if (at % 20 === 19) number += 1;
  }
  expect(replica.executor.audits.wantsPosition).toBe(false);
});

test("what a scrub has found shows in every digest from then on, and a position is wanted for it", () => {
  const [replica, twin] = [compared(), compared()];
  expect(digest(replica)).toEqual(digest(twin));

  flipColdReply(replica);
  expect(digest(replica)).toEqual(digest(twin));
  scrub(replica);

  expect(replica.executor.audits.wantsPosition).toBe(true);
  expect(digest(replica)).not.toEqual(digest(twin));
  expect(replica.executor.audits.wantsPosition).toBe(false);
  expect(digest(replica)).not.toEqual(digest(twin));
});

test("a checkpoint that is installed takes the place of what was damaged", () => {
  const [replica, twin] = [compared(), compared()];
  const steps = replica.executor.scrubbing();
  steps.next();
  flipColdReply(replica);
  scrub(replica);

  const fork = twin.executor.fork();
  const { index, time } = fork;
  const state = { index, time, ...chunksOf(fork) };
  expect(doAll(replica.executor.installing(state))).toBeUndefined();

  expect(doAll(steps)).toEqual([]);
  expect(scrub(replica)).toEqual([]);
  expect(digest(replica)).toEqual(digest(twin));
});

test("a report without positions asks for one: an idle cluster compares what a scrub has found", () => {
  const replica = replicaWith({ audit: defaultLimits.audit });
  const { executor } = replica;
  executor.execute(rawEntry(1, 1_000, { kind: "time" }));
  expect(executor.dueAt()).toBeUndefined();

  const members = executor.audits.membersOf(executor.configuration);
  const payload = encodeAuditReport({ replica: "a", incarnation: 1, members, positions: [] });
  executor.execute(rawEntry(2, 5_000, { kind: "report", payload }));

  expect(executor.dueAt()).toBe(6_000);
  executor.execute(rawEntry(3, 6_000, { kind: "time" }));
  expect(executor.audits.due).toBeDefined();
});

/** Two sessions with a reply each, a key, members; and a position behind them. */
function compared(): OrderedReplica {
  const replica = replicaWith({ audit: { everyCommands: 1 } });
  const [one, two] = [opened(replica, 1_000, "one"), opened(replica, 1_000, "two")];
  const idempotency = { principal: "p", key: "k", digest: new Uint8Array(32) };
  ask(replica, 1_000, command(one, 1, "a", { idempotency }), command(two, 1, "b"));
  configure(replica);
  return replica;
}

function configure({ executor }: OrderedReplica): void {
  const payload = encodeMembership(membership);
  executor.execute(rawEntry(executor.executedIndex + 1, executor.time, { kind: "configuration", payload }));
}

/** Of the next entry, which is a position. */
function digest(replica: OrderedReplica): unknown {
  execute(replica, replica.executor.time, [{ kind: "open", nonce: "digest", principal: "p" }]);
  return replica.executor.audits.due?.state;
}

function scrub({ executor }: OrderedReplica): readonly string[] {
  return doAll(executor.scrubbing());
}

function chunksOf({
  machine,
  sessions,
  keys,
  reports,
  members,
  audits,
  versions,
}: ReturnType<OrderedReplica["executor"]["fork"]>) {
  return {
    machine: [...machine.chunks()],
    sessions: [...sessions],
    keys: [...keys],
    reports,
    members,
    audits,
    versions,
  };
}

/** Of a session that nobody uses any more. */
function flipColdReply({ executor }: OrderedReplica): void {
  const session = [...executor.audited.sessions.contents().sessions].find(({ nonce }) => nonce === "two");
  flip(bytesOf(session?.replies.values().next().value));
}

function bytesOf(reply: unknown): Uint8Array {
  return (reply as { readonly output: Uint8Array }).output;
}

function flip(bytes: Uint8Array | undefined): void {
  if (bytes === undefined) throw new Error("nothing to flip");
  bytes[0] = (bytes[0] ?? 0) ^ 1;
}
