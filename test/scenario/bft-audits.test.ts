/** Under Byzantine faults replicas are compared, too, by what each of them has signed: up to f of them lie, and nobody else is named for it. */
import { describe, expect, test } from "vitest";
import { defaultLimits } from "../../src/api/config.js";
import type { Door } from "../../src/api/door.js";
import { logIndex, noIndex } from "../../src/model/ids.js";
import { encodeAuditReport } from "../../src/wire/audit-codec.js";
import { decodeAnyReport } from "../../src/wire/report-codec.js";
import type { SaidReport } from "../../src/wire/signed-report.js";
import { encodeSkipReport } from "../../src/wire/skip-codec.js";
import { encodeOffer } from "../../src/wire/version-codec.js";
import { BftGroup, type BftGroupOptions } from "../../test-support/bft-group.js";
import { FaultyTally } from "../../test-support/faulty-tally.js";
import { tally } from "../../test-support/tally-machine.js";

const four = ["a", "b", "c", "d"];
const seven = ["a", "b", "c", "d", "e", "f", "g"];
const limits = { audit: { ...defaultLimits.audit, everyCommands: 4, everyMs: 200, reportMs: 400 } };
/** Checkpoints come so seldom that audits are first to find what differs. */
const byzantine = { windowEntries: 256, checkpointEntries: 64 };

function groupOf(names: readonly string[], options: BftGroupOptions = {}): BftGroup {
  return new BftGroup(names, { limits, byzantine, ...options });
}

/** Counts on until it is so. */
async function countUntil(group: BftGroup, door: Door, what: string, isSo: () => boolean): Promise<void> {
  for (let count = 1; count < 400 && !isSo(); count += 1) {
    await group.add(door, "x");
    group.advance(20);
  }
  if (!isSo()) throw new Error(`Counted in vain for ${what}: ${[...group.found, ...group.quarantines].join("; ")}`);
}

function statusOf(group: BftGroup, id: string): ReturnType<ReturnType<BftGroup["replica"]>["core"]["status"]> {
  return group.replica(id).core.status();
}

const agreedBy = (group: BftGroup, id: string): number => statusOf(group, id).audit.positions.agreed;

describe("comparing", () => {
  test("four that execute the same agree at every position", async () => {
    const group = groupOf(four);
    await countUntil(group, group.door("b"), "agreement", () => four.every((id) => agreedBy(group, id) >= 5));

    for (const id of four) {
      const { positions, named, replicas } = statusOf(group, id).audit;
      expect(positions).toMatchObject({ notChecked: 0, named: 0, different: 0 });
      expect([named, replicas.map(({ replica, unchecked }) => [replica, unchecked])]).toEqual([
        [],
        four.map((each) => [each, 0]),
      ]);
    }
    expect([group.found, group.broken]).toEqual([[], []]);
  });

  test.each(["a", "c"])(
    "%s computes something else: it is named, set aside, made again, and serves again",
    async (wrong) => {
      const faulty = new FaultyTally();
      const group = groupOf(four, { machineOf: (id) => (id === wrong ? faulty.machine : tally) });
      const door = group.door("b");
      expect(await group.add(door, "x")).toBe("1");
      faulty.spoil();
      await countUntil(group, door, "quarantine", () => statusOf(group, wrong).quarantine.count > 0);
      await countUntil(group, door, "the end of it", () => statusOf(group, wrong).quarantine.state === "sound");

      expect(group.quarantines).toEqual([`${wrong}: rebuilding`, `${wrong}: rejoining`, `${wrong}: sound`]);
      expect(new Set(group.found)).toEqual(new Set(four.map((id) => `${id}: named ${wrong}`)));
      // Nobody leaves the view of a sound primary, and all leave that of a faulty one together.
      const view = wrong === "a" ? 1 : 0;
      expect(four.map((id) => group.replica(id).core.engine.driver.state.view)).toEqual(four.map(() => view));
      await countUntil(group, door, "agreement", () => statusOf(group, "b").audit.named.length === 0);
      // It takes part again, and answers rightly: without it there is no quorum.
      group.crash(wrong === "a" ? "c" : "d");
      const own = group.door(wrong);
      const before = Number(await group.read(door, "x"));
      expect(await group.add(own, "x")).toBe(String(before + 1));
      expect([group.broken, group.evidence]).toEqual([[], []]);
    },
  );

  test("a replica that says nothing was not checked, and the others agree", async () => {
    const group = groupOf(four);
    group.crash("d");
    await countUntil(group, group.door("b"), "time", () => statusOf(group, "b").audit.positions.agreed >= 3);

    const replicas = statusOf(group, "b").audit.replicas.filter(({ unchecked }) => unchecked > 0);
    expect(replicas.map(({ replica }) => replica)).toEqual(["d"]);
    expect(group.found).toEqual([]);
  });
});

