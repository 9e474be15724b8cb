/** `quorate sim` as its user sees it: sweeps, replays, machines of one's own, planted bugs, wrong usage. */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { quorateMain, until } from "../../test-support/dev-cluster.js";
import { repositoryRoot } from "../../test-support/source.js";

interface SweepJson {
  readonly violations: readonly {
    readonly seed: number;
    readonly rule: string;
    readonly fact: string;
    readonly command: string;
    readonly shrunk?: { readonly command: string; readonly operations: number };
  }[];
  readonly traceHash: string;
  readonly trace?: readonly string[];
}

interface Environment {
  readonly node?: readonly string[];
  readonly variables?: Readonly<Record<string, string>>;
}

function run(args: readonly string[], { node = [], variables = {} }: Environment = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...node, quorateMain, "sim", ...args], {
    cwd: repositoryRoot,
    encoding: "utf8",
    timeout: 50_000,
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, ...variables },
  });
  return { status, stdout, stderr };
}

const small = ["--operations", "40"];
/** A sweep in which nothing may break, whatever is being worked on: no faults, one seed. */
const calm = ["--seeds", "1", "--faults", "none", ...small];

describe("a sweep", () => {
  const sweep = (...flags: readonly string[]): readonly string[] => ["--seeds", "3", "--json", ...small, ...flags];
  let plain: SweepJson;

  beforeAll(() => {
    plain = JSON.parse(run(sweep("--workers", "1")).stdout) as SweepJson;
  });

  test("prints one JSON document with its sums", () => {
    expect(Object.keys(plain)).toEqual([
      "seeds",
      "seedBase",
      "violations",
      "seconds",
      "seedsPerSecond",
      "simulatedHours",
      "timesRealTime",
      "events",
      "eventsPerSecond",
      "operations",
      "faults",
      "markers",
      "traceHash",
    ]);
    expect(plain).toMatchObject({ seeds: 3, seedBase: 1, violations: [] });
  });

  test.each<readonly [string, readonly string[], Environment]>([
    ["another number of threads", ["--workers", "2"], {}],
    [
      "another time zone and language",
      [],
      { variables: { TZ: "Asia/Kathmandu", LANG: "tr_TR.UTF-8", LC_ALL: "tr_TR.UTF-8" } },
    ],
    ["other sizes of the heap", [], { node: ["--max-old-space-size=300", "--max-semi-space-size=1"] }],
  ])("is the same with %s", (_, flags, environment) => {
    const { traceHash } = JSON.parse(run(sweep(...flags), environment).stdout) as SweepJson;

    expect(traceHash).toBe(plain.traceHash);
  });

  test("without --json is a report, and ends with 0 if nothing broke", () => {
    const { status, stdout } = run(calm);

    expect(stdout).toMatch(/^1 seed from 1: no violation\n/);
    expect(stdout).toContain("trace hash");
    expect(status).toBe(0);
  });
});

describe("a replay", () => {
  test("prints every line of the trace, the same each time", () => {
    const [one, other] = [1, 2].map(() => run(["--seed", "7", "--faults", "none", ...small]));
    const traceOf = (stdout: string): string => stdout.slice(stdout.indexOf("\nTrace\n"));

    expect(one?.status).toBe(0);
    expect(one?.stdout).toMatch(/\n +0\.000 s {2}a +starts/);
    expect(traceOf(one?.stdout ?? "")).toBe(traceOf(other?.stdout ?? ""));
  });

  test("goes through a pipe whole, however much it is", () => {
    const command = `"$0" "${quorateMain}" sim --seed 1 --json | cat`;
    const { stdout } = spawnSync("sh", ["-c", command, process.execPath], { encoding: "utf8", maxBuffer: 1024 * 1024 });

    expect(stdout.length).toBeGreaterThan(65_536);
    expect((JSON.parse(stdout) as SweepJson).trace?.length).toBeGreaterThan(0);
  });
});

