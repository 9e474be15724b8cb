/**
 * Hazard N6 with real processes: a cluster under writes is given version after version of its machine, its replicas restarted in every order,
 * forward and back. No write fails, each counts once, and the replicas agree whenever they compare.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, expect, test } from "vitest";
import { connect } from "../../src/node/create-client.js";
import { quorateMain, until } from "../../test-support/dev-cluster.js";
import {
  endpointFlags,
  memberFlags,
  placesOf,
  quorate,
  statusOf,
  untilReady,
  type Place,
  type Status,
} from "../../test-support/places.js";
import { repositoryRoot } from "../../test-support/source.js";
import { bankV1 } from "../../test-support/versioned-bank.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-upgrade-"));
const running = new Map<
  string,
  { readonly child: ChildProcess; said: string; readonly ended: Promise<number | null> }
>();

afterAll(() => {
  for (const { child } of running.values()) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

/** The module of such a machine. */
function moduleOf(name: string, machine: string): string {
  const library = pathToFileURL(join(repositoryRoot, "test-support", "upgrades", "bank.mjs")).href;
  const path = join(folder, `${name}.mjs`);
  writeFileSync(path, `import { bankOf, spoiltBank } from "${library}";\nexport default ${machine};\n`);
  return path;
}

function versionFile(version: number): string {
  return moduleOf(`bank-${version}`, `bankOf(${version})`);
}

