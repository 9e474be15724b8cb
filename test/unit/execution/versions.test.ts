/** When a version starts, entry by entry, without a network: what is ordered is the test's. */
import { describe, expect, test } from "vitest";
import type { LowLevelMachine } from "../../../src/api/low-level.js";
import { doAll } from "../../../src/base/steps.js";
import { configurationIn, framesOf, installFrames, withoutMembers } from "../../../src/execution/checkpoint-frames.js";
import { Executor } from "../../../src/execution/executor.js";
import type { EntryKind } from "../../../src/model/entry.js";
import { firstRequest, logIndex, noIndex, type LogIndex, type SessionId } from "../../../src/model/ids.js";
import { encodeMembership } from "../../../src/model/membership-codec.js";
import type { Member, Membership } from "../../../src/model/membership.js";
import type { VersionChange, VersionOffer, VersionState } from "../../../src/model/version.js";
import { nodeHash } from "../../../src/node/hash.js";
import { decodeValue, encodeValue } from "../../../src/wire/canonical.js";
import {
  decodeOffer,
  decodeVersionChange,
  decodeVersionState,
  encodeOffer,
  encodeVersionChange,
  encodeVersionState,
} from "../../../src/wire/version-codec.js";
import { entryOf, limitsWith, rawEntry } from "../../../test-support/order.js";
import { bankV1, bankV2, bankV3, spoiltV2 } from "../../../test-support/versioned-bank.js";

const founders: Membership = { members: ["a", "b", "c"].map((id) => memberOf(id)) };

function memberOf(id: string, more: Partial<Member> = {}): Member {
  return { id, role: "voter", incarnation: 1, peer: "p", client: "c", ...more };
}

class Ordered {
  readonly executor: Executor;
  #time = 1;
  #session: SessionId | undefined;
  #number = 0;

  constructor(machine: LowLevelMachine, members = founders) {
    this.executor = new Executor({ machine, hash: nodeHash, limits: limitsWith({}), founders: members });
  }

  get state(): VersionState {
    return this.executor.versions.state;
  }

