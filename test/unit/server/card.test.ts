/** What people see: the start-up card and the status table. */
import { expect, test } from "vitest";
import { cardAsJson, renderCard, type CardParts } from "../../../src/server/card.js";
import { describeDuration, renderStatus, type Asked } from "../../../src/server/commands/status.js";
import { paintFor } from "../../../src/server/paint.js";

const plain = paintFor(false, {});

const parts: CardParts = {
  clusterId: "dev-1",
  dataDir: "/home/me/project/.quorate/dev",
  ephemeral: false,
  restart: true,
  machine: { name: "kv", commandNames: ["set"], queryNames: ["get"] },
  replicas: ["a", "b", "c"].map((id, at) => ({
    id,
    pid: 100 + at,
    role: id === "b" ? "leader" : "follower",
    peer: `127.0.0.1:710${at}`,
    client: `127.0.0.1:720${at}`,
    http: `127.0.0.1:730${at}`,
    redis: `127.0.0.1:737${at}`,
    dataDir: `/home/me/project/.quorate/dev/${id}`,
  })),
  workingDirectory: "/home/me/project",
  faults: "crash",
};

test("the card names the leader, every address, process and directory, and a command that kills the leader", () => {
  const card = renderCard(parts, plain);

  expect(card).toMatch(/b +leader +127\.0\.0\.1:7371 +127\.0\.0\.1:7301 +127\.0\.0\.1:7201 +101 +\.quorate\/dev\/b/);
  expect(card).toContain("kill -9 101");
  expect(card).toContain("tolerates the loss of any one");
  expect(card).not.toContain("\u001b");
});

test("the card as JSON is one line with a list of replicas", () => {
  const json = cardAsJson(parts);

  expect(json).not.toContain("\n");
  expect(JSON.parse(json)).toMatchObject({
    replicas: [{ id: "a", pid: 100, role: "follower", redis: "127.0.0.1:7370" }, { role: "leader" }, {}],
  });
});

test("under Byzantine faults a quorum decides, and fewer than a third may be lost", () => {
  const [first] = parts.replicas;
  const seven = Array.from({ length: 7 }, (_, at) => ({
    ...first,
    id: `r${at}`,
    role: at === 0 ? "leader" : "follower",
  }));
  const card = renderCard({ ...parts, faults: "byzantine", replicas: seven as typeof parts.replicas }, plain);
  expect(card).toContain("tolerates the loss of any 2");
  expect(card).toContain("a quorum has it on disk before OK is answered");
  expect(renderCard(parts, plain)).toContain("a majority has it on disk before OK is answered");
});

test("one replica says that it tolerates no failure", () => {
  expect(renderCard({ ...parts, replicas: parts.replicas.slice(0, 1) }, plain)).toContain("tolerates no failure");
});

test("the card promises no other leader where none can follow, and no restart where there is none", () => {
  const alone = renderCard({ ...parts, replicas: parts.replicas.slice(1, 2) }, plain);
  expect(alone).toContain("nobody answers until it is started again");

  const lame = parts.replicas.map((replica) => (replica.id === "c" ? { ...replica, role: "down" } : replica));
  const crippled = renderCard({ ...parts, replicas: lame, restart: false }, plain);
  expect(crippled).toContain("of which c is down: one more loss stops it");
  expect(crippled).toContain("nobody answers any more");

  expect(renderCard({ ...parts, restart: false }, plain)).toContain("this one stays dead");
});

test("the card names the command that finds this cluster's status, wherever its directory is", () => {
  expect(renderCard(parts, plain)).toContain("npx quorate status shows");
  expect(renderCard({ ...parts, dataDir: "/home/me/project/.quorate/bank" }, plain)).toContain(
    "npx quorate status --data .quorate/bank shows",
  );
  expect(renderCard({ ...parts, dataDir: "/tmp/quorate-dev-1" }, plain)).toContain("status --data /tmp/quorate-dev-1");
});

test("a machine of the user's has commands of its own on the card, and no Redis", () => {
  const replicas = parts.replicas.map(({ redis: _redis, ...rest }) => rest);
  const card = renderCard(
    { ...parts, replicas, machine: { name: "bank", commandNames: ["deposit"], queryNames: ["balance"] } },
    plain,
  );

  expect(card).toContain("/v1/commands/deposit");
  expect(card).toContain("/v1/queries/balance");
  expect(card).not.toContain("redis");
});

