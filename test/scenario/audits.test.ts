/** Hazards N8 to N10: three replicas execute one order with their reports in it, and one of them is not what it should be. */
import { describe, expect, test } from "vitest";
import type { Entry } from "../../src/model/entry.js";
import { auditMembersOf, type AuditedPosition } from "../../src/model/audit.js";
import { encodeMembership } from "../../src/model/membership-codec.js";
import type { Membership } from "../../src/model/membership.js";
import type { Request } from "../../src/model/request.js";
import { firstDifference } from "../../src/server/forensics/compare.js";
import { encodeAuditReport } from "../../src/wire/audit-codec.js";
import { command, entryOf, numberOf, replicaWith, sessionOf, type OrderedReplica } from "../../test-support/order.js";

const names = ["a", "b", "c"] as const;
type Name = (typeof names)[number];

function membershipOf(addresses: string): Membership {
  const members = names.map((id) => ({
    id,
    role: "voter" as const,
    incarnation: 1,
    peer: `${addresses}:1`,
    client: `${addresses}:2`,
  }));
  return { members };
}

class Trio {
  readonly #replicas = new Map<Name, OrderedReplica>();
  #time = 0;
  readonly #silent: readonly Name[];

  constructor(silent: readonly Name[] = []) {
    this.#silent = silent;
    for (const name of names) this.#replicas.set(name, replicaWith({ audit: { everyCommands: 1, reportMs: 5_000 } }));
    this.configure(() => membershipOf("host"));
    this.ask({ kind: "open", nonce: "n", principal: "p" });
  }

  of(name: Name): OrderedReplica {
    const replica = this.#replicas.get(name);
    if (replica === undefined) throw new Error(`there is no ${name}`);
    return replica;
  }

  /** `wrong` executes something else at this place. */
  ask(request: Request, wrong?: { readonly by: Name; readonly request: Request }): void {
    this.#execute((name) => this.#entry([name === wrong?.by ? wrong.request : request]));
    this.#report();
  }

  configure(membership: (name: Name) => Membership): void {
    this.#execute((name) => ({
      ...this.#entry([]),
      kind: "configuration",
      payload: encodeMembership(membership(name)),
    }));
    this.#report();
  }

  pass(ms: number): void {
    this.#time += ms;
    this.#execute(() => ({ ...this.#entry([]), kind: "time", payload: new Uint8Array(0) }));
  }

  /** As each of them sees it. */
  last(): AuditedPosition | undefined {
    const [first, ...others] = names.map((name) => this.of(name).executor.audits.table.state);
    for (const other of others) expect(other).toEqual(first);
    return first?.recent.at(-1);
  }

  #entry(requests: readonly Request[]): Entry {
    return entryOf(this.of("a").executor.executedIndex + 1, this.#time, requests);
  }

  #execute(entry: (name: Name) => Entry): void {
    const entries = names.map((name) => [name, entry(name)] as const);
    for (const [name, each] of entries) this.of(name).executor.execute(each);
  }

  /** Each tells what it has, through the order. */
  #report(): void {
    const reports = names.flatMap((name) => {
      const { audits, executedIndex: index } = this.of(name).executor;
      if (audits.due === undefined || this.#silent.includes(name)) return [];
      const { output, state, members } = audits.due;
      return [encodeAuditReport({ replica: name, incarnation: 1, members, positions: [{ index, output, state }] })];
    });
    for (const payload of reports) this.#execute(() => ({ ...this.#entry([]), kind: "report", payload }));
  }
}

const session = sessionOf(1);

test("replicas that are as they should be agree at each position", () => {
  const trio = new Trio();
  for (let number = 1; number <= 5; number += 1) trio.ask(command(session, number, `${number}`));
  expect(trio.last()).toMatchObject({ kind: "agreed", agreeing: ["a", "b", "c"] });
  expect(trio.of("a").executor.audits.table.state.counts).toMatchObject({ agreed: 7 });
});

test.each(names)("N8: %s answered something else and is named, and the others are not, whoever leads", (wrong) => {
  const trio = new Trio();
  trio.ask(command(session, 1, "right"), { by: wrong, request: command(session, 1, "wrong") });
  const others = names.filter((name) => name !== wrong);
  expect(trio.last()).toMatchObject({ kind: "named", agreeing: others, differing: [wrong] });
  expect(trio.of("b").executor.audits.table.state.named).toMatchObject([{ replica: wrong, incarnation: 1 }]);
  // What is different stays so.
  trio.ask(command(session, 2, "right"));
  expect(trio.last()).toMatchObject({ kind: "named", differing: [wrong] });
});