type Lie = (said: SaidReport, by: string) => SaidReport;

/** Of an audit report something else; nothing else is changed. */
function audits(change: (report: ReturnType<typeof auditIn>, by: string) => ReturnType<typeof auditIn>): Lie {
  return (said, by) => {
    const decoded = decodeAnyReport(said.report);
    return decoded?.kind === "audit" ? { ...said, report: encodeAuditReport(change(decoded.report, by)) } : said;
  };
}

function auditIn(said: SaidReport): Extract<ReturnType<typeof decodeAnyReport>, { kind: "audit" }>["report"] {
  const decoded = decodeAnyReport(said.report);
  if (decoded?.kind !== "audit") throw new Error("no audit report");
  return decoded.report;
}

const wrong = { high: 7, low: 7 };

const inAnothersName = audits((report) => ({
  ...report,
  replica: "c",
  positions: report.positions.map((position) => ({ ...position, state: wrong })),
}));

const lies: Record<string, Lie> = {
  "what another replica has": inAnothersName,
  "other digests": audits((report) => ({
    ...report,
    positions: report.positions.map((position) => ({ ...position, state: wrong, output: wrong })),
  })),
  "other digests, and that there are no other members": audits((report) => ({
    ...report,
    members: { voterSets: [["a", "b"]], executing: ["a", "b"] },
    positions: report.positions.map((position) => ({ ...position, state: wrong })),
  })),
  "right digests, and that there are a hundred members": audits((report) => ({
    ...report,
    members: { voterSets: [Array.from({ length: 100 }, (_, at) => `x${at}`)], executing: [] },
  })),
  "positions that nobody has": audits((report) => ({
    ...report,
    positions: [1, 2, 1_000_000].map((at) => ({ index: logIndex(at) ?? noIndex, state: wrong, output: wrong })),
  })),
  "what another disk has": audits((report, by) => ({ ...report, incarnation: 1_000 + by.length })),
  "that it can run many versions": (said, replica) => ({
    ...said,
    report: encodeOffer({ replica, incarnation: 1, versions: [1, 2, 3, 4, 5] }),
  }),
  "that it cannot finish anything": (said, replica) => ({
    ...said,
    report: encodeSkipReport({
      ...{ replica, incarnation: 1, reason: "stack" },
      at: { index: logIndex(said.executed + 1) ?? noIndex, step: 0 },
      members: { voterSets: [["a", "b"]], executing: ["a", "b"] },
    }),
  }),
};

/** Counts on through an honest replica, and looks at what the honest ones have found. */
async function tryLie(lie: Lie, names: readonly string[], liars: readonly string[]): Promise<BftGroup> {
  const group = groupOf(names, { reportOf: (by, said) => (liars.includes(by) ? lie(said, by) : said) });
  const honest = names.filter((id) => !liars.includes(id));
  await countUntil(group, group.door(honest[0] ?? ""), "agreement among the others", () =>
    honest.every((id) => {
      const { agreed, named } = statusOf(group, id).audit.positions;
      return agreed + named >= 4;
    }),
  );
  const named = group.found.flatMap((each) => /: named (.*)$/.exec(each)?.[1]?.split(", ") ?? [each]);
  expect(named.filter((id) => !liars.includes(id))).toEqual([]);
  expect(group.quarantines.filter((each) => honest.includes(each.slice(0, 1)))).toEqual([]);
  for (const id of honest) {
    const { audit, machine, quarantine } = statusOf(group, id);
    expect(audit.named.filter(({ replica }) => !liars.includes(replica))).toEqual([]);
    expect([machine.active, quarantine.state]).toEqual([1, "sound"]);
  }
  expect(group.dropped.filter((each) => each.includes("skipped"))).toEqual([]);
  expect(group.broken).toEqual([]);
  return group;
}

describe("f that lie about themselves", () => {
  test.each(Object.keys(lies))("%s: nobody else is named or set aside, and nothing is skipped", async (name) => {
    await tryLie(lies[name] ?? ((said) => said), four, ["d"]);
  });

  test("two of seven that tell the same lie, and that they are all there is", async () => {
    const group = await tryLie(lies["other digests, and that there are no other members"] ?? ((said) => said), seven, [
      "a",
      "b",
    ]);
    const last = statusOf(group, "c").audit.recent.at(-1);
    expect(last).toMatchObject({ kind: "named", agreeing: ["c", "d", "e", "f", "g"], differing: ["a", "b"] });
  });

  test("a primary that orders what it says in another's name is given up", async () => {
    const group = await tryLie(inAnothersName, four, ["a"]);
    expect(group.primary()).toBe("b");
  });
});
