/**
 * One of three real replicas computes something else: `quorate audit` names it, the entry at which it parted from the others, the command, what each
 * answered, and the key that differs.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { connect } from "../../src/node/create-client.js";
import { quorateMain, until } from "../../test-support/dev-cluster.js";
import odd from "../../test-support/odd-machine.js";
import { endpointFlags, memberFlags, placesOf, quorate, untilReady, type Place } from "../../test-support/places.js";

const folder = mkdtempSync(join(tmpdir(), "quorate-audit-"));
const running: ChildProcess[] = [];
afterAll(() => {
  for (const child of running) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

function start(place: Place, places: readonly Place[], environment: Readonly<Record<string, string>>): void {
  const flags = ["--machine", "test-support/odd-machine.ts", "--cluster-id", "fruit", "--data", join(folder, place.id)];
  const words = ["start", ...memberFlags(place, places), ...flags, "--bootstrap"];
  const child = spawn(process.execPath, [quorateMain, ...words], {
    stdio: ["ignore", "ignore", "ignore"],
    env: { ...process.env, ...environment },
  });
  running.push(child);
}

test("quorate audit says why a replica differs", { timeout: 120_000 }, async () => {
  const places = await placesOf("abc");
  for (const place of places) start(place, places, place.id === "b" ? { COUNTS_WRONGLY: "1" } : {});
  await untilReady(places);
  // Whoever is asked answers itself, so not the one that is wrong.
  const client = await connect(odd, { endpoints: [places[0]?.client ?? ""] });
  for (const name of ["pears", "apples", "plums"]) await client.add({ name, by: 3 });
  // What was the same is agreed on first.
  await until("the replicas agree", async () => {
    const { out } = await quorate("audit", ...endpointFlags(places));
    return / {2}last +\d+ agreed/.test(out) ? true : undefined;
  });
  const { index } = await client.$detail.add({ name: "apples", by: 4 });
  await client.add({ name: "pears", by: 1 });

  const { code, out } = await until("b is named", async () => {
    const audit = await quorate("audit", ...endpointFlags(places));
    return audit.out.includes("b differs from") ? audit : undefined;
  });
  expect(code).toBe(1);
  expect(out).toMatch(/ {2}DIFFERS +b, from entry \d+ to \d+\n/);
  const why = out.slice(out.indexOf("b differs from"));
  expect(why.replaceAll(/ {2,}/g, "  ")).toMatch(
    new RegExp(
      [
        "^b differs from [ac], found at entry \\d+",
        `  first entry  ${index}: outputs and state differ behind it`,
        '  asked  session 1 #4  add\\(\\{ by: 4, name: "apples" \\}\\)',
        "  [ac]  7",
        "  b  8",
        "  states  behind entry \\d+",
        '  counts\\["apples"\\]',
        "  [ac]  7",
        "  b  8\n$",
      ].join("\n"),
    ),
  );
  await client.$close();

  // On any machine, with the replicas gone.
  const file = join(folder, "evidence");
  expect(await quorate("audit", "export", file, ...endpointFlags(places))).toMatchObject({ code: 0 });
  const path = await until("b's own evidence", async () => {
    const audit = await quorate("audit", ...endpointFlags(places));
    return audit.out.split("\n").find((line) => line.startsWith("  evidence ") && line.includes(join(folder, "b")));
  });
  for (const child of running) child.kill("SIGKILL");
  const machine = ["--machine", "test-support/odd-machine.ts"];
  // By itself, although it was rebuilt, and its process is gone.
  const own = await quorate("replay", path.replace("  evidence", "").trim(), ...machine);
  expect(own.out).toContain("b answered request 1 with 8, NOT what is computed here");
  expect(own.err).toMatch(/counts\["apples"\] is 7 here, and b had 8 behind entry \d+/);
  expect(own.code).toBe(1);
  const replayed = await quorate("replay", file, ...machine);
  expect(replayed.err).toMatch(/evidence of [ac], b; executed is what [ac] did/);
  expect(replayed.out).toMatch(
    new RegExp(
      [
        `^${index}  .*batch`,
        '  session 1 #4  add\\(\\{ by: 4, name: "apples" \\}\\)',
        "    = 7",
        '    counts\\["apples"\\]: 3 -> 7',
        "  b answered request 1 with 8, NOT what is computed here",
        "  b had another state behind this entry, NOT what is computed here$",
      ].join("\n"),
      "m",
    ),
  );
  expect(replayed.err).toContain(`b had something else than is computed here, from entry ${index} on`);
  expect(replayed.code).toBe(1);
  expect((await quorate("replay", file, ...machine, "--state")).out).toContain('"apples": 7');
  const whole = readFileSync(file, "utf8");
  writeFileSync(file, whole.replace(/\{"state":"..../, '{"state":"AAAA'));
  expect(await quorate("replay", file, ...machine)).toMatchObject({
    code: 2,
    err: expect.stringContaining("it cannot be executed by this machine"),
  });
  writeFileSync(file, whole.replace('{"finding"', '{"fanding"'));
  expect(await quorate("replay", file, ...machine)).toMatchObject({
    code: 3,
    err: expect.stringContaining("line 2 is damaged"),
  });
});