test("each keeps what led to the difference: the states before and behind it, of the same entries everywhere", () => {
  const trio = new Trio();
  for (let number = 1; number <= 3; number += 1) trio.ask(command(session, number, "right"));
  const agreedAt = trio.last()?.index;
  trio.ask(command(session, 4, "right"), { by: "b", request: command(session, 4, "wrong") });
  const foundAt = trio.of("a").executor.executedIndex;
  trio.ask(command(session, 5, "right"));

  const [a, b, c] = names.map((name) => trio.of(name).executor.audits.trail.finding);
  if (a === undefined || b === undefined || c === undefined) throw new Error("all have found it");
  expect(a).toMatchObject({ agreedAt, position: (agreedAt ?? 0) + 4, foundAt });
  for (const other of [b, c]) {
    expect(other).toMatchObject({ agreedAt, position: a.position, foundAt });
    expect(other.before?.digest()).toEqual(a.before?.digest());
  }
  expect(c.after?.digest()).toEqual(a.after?.digest());
  expect(b.after?.digest()).not.toEqual(a.after?.digest());
  expect(firstDifference(a.entries, c.entries)).toBeUndefined();
  const first = firstDifference(a.entries, b.entries);
  expect(first).toMatchObject({ isExact: true, left: { index: a.position } });
  expect(first?.left.content?.payload).not.toEqual(first?.right.content?.payload);
});

describe("N9", () => {
  test("without the report of one the others are compared, and it was not checked", () => {
    const trio = new Trio(["c"]);
    trio.ask(command(session, 1, "right"));
    expect(trio.last()).toBeUndefined();
    trio.pass(5_000);
    expect(trio.last()).toMatchObject({ kind: "agreed", agreeing: ["a", "b"], missing: ["c"] });
    expect(trio.of("a").executor.audits.table.state.replicas[2]).toMatchObject({ replica: "c", unchecked: 3 });
  });

  test("without the reports of two nothing was checked", () => {
    const trio = new Trio(["b", "c"]);
    trio.pass(5_000);
    expect(trio.last()).toMatchObject({ kind: "notChecked", agreeing: [], missing: ["a", "b", "c"] });
    expect(trio.of("a").executor.audits.table.state.counts).toMatchObject({ agreed: 0, notChecked: 2 });
  });

  test("one that differs while another does not report names nobody", () => {
    const trio = new Trio(["c"]);
    trio.ask(command(session, 1, "right"), { by: "a", request: command(session, 1, "wrong") });
    trio.pass(5_000);
    expect(trio.last()).toMatchObject({ kind: "different", differing: ["a", "b"], missing: ["c"] });
  });
});

describe("N10: found at the next position", () => {
  test("a stored reply whose bytes flipped in memory", () => {
    const trio = new Trio();
    trio.ask(command(session, 1, "right"));
    const reply = trio.of("b").executor.sessions.storedReply(session, numberOf(1));
    if (reply?.status !== "ok") throw new Error("it is stored");
    reply.output[0] = (reply.output[0] ?? 0) ^ 4;
    trio.ask(command(session, 2, "right"));
    expect(trio.last()).toMatchObject({ kind: "named", differing: ["b"] });
  });

  test("a session that only one has", () => {
    const trio = new Trio();
    trio.ask(
      { kind: "keepAlive", session, acknowledgedBelow: numberOf(1) },
      { by: "c", request: { kind: "keepAlive", session, acknowledgedBelow: numberOf(1) } },
    );
    expect(trio.last()).toMatchObject({ kind: "agreed" });
    trio.ask(
      { kind: "open", nonce: "one", principal: "p" },
      { by: "c", request: { kind: "open", nonce: "other", principal: "p" } },
    );
    expect(trio.last()).toMatchObject({ kind: "named", differing: ["c"] });
  });

  test("other members, although no vote has been counted by them yet", () => {
    const trio = new Trio();
    trio.configure((name) => membershipOf(name === "a" ? "elsewhere" : "host"));
    expect(auditMembersOf(membershipOf("elsewhere"))).toEqual(auditMembersOf(membershipOf("host")));
    expect(trio.last()).toMatchObject({ kind: "named", differing: ["a"] });
  });
});