  entry(kind: EntryKind, payload?: Uint8Array): this {
    this.#time += 1;
    const what = payload === undefined ? { kind } : { kind, payload };
    this.executor.execute(rawEntry(this.executor.executedIndex + 1, this.#time, what));
    return this;
  }

  offers(...offers: readonly [replica: string, ...versions: number[]][]): this {
    for (const [replica, ...versions] of offers) this.offer({ replica, incarnation: 1, versions });
    return this;
  }

  offer(offer: VersionOffer): this {
    return this.entry("report", encodeOffer(offer));
  }

  change(change: VersionChange): this {
    return this.entry("version", encodeVersionChange(change));
  }

  start(version: number, more: Partial<Extract<VersionChange, { kind: "start" }>> = {}): this {
    const { active } = this.state;
    return this.change({
      kind: "start",
      from: active,
      version,
      configuration: noIndex,
      members: ["a", "b", "c"],
      ...more,
    });
  }

  ask(name: string, input: unknown): unknown {
    this.#session ??= this.#open();
    this.#number += 1;
    this.#time += 1;
    const request = {
      kind: "command",
      session: this.#session,
      number: this.#number as typeof firstRequest,
      acknowledgedBelow: firstRequest,
      idempotency: undefined,
      name,
      input: encodeValue(input),
    } as const;
    const [executed] = this.executor.execute(entryOf(this.executor.executedIndex + 1, this.#time, [request]));
    const reply = executed?.reply;
    return reply?.status === "ok" ? decodeValue(reply.output) : reply;
  }

  query(name: string, input: unknown): unknown {
    const outcome = this.executor.query(name, encodeValue(input));
    return outcome.status === "ok" ? decodeValue(outcome.output) : outcome;
  }

  pass(ms: number): this {
    this.#time += ms;
    return this.entry("time");
  }

  #open(): SessionId {
    this.#time += 1;
    const request = { kind: "open", nonce: "n", principal: "p" } as const;
    const [opened] = this.executor.execute(entryOf(this.executor.executedIndex + 1, this.#time, [request]));
    if (opened?.reply.status !== "opened") throw new Error("not opened");
    return opened.reply.session;
  }
}

const all = [
  ["a", 1, 2],
  ["b", 1, 2],
  ["c", 1, 2],
] as const;

function everybody(ordered: Ordered): Ordered {
  return ordered.offers(...all.map((offer): [string, ...number[]] => [...offer]));
}

describe("a version starts", () => {
  test("at its entry, once every member offers it; whoever runs the same entries has the same state", () => {
    const [one, other] = [new Ordered(bankV2), new Ordered(bankV2)];
    for (const each of [one, other]) {
      each.ask("deposit", { to: "x", amount: 7 });
      everybody(each).start(2);
      expect(each.state).toMatchObject({ active: 2, since: each.executor.executedIndex, failed: [] });
      expect(each.executor.isCheckpointDue).toBe(true);
      expect(each.query("largest", undefined)).toBe(7);
      expect(each.ask("withdraw", { from: "x", amount: 2 })).toEqual({ balance: 5 });
    }
    expect(one.executor.digest()).toEqual(other.executor.digest());
  });

  test.each([
    ["a member offers nothing", (group: Ordered) => group.offers(["a", 1, 2], ["b", 1, 2]).start(2)],
    ["a member took its offer back", (group: Ordered) => everybody(group).offers(["c", 1]).start(2)],
    ["what follows differs", (group: Ordered) => everybody(group).offers(["c", 1, 3]).start(2)],
    ["the entry is of another active version", (group: Ordered) => everybody(group).start(2, { from: 3 })],
    ["members have changed", (group: Ordered) => everybody(group).start(2, { configuration: logIndex(1) as LogIndex })],
  ])("not if %s", (_why, order) => {
    const group = new Ordered(bankV2);
    group.ask("deposit", { to: "x", amount: 7 });
    order(group);
    expect(group.state.active).toBe(1);
    expect(group.executor.broken).toBeUndefined();
    expect(group.ask("deposit", { to: "x", amount: 1 })).toEqual({ balance: 8, version: 1 });
  });

  test("not if a configuration came between, under which another must offer it", () => {
    const group = everybody(new Ordered(bankV2));
    const membership = { members: [...founders.members, memberOf("d", { role: "learner", incarnation: 9 })] };
    group.entry("configuration", encodeMembership(membership)).start(2);
    expect(group.state.active).toBe(1);
    expect(group.executor.versions.nextFor(group.executor.configuration)).toBeUndefined();
    group.offer({ replica: "d", incarnation: 8, versions: [1, 2] });
    expect(group.executor.versions.nextFor(group.executor.configuration)).toBeUndefined();
    group.offer({ replica: "d", incarnation: 9, versions: [1, 2] });
    const next = group.executor.versions.nextFor(group.executor.configuration);
    expect(next).toMatchObject({ from: 1, version: 2, members: ["a", "b", "c", "d"] });
    if (next !== undefined) group.change(next);
    expect(group.state.active).toBe(2);
  });

  test("what a replica whose disk was replaced has offered counts no more", () => {
    const group = everybody(new Ordered(bankV2));
    const replaced = memberOf("c", { role: "joining", incarnation: 0, replaces: 1 });
    const members = [...founders.members.slice(0, 2), replaced];
    group.entry("configuration", encodeMembership({ members }));
    expect(group.executor.versions.nextFor(group.executor.configuration)).toBeUndefined();
    group.offer({ replica: "c", incarnation: 77, versions: [1, 2] });
    expect(group.executor.versions.nextFor(group.executor.configuration)).toMatchObject({ version: 2 });
  });

  test("one after the other, each from the one before", () => {
    const group = new Ordered(bankV3);
    group.ask("deposit", { to: "x", amount: 7 });
    group.offers(["a", 1, 2, 3], ["b", 1, 2, 3], ["c", 1, 2, 3]).start(3);
    expect(group.state.active).toBe(1);
    group.start(2).start(3);
    expect(group.state.active).toBe(3);
    expect(group.query("balance", { to: "x" })).toEqual({ balance: 7, version: 3 });
  });

  test("nowhere if its migration throws, and never again; the version before goes on as if nothing had been", () => {
    const group = new Ordered(spoiltV2);
    group.ask("deposit", { to: "x", amount: 7 });
    everybody(group).start(2);
    const failed = { version: 2, index: group.executor.executedIndex, message: "cannot migrate x" };
    expect(group.state).toMatchObject({ active: 1, failed: [failed] });
    expect(group.executor.versions.nextFor(group.executor.configuration)).toBeUndefined();
    group.start(2);
    expect(group.state.failed).toEqual([failed]);
    expect(group.ask("deposit", { to: "x", amount: 1 })).toEqual({ balance: 8, version: 1 });
  });

  test("on a replica that cannot run it: there nothing is executed from its entry on, and it says what to do", () => {
    const group = new Ordered(bankV1);
    group.ask("deposit", { to: "x", amount: 7 });
    everybody(group);
    const before = group.executor.executedIndex;
    group.start(2);
    expect(group.executor.executedIndex).toBe(before);
    expect(group.executor.broken).toBe(
      `Cannot run version 2 of bank, which is active since entry ${before + 1}: this program has version 1 alone. Nothing is lost: start the program that the other replicas run, in which version 2 and all up to the newest follow each other by "previous"`,
    );
    expect(group.executor.lacksVersion).toBe(group.executor.broken);
  });
});

describe("a log begins", () => {
  const later: LowLevelMachine = { ...bankV2, previous: undefined };

  test("with version 1 at its first request", () => {
    const group = new Ordered(bankV2);
    expect(group.state.hasBegun).toBe(false);
    group.ask("deposit", { to: "x", amount: 1 });
    expect(group.state).toMatchObject({ active: 1, hasBegun: true, since: 0 });
    group.change({ kind: "begin", version: 2 });
    expect(group.state.active).toBe(1);
  });

  test("with another one if it says so first", () => {
    const group = new Ordered(later);
    expect(group.executor.versions.toBegin).toBe(2);
    group.entry("noop").change({ kind: "begin", version: 2 });
    expect(group.executor.versions.toBegin).toBeUndefined();
    expect(group.ask("deposit", { to: "x", amount: 3 })).toEqual({ balance: 3, version: 2 });
  });

  test("and who cannot run that stops", () => {
    expect(new Ordered(bankV1).change({ kind: "begin", version: 2 }).executor.broken).toMatch(
      /Cannot run version 2 of bank/,
    );
    expect(new Ordered(later).pass(1).executor.broken).toMatch(
      /Cannot run version 1 of bank, with which its log begins/,
    );
  });
});

describe("a migration", () => {
  test("takes over what has the same name and kind, and the timers and events that are declared again", () => {
    const group = new Ordered(bankV2);
    group.ask("remind", { to: "x", inMs: 500 });
    group.ask("deposit", { to: "x", amount: 7 });
    const [moved] = eventsOf(group, "moved");
    everybody(group).start(2);
    expect(eventsOf(group, "moved")).toEqual([moved]);
    expect(eventsOf(group, "migrated")).toEqual([{ accounts: 1 }]);
    group.pass(1_000);
    expect(group.query("balance", { to: "x settled" })).toEqual({ balance: 2, version: 2 });
    // Its timer is no longer declared: it was dropped, and has not failed.
    expect(group.executor.machineStatistics).toMatchObject({ timersFired: 1, timersFailed: 0 });
  });

  function eventsOf(group: Ordered, name: string): readonly unknown[] {
    const answer = group.executor.events({ name, from: undefined, countMax: 10 });
    return answer?.kind === "page" ? answer.events.map(({ data }) => decodeValue(data)) : [];
  }
});

describe("a checkpoint", () => {
  function migrated(): Ordered {
    const group = new Ordered(bankV2);
    group.ask("deposit", { to: "x", amount: 7 });
    return everybody(group).start(2);
  }

  function chunksOf({ executor }: Ordered): readonly Uint8Array[] {
    const fork = executor.fork();
    return [...framesOf(fork)];
  }

  function install(into: Ordered, from: Ordered): string | undefined {
    const { executedIndex: index, time } = from.executor;
    return doAll(installFrames(into.executor, { index, time }, chunksOf(from)));
  }

  test("says which version is active, and a replica that has it goes on with that", () => {
    const from = migrated();
    for (const machine of [bankV2, bankV3, { ...bankV2, previous: undefined }]) {
      const into = new Ordered(machine);
      expect(install(into, from)).toBeUndefined();
      expect(into.state).toEqual(from.state);
      expect(into.query("largest", undefined)).toBe(7);
      expect(into.executor.digest()).toEqual(from.executor.digest());
    }
  });

  test("is refused by a replica that has not", () => {
    const into = new Ordered(bankV1);
    expect(install(into, migrated())).toMatch(/Cannot run version 2 of bank, which is active since entry 6/);
    expect(into.executor.lacksVersion).toMatch(/version 2/);
    expect(into.executor.broken).toBeDefined();
  });

  test("keeps its version in another cluster, and nobody's offers", () => {
    const from = migrated();
    const chunks = chunksOf(from).map(withoutMembers);
    expect(configurationIn(chunks)?.index).toBe(0);
    const into = new Ordered(bankV2);
    const { executedIndex: index, time } = from.executor;
    expect(doAll(installFrames(into.executor, { index, time }, chunks))).toBeUndefined();
    expect(into.state).toMatchObject({ active: 2, offers: [] });
  });
});

describe("bytes", () => {
  const offer: VersionOffer = { replica: "a", incarnation: 5, versions: [1, 2, 7] };
  const state: VersionState = {
    active: 2,
    since: 9 as LogIndex,
    hasBegun: true,
    offers: [{ ...offer, at: noIndex }],
    failed: [{ version: 3, index: 12 as LogIndex, message: "no" }],
  };
  const start: VersionChange = { kind: "start", from: 1, version: 2, configuration: noIndex, members: ["a", "b"] };

  test("come back as they were", () => {
    expect(decodeOffer(encodeOffer(offer))).toEqual(offer);
    expect(decodeVersionState(encodeVersionState(state))).toEqual(state);
    expect(decodeVersionChange(encodeVersionChange(start))).toEqual(start);
    expect(decodeVersionChange(encodeVersionChange({ kind: "begin", version: 5 }))).toEqual({
      kind: "begin",
      version: 5,
    });
  });

  test.each([
    ["an offer", encodeOffer(offer), decodeOffer],
    ["a state", encodeVersionState(state), decodeVersionState],
    ["a start", encodeVersionChange(start), decodeVersionChange],
  ] as const)("of %s that are cut or longer are refused", (_what, bytes, decode) => {
    for (let length = 0; length < bytes.length; length += 1) expect(decode(bytes.slice(0, length))).toBeUndefined();
    expect(decode(Uint8Array.from([...bytes, 0]))).toBeUndefined();
  });

  test("of versions that do not ascend are refused", () => {
    expect(decodeOffer(encodeOffer({ ...offer, versions: [2, 1] }))).toBeUndefined();
  });
});