function start(place: Place, known: readonly Place[], machine: string): void {
  const flags = [...memberFlags(place, known), "--cluster-id", "shop", "--data", join(folder, place.id), "--bootstrap"];
  const child = spawn(process.execPath, [quorateMain, "start", "--machine", machine, ...flags], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const process_ = { child, said: "", ended: new Promise<number | null>((resolve) => child.on("exit", resolve)) };
  child.stdout.on("data", (bytes: Buffer) => void (process_.said += bytes.toString()));
  child.stderr.on("data", (bytes: Buffer) => void (process_.said += bytes.toString()));
  running.set(place.id, process_);
}

async function restart(
  place: Place,
  known: readonly Place[],
  machine: string,
  how: "SIGTERM" | "SIGKILL" = "SIGTERM",
): Promise<void> {
  const old = running.get(place.id);
  old?.child.kill(how);
  await old?.ended;
  start(place, known, machine);
}

type Versioned = Status & {
  readonly machine: { readonly active: number; readonly since: number; readonly versions: readonly number[] };
  readonly audit: { readonly findings: readonly unknown[]; readonly positions: Readonly<Record<string, number>> };
};

function versionsOf(places: readonly Place[]): Promise<readonly (Versioned | undefined)[]> {
  return Promise.all(places.map(async (place) => (await statusOf(place)) as Versioned | undefined));
}

function untilActive(places: readonly Place[], version: number): Promise<readonly (Versioned | undefined)[]> {
  return until(`version ${version} everywhere`, async () => {
    const statuses = await versionsOf(places);
    return statuses.every((status) => status?.machine.active === version && status.ready) ? statuses : undefined;
  });
}

test("every order of three replicas, forward and back, under writes", { timeout: 900_000 }, async () => {
  const places = await placesOf("abc");
  const [a, b, c] = places;
  if (a === undefined || b === undefined || c === undefined) throw new Error("three places");
  for (const place of places) start(place, places, versionFile(1));
  await untilReady(places);
  const client = await connect(bankV1, { endpoints: places.map((place) => place.client), timeoutMs: 60_000 });
  const failures: string[] = [];
  const balances: number[] = [];
  let isStopping = false;
  const writers = Array.from({ length: 4 }, async () => {
    while (!isStopping) {
      const result = await client.$try.deposit({ to: "x", amount: 1 });
      if (result.status === "ok") balances.push(result.output.balance);
      else failures.push(result.status);
    }
  });
  const goOn = async (): Promise<void> => {
    const before = balances.length;
    await until("writes", async () => (balances.length > before + 50 || failures.length > 0 ? true : undefined));
  };

  const orders = [
    [a, b, c],
    [a, c, b],
    [b, a, c],
    [b, c, a],
    [c, a, b],
    [c, b, a],
  ];
  let version = 1;
  for (const order of orders) {
    // Forward to the state of the second version, and back to that of the first by a version of its own.
    for (const how of ["SIGTERM", "SIGKILL"] as const) {
      version += 1;
      for (const [at, place] of order.entries()) {
        await restart(place, places, versionFile(version), how);
        await untilReady(places);
        if (at < 2) expect((await statusOf(a)) as Versioned).toMatchObject({ machine: { active: version - 1 } });
        await goOn();
      }
      const statuses = await untilActive(places, version);
      expect(new Set(statuses.map((status) => status?.machine.since)).size).toBe(1);
      await goOn();
    }
  }
  isStopping = true;
  await Promise.all(writers);
  await client.$close();

  expect(failures).toEqual([]);
  expect(balances.toSorted((left, right) => left - right)).toEqual(balances.map((_, at) => at + 1));
  await until("comparisons", async () => {
    const statuses = await versionsOf(places);
    return statuses.every((status) => (status?.audit.positions["agreed"] ?? 0) > 0) ? true : undefined;
  });
  for (const status of await versionsOf(places)) expect(status?.audit.findings).toEqual([]);

  // Whoever is put back now stops, says what to do, and has lost nothing.
  await restart(c, places, versionFile(1));
  const old = running.get("c");
  expect(await old?.ended).not.toBe(0);
  expect(old?.said).toContain(`Cannot run version ${version} of bank, which is active since entry`);
  await restart(c, places, versionFile(version));
  await untilActive(places, version);
});

test(
  "preflight tells what would differ, and what a migration does, of a directory in use",
  { timeout: 240_000 },
  async () => {
    const places = await placesOf("pqr");
    for (const place of places) start(place, places, versionFile(1));
    await untilReady(places);
    const client = await connect(bankV1, { endpoints: places.map((place) => place.client), timeoutMs: 60_000 });
    for (let count = 0; count < 20; count += 1) await client.deposit({ to: "x", amount: 1 });
    await client.$close();
    const data = ["--data", join(folder, "p")];

    const differs = await quorate("preflight", versionFile(2), ...data, "--limit", "1");
    expect(differs).toMatchObject({ code: 1, err: "" });
    expect(differs.out).toMatch(/^migration to version 2 of the state behind entry \d+: [\d.]+ ms$/m);
    expect(differs.out).toContain(
      'deposit({ amount: 1, to: "x" })\n  before: { balance: 1, version: 1 }\n  after:  { balance: 1, version: 2 }\n… and 19 more\n',
    );
    expect(differs.out).toMatch(
      /deposit: 20 outputs differ\n20 commands of bank, entries 1 to \d+, by versions 1 and 2: 20/,
    );

    const same = moduleOf("same", "bankOf(2, true)");
    const against = await quorate("preflight", same, ...data, "--json");
    expect(against.code).toBe(0);
    expect(JSON.parse(against.out)).toMatchObject({
      machine: "bank",
      commands: 20,
      versions: { old: 1, next: 2 },
      migrations: [{ version: 2 }, { version: 2 }],
      differences: { count: 0, shown: [] },
    });

    const spoilt = await quorate("preflight", moduleOf("spoilt", "spoiltBank()"), ...data);
    expect(spoilt.code).toBe(1);
    expect(spoilt.out).toContain("throws: x is too rich");

    const changed = await quorate(
      "preflight",
      moduleOf("changed", "bankOf(1, true)"),
      ...data,
      "--against",
      versionFile(1),
    );
    expect(changed.code).toBe(1);
    expect(changed.out).toContain("by version 1: 20 outputs differ");

    expect(await quorate("preflight", versionFile(1), ...data)).toMatchObject({
      code: 2,
      err: expect.stringContaining("version 1 of bank executes already"),
    });
    expect(await quorate("preflight", versionFile(2), "--data", folder)).toMatchObject({ code: 3 });
    cpSync(join(folder, "p"), join(folder, "copy"), { recursive: true });
    expect(await quorate("preflight", same, "--data", join(folder, "copy"))).toMatchObject({ code: 0 });

    const shown = await quorate("status", ...endpointFlags(places));
    expect(shown.out).toMatch(/bank v1 /);
    for (const { id } of places) running.get(id)?.child.kill("SIGKILL");
  },
);
