/**
 * The sweep that every change must survive, with its figures, and a sample of the planted bugs, which it must find. By the built command,
 * as a user runs it. Longer ones are `npm run soak`'s.
 */
import { spawn } from "node:child_process";
import { expect, test } from "vitest";
import { faultClasses } from "../../src/sim/index.js";

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
}

function quorate(...words: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, ["dist/server/main.js", ...words], { stdio: ["ignore", "pipe", "inherit"] });
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, stdout })));
}

interface Sweep {
  readonly seeds: number;
  readonly violations: readonly object[];
  readonly seconds: number;
  readonly simulatedHours: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly markers: { readonly never: readonly string[] };
}

test(
  "500 seeds break no rule, with every kind of fault in force and every marker reached",
  { timeout: 1_500_000 },
  async () => {
    const { code, stdout } = await quorate("sim", "--seeds", "500", "--json");
    const sweep = JSON.parse(stdout) as Sweep;
    console.log(stdout);

    expect(sweep.violations).toEqual([]);
    expect(code).toBe(0);
    expect(sweep.seeds).toBe(500);
    // A delay has no moment at which it is in force: it is how the network always is. Bits flip and programs change in runs of their own.
    const notHere: readonly string[] = [
      "delay",
      "bitFlip",
      "upgrade",
      "unfinished",
      "memberKey",
      ...(faultClasses["lies"] ?? []),
    ];
    const absent = Object.keys(sweep.faults).filter((kind) => sweep.faults[kind] === 0 && !notHere.includes(kind));
    expect(absent).toEqual([]);
    expect(sweep.markers.never).toEqual([]);
  },
);

/** Found within seconds, and one of each family; the whole table is for `quorate sim --planted all`. */
const sample = "E4,E23,R9,R10,L1,D13,D18,M10,C2,P2";

test("a sample of the planted bugs is found", { timeout: 1_500_000 }, async () => {
  const { code, stdout } = await quorate("sim", "--planted", sample, "--planted-minutes", "5", "--json");
  const { planted } = JSON.parse(stdout) as {
    planted: readonly {
      readonly id: string;
      readonly found: boolean;
      readonly seed?: number;
      readonly rule?: string;
    }[];
  };
  for (const { id, seed, rule } of planted) console.log(`${id}: seed ${seed}, ${rule}`);

  expect(planted.filter(({ found }) => !found).map(({ id }) => id)).toEqual([]);
  expect(planted.length).toBe(sample.split(",").length);
  expect(code).toBe(0);
});