/** A module in the repository, so that `quorate` means this package. */
describe("a machine of one's own", () => {
  let directory: string;
  const module = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  };
  const dice = (roll: string, more: string): string => `
    import { define } from "quorate";
    console.log("this is not JSON");
    const dice = define({ name: "dice", version: 1, state: ({ cell }) => ({ last: cell(0) }) });
    export default dice.machine({
      commands: { roll(state) { const rolled = ${roll}; state.last.set(rolled); return rolled; } },
      queries: { last: (state) => state.last.get() },
    });
    ${more}`;

  beforeAll(() => {
    mkdirSync(join(repositoryRoot, ".quorate"), { recursive: true });
    directory = mkdtempSync(join(repositoryRoot, ".quorate", "sim-"));
  });

  afterAll(() => {
    rmSync(directory, { recursive: true });
  });

  test("runs with guessed inputs, which the report says", () => {
    const { status, stdout } = run([...calm, "--machine", "examples/01-bank/bank.ts"]);

    expect(stdout).toContain("guessed inputs");
    expect(status).toBe(0);
  });

  test("runs with the workload that it exports", () => {
    const path = module(
      "good.mjs",
      dice("state.last.get() + 1", 'export const workload = () => ({ command: "roll" });'),
    );
    const { status, stdout, stderr } = run(["--machine", path, "--seed", "1", "--faults", "none", "--json", ...small]);
    const { trace } = JSON.parse(stdout) as SweepJson;

    expect(trace?.filter((line) => line.includes("asks") && !line.includes("roll"))).toEqual([]);
    expect(trace?.some((line) => line.includes("roll"))).toBe(true);
    expect(stderr).toContain("this is not JSON");
    expect(status).toBe(0);
  });

  test("is caught with Math.random, and shown its line of it", () => {
    const path = module("random.mjs", dice("Math.random()", ""));
    const { status, stdout } = run(["--machine", path, "--json", ...calm]);
    const [violation] = (JSON.parse(stdout) as SweepJson).violations;

    expect(violation).toMatchObject({ seed: 1, rule: "V25" });
    expect(violation?.fact).toMatch(/^Cannot use Math\.random in command roll: .* \(random\.mjs:\d+:\d+\)$/);
    expect(status).toBe(1);
  });

  test("is caught with a counter of its module, in a smaller run, and the command that is printed fails like it", () => {
    const path = module("counter.mjs", dice("globalThis.rolled = (globalThis.rolled ?? 0) + 1", ""));
    const { status, stdout } = run(["--machine", path, "--json", ...calm]);
    const [violation] = (JSON.parse(stdout) as SweepJson).violations;

    expect(violation).toMatchObject({ seed: 1, rule: "V6", shrunk: { replicas: 1, faults: [] } });
    expect(status).toBe(1);
    const words = violation?.shrunk?.command.replaceAll("'", "").split(" ").slice(2) ?? [];
    const again = run(words);
    expect(again.stdout).toMatch(/^V6 is broken/);
    expect(again.stdout).toMatch(/\nTrace\n/);
    expect(again.status).toBe(1);
  });

  test("with a workload that is no function is wrong usage", () => {
    const path = module("wrong.mjs", dice("1", "export const workload = 7;"));
    const { status, stderr } = run([...calm, "--machine", path]);

    expect(stderr).toContain("it is no function");
    expect(status).toBe(2);
  });
});

describe("a planted bug", () => {
  let temporary: string;
  const copies = (): readonly string[] => readdirSync(temporary);
  const inTemporary = (): Environment => ({ variables: { TMPDIR: temporary } });

  beforeAll(() => {
    temporary = mkdtempSync(join(tmpdir(), "quorate-test-"));
  });

  afterAll(() => {
    rmSync(temporary, { recursive: true });
  });

  test("is found, replayed, and its copy of the build removed", () => {
    const { status, stdout } = run(["--planted", "R8", "--planted-minutes", "0.7", "--json", ...small], inTemporary());
    const answer = JSON.parse(stdout) as { readonly planted: readonly { readonly seed: number }[] };

    expect(answer).toMatchObject({
      planted: [{ id: "R8", found: true, rule: expect.stringMatching(/^V/) }],
      found: 1,
      of: 1,
    });
    expect(status).toBe(0);
    const again = run(["--planted", "R8", "--seed", String(answer.planted[0]?.seed), ...small], inTemporary());
    expect(again.stdout).toContain("again    quorate sim --planted R8 --seed");
    expect(again.status).toBe(1);
    expect(copies()).toEqual([]);
  });

  test("that is not found in time fails the command", () => {
    const { status, stdout } = run(["--planted", "R8", "--planted-minutes", "0.00001"], inTemporary());

    expect(stdout).toMatch(/^R8 +not found/);
    expect(status).toBe(1);
  });

  test("leaves no copy of the build behind when it is interrupted", async () => {
    const child = spawn(process.execPath, [quorateMain, "sim", "--planted", "R8"], {
      env: { ...process.env, TMPDIR: temporary },
    });
    const ended = new Promise((resolve) => child.on("exit", resolve));
    await until("the copy", async () => (copies().length > 0 ? true : undefined));

    child.kill("SIGINT");

    expect(await ended).toBe(130);
    expect(copies()).toEqual([]);
  });
});

describe("wrong usage ends with 2 and says what was expected:", () => {
  test.each([
    [["--faults", "gremlins"], 'Cannot inject "gremlins": the classes are'],
    [["--seeds", "many"], "expected a whole number from 1"],
    [["--replicas", "9"], "it is a whole number from 1 to 7"],
    [["--until", "tomorrow"], "expected a time such as 500ms, 30s or 2m"],
    [["--seed", "1", "--cut", "noses=2"], 'Cannot read the cut "noses=2"'],
    [["--seed", "1", "--cut", "replicas=9"], "it is a whole number from 1 to 7"],
    [["--cut", "operations=1"], "it needs the --seed that it was cut from"],
    [["--seed", "1", "--seeds", "2"], "cannot be used with"],
    [["--planted", "X99"], 'no planted bug is called "X99"'],
    [["--sample", "2"], "it needs --planted"],
    [["--machine", "nowhere.ts"], "there is no such file"],
  ] as const)("%j", (flags, message) => {
    const { status, stdout, stderr } = run(flags);

    expect(stderr).toContain(message);
    expect([status, stdout]).toEqual([2, ""]);
  });
});