test("the status table shows who lags behind the farthest and who does not answer", () => {
  const status = {
    ...{
      id: "a",
      clusterId: "c",
      role: "leader",
      term: 3,
      lastIndex: 12,
      commitIndex: 12,
      executedIndex: 12,
      ready: true,
    },
    ...{ quorateVersion: "0.1.0", uptimeMs: 3_725_000, machine: { name: "kv", version: 1 } },
  };
  const asked: readonly Asked[] = [
    { endpoint: "h:1", status, fault: undefined },
    {
      endpoint: "h:2",
      status: { ...status, id: "b", role: "follower", executedIndex: 2, ready: false },
      fault: undefined,
    },
    { endpoint: "h:3", status: undefined, fault: "nobody listens" },
    {
      endpoint: "h:4",
      status: { ...status, ready: false, stalled: "execution", unfinished: { index: 13, reason: "stack" } },
      fault: undefined,
    },
  ];

  const [, first, second, third, fourth] = renderStatus(asked, plain).split("\n");

  expect(fourth).toMatch(/h:4 +waits at entry 13: cannot finish a command \(stack\)$/);
  expect(first).toMatch(/^a +leader +3 +12 +12 +12 +0 +kv v1 +0\.1\.0 +1h 2m +h:1 +ready$/);
  expect(second).toMatch(/^b +follower +3 +12 +12 +2 +10 .*not ready$/);
  expect(third).toMatch(/h:3 +unreachable: nobody listens$/);
});

test("the status table says that a replica is in quarantine, since when, and what it was rebuilt from", () => {
  const status = {
    id: "a",
    clusterId: "c",
    role: "follower",
    term: 3,
    lastIndex: 12,
    commitIndex: 12,
    executedIndex: 12,
  };
  const more = { quorateVersion: "0.1.0", uptimeMs: 3_725_000, machine: { name: "kv", version: 1 } };
  const told = (state: string, rebuiltFrom: number | undefined, ready = false): string => {
    const quarantine = { state, forMs: 5_000, count: 1, rebuiltFrom };
    const [, row] = renderStatus(
      [{ endpoint: "h:1", status: { ...status, ...more, ready, quarantine }, fault: undefined }],
      plain,
    ).split("\n");
    return row?.split("h:1")[1]?.trim() ?? "";
  };

  expect(told("rebuilding", undefined)).toBe("quarantine: rebuilding for 5s");
  expect(told("rejoining", 40)).toBe("quarantine: rejoining for 5s, from checkpoint 40");
  expect(told("rejoining", 0)).toBe("quarantine: rejoining for 5s, from the first entry");
  expect(told("stopped", 0)).toBe("quarantine: stopped for 5s, bad memory? see the log");
  expect(told("unspared", undefined, true)).toBe("differs, and cannot be spared for 5s: quorate audit");
  expect(told("sound", 40, true)).toBe("ready, rebuilt once");
});

test("the table shows which version executes, the newest that a replica has, and one that did not start", () => {
  const status = {
    ...{ id: "a", clusterId: "c", role: "leader", term: 3, lastIndex: 12, commitIndex: 12, executedIndex: 12 },
    ...{ ready: true, quorateVersion: "0.1.0", uptimeMs: 1 },
    machine: { name: "bank", version: 2, active: 1 },
  };
  const failed = [{ version: 2, index: 9, message: "x is too rich" }];
  const asked: readonly Asked[] = [
    { endpoint: "h:1", status, fault: undefined },
    { endpoint: "h:2", status: { ...status, machine: { ...status.machine, failed } }, fault: undefined },
    {
      endpoint: "h:3",
      status: { ...status, machine: { name: "bank", version: 3, active: 3, failed } },
      fault: undefined,
    },
  ];

  const [, first, second, third] = renderStatus(asked, plain).split("\n");

  expect(first).toMatch(/bank v1, has v2 .* ready$/);
  expect(second).toMatch(/v2 did not start: x is too rich$/);
  expect(third).toMatch(/bank v3 .* ready$/);
});

test("durations are told in their two largest units", () => {
  expect([0, 8_000, 725_000, 86_400_000 * 3 + 3_600_000 * 4].map(describeDuration)).toEqual([
    "0s",
    "8s",
    "12m 5s",
    "3d 4h",
  ]);
});

test("colours follow the terminal, NO_COLOR and FORCE_COLOR", () => {
  const isColoured = (isTerminal: boolean, environment: Record<string, string>): boolean =>
    paintFor(isTerminal, environment)("bold", "x") !== "x";

  expect(isColoured(true, {})).toBe(true);
  expect(isColoured(true, { NO_COLOR: "1" })).toBe(false);
  expect(isColoured(false, {})).toBe(false);
  expect(isColoured(false, { FORCE_COLOR: "1" })).toBe(true);
});
