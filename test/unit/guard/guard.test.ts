/** What the guard catches while a machine's code runs, what it says, and that the rest of the program notices nothing. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";

import { defaultLimits } from "../../../src/api/config.js";
import type { ForbiddenUse, LowLevelMachine, MachineInstance, Outcome } from "../../../src/api/low-level.js";
import { define, event } from "../../../src/index.js";
import { logIndex, sessionId, type LogIndex, type SessionId } from "../../../src/model/ids.js";
import { nodeHash } from "../../../src/node/hash.js";
import { decodeValue, encodeValue } from "../../../src/wire/canonical.js";

/** Before any machine is opened: as a program has them that was there first. */
const FirstDate = Date;
const firstDate = new Date(86_400_000);
const firstFormat = new Intl.NumberFormat("en");
const firstReference = new WeakRef({});

let use: () => unknown = () => undefined;

const definition = define({
  name: "forbidden",
  version: 1,
  state: ({ list, cell }) => ({ log: list<string>(), due: cell(0) }),
  timers: { ring: event<null>() },
});

const machine = definition.machine({
  commands: {
    use: () => void use(),
    uses: () => use() as string,
    useAndCatch(state) {
      state.log.push("before");
      try {
        use();
      } catch {
        state.log.push("caught");
      }
      return "went on";
    },
    ring: (_state, at: number, context) => context.timers.set("ring", "a", at, null),
    sweepAt: (state, at: number) => state.due.set(at),
  },
  queries: {
    asks: () => use() as string,
    log: (state) => [...state.log],
  },
  on: { ring: () => void use() },
  sweep: {
    dueAt: (state) => (state.due.get() === 0 ? undefined : state.due.get()),
    run(state, context) {
      if (state.due.get() > 0 && context.now >= state.due.get()) use();
    },
  },
});

const indexOf = (value: number): LogIndex => logIndex(value) as LogIndex;
const sessionOf = (value: number): SessionId => sessionId(value) as SessionId;

class Harness {
  readonly told: ForbiddenUse[] = [];
  readonly instance: MachineInstance;
  #index = 0;

  constructor(opened: LowLevelMachine = machine) {
    this.instance = opened.open({
      hash: nodeHash,
      limits: defaultLimits.machine,
      forbidden: (told) => this.told.push(told),
    });
  }

  command(name: string, input: unknown = null, time = 1000): Outcome | undefined {
    this.#index += 1;
    return this.instance.apply({
      index: indexOf(this.#index),
      time,
      commands: [{ ordinal: 0, session: sessionOf(1), name, input: encodeValue(input) }],
    })[0];
  }

  query(name: string): Outcome {
    return this.instance.query(name, encodeValue(null), { index: indexOf(this.#index), time: 1000 });
  }

  /** The message of the failure, or what came out. */
  run(run: () => unknown): unknown {
    use = run;
    const outcome = this.command("uses");
    return outcome?.status === "ok" ? decodeValue(outcome.output) : outcome?.status === "failed" && outcome.message;
  }
}

const agreedTime = "replicas execute at different times. Use context.now, the agreed time";
const draws = "each replica draws for itself. Use context.random() or context.uuid(), which are equal on every replica";
const outside = "what it does or gives is not the same on every replica";
const asInput = "Let the client do it, and pass what came of it in the command's input";
const locale =
  "it goes by the locale of the replica and by its version of the language data. Compare with < and >, and let clients format";
const local =
  "it goes by the time zone of the replica. Use milliseconds or the UTC methods, such as getUTCHours and toISOString";
const later =
  "it would run after the end of the command, and not at the same position on every replica. Declare a timer and set it by context.timers";
const digits =
  "its last digits differ between versions of JavaScript engines. Use whole numbers, or let the client compute it and pass it in the command's input";
const setting = "Keep such settings in the state, and set them by a command";

describe("a command is stopped, and told what to use instead, at", () => {
  test.each<[string, string, () => unknown]>([
    ["Date.now", agreedTime, () => Date.now()],
    ["Date.now", agreedTime, () => FirstDate.now()],
    ["new Date()", agreedTime, () => new Date().getTime()],
    ["Date()", agreedTime, () => Date()],
    ["performance.now", agreedTime, () => performance.now()],
    ["process.hrtime.bigint", agreedTime, () => process.hrtime.bigint()],
    ["process.uptime", agreedTime, () => process.uptime()],
    ["Math.random", draws, () => Math.random()],
    ["crypto.randomUUID", draws, () => crypto.randomUUID()],
    ["crypto.getRandomValues", draws, () => crypto.getRandomValues(new Uint8Array(2))],
    ["crypto.randomBytes", draws, () => randomBytes(4)],
    ["setTimeout", later, () => setTimeout(() => undefined, 1)],
    ["setInterval", later, () => setInterval(() => undefined, 1)],
    ["setImmediate", later, () => setImmediate(() => undefined)],
    ["queueMicrotask", later, () => queueMicrotask(() => undefined)],
    ["process.nextTick", later, () => process.nextTick(() => undefined)],
    ["fs.readFileSync", `${outside}. ${asInput}`, () => readFileSync("/etc/hosts")],
    ["os.hostname", `${outside}. ${asInput}`, () => hostname()],
    ["fetch", `${outside}. ${asInput}`, () => fetch("http://127.0.0.1:1")],
    ["process.env", `${outside}. ${setting}`, () => process.env["HOME"]],
    ["process.pid", `${outside}. ${setting}`, () => process.pid],
    ["process.cwd", `${outside}. ${setting}`, () => process.cwd()],
    ["process.memoryUsage", `${outside}. ${setting}`, () => process.memoryUsage().rss],
    ["new Date(…) in local time", local, () => new Date(2020, 1, 1).getTime()],
    ["new Date(…) in local time", local, () => new Date("2020-01-01T00:00").getTime()],
    ["Date.parse in local time", local, () => Date.parse("Jan 1 2020")],
    ["Date#getHours", local, () => firstDate.getHours()],
    ["Date#toString", local, () => `${String(firstDate)}`],
    ["Date#toLocaleDateString", locale, () => firstDate.toLocaleDateString()],
    ["Number#toLocaleString", locale, () => (1234.5).toLocaleString()],
    ["String#localeCompare", locale, () => ["b", "a"].sort((left, right) => left.localeCompare(right))],
    ["Intl.Collator", locale, () => new Intl.Collator().compare("a", "b")],
    ["Intl.NumberFormat#format", locale, () => firstFormat.format(1)],
    ["Math.sin", digits, () => Math.sin(1)],
    ["Math.exp", digits, () => Math.exp(1)],
    ["Math.pow beyond whole numbers", digits, () => Math.pow(2, 0.5)],
    [
      "WeakRef#deref",
      "every replica collects garbage when it likes to. Keep what is needed in the state",
      () => firstReference.deref() === undefined,
    ],
  ])("%s", (used, advice, run) => {
    const harness = new Harness();

    expect(harness.run(run)).toBe(`Cannot use ${used} in command uses: ${advice}`);
    expect(harness.told).toMatchObject([{ where: "command uses", used, index: 1 }]);
  });
});

describe("a command may use", () => {
  test.each<[string, unknown, () => unknown]>([
    ["dates of a time that it was given", "1970-01-02T00:00:00.000Z", () => new Date(86_400_000).toISOString()],
    ["dates with a time zone", 1_577_836_800_000, () => new Date("2020-01-01T01:00:00+01:00").getTime()],
    ["days, which are UTC", 1_577_836_800_000, () => Date.parse("2020-01-01")],
    ["the UTC parts of a date", 1, () => new Date(3_600_000).getUTCHours()],
    ["powers of whole numbers", 1024, () => Math.pow(2, 10)],
    ["roots", 1.5, () => Math.sqrt(2.25)],
    ["the console", undefined, () => console.debug("a command prints", { at: 1 })],
    ["whether there is something", "function", () => typeof setTimeout],
  ])("%s", (_, output, run) => {
    const harness = new Harness();

    expect(harness.run(run)).toEqual(output);
    expect(harness.told).toEqual([]);
  });
});

describe("whoever used something forbidden", () => {
  test("has failed even if it caught the error, and what it wrote is taken back (M14)", () => {
    const harness = new Harness();
    use = () => Math.random();
    const outcome = harness.command("useAndCatch");
    const log = harness.query("log");

    expect(outcome).toEqual({
      status: "failed",
      message: `Cannot use Math.random in command useAndCatch: ${draws}`,
    });
    expect(log.status === "ok" && decodeValue(log.output)).toEqual([]);
    expect(harness.instance.statistics?.forbiddenUses).toBe(1);
  });

  test("is told of the first use, not of the last", () => {
    const harness = new Harness();
    use = () => {
      try {
        Date.now();
      } finally {
        Math.random();
      }
    };

    expect(harness.command("use")).toMatchObject({ message: `Cannot use Date.now in command use: ${agreedTime}` });
  });

  test("is shown the line of its own code first", () => {
    const harness = new Harness();
    harness.run(function culprit() {
      return Date.now();
    });

    const [, first] = harness.told[0]?.stack.split("\n") ?? [];
    expect(first).toMatch(/at culprit .*guard\.test\.ts/);
  });

  test("fails in a query, in a timer and in a sweep too", () => {
    const harness = new Harness();
    use = () => Date.now();
    const query = harness.query("asks");
    harness.command("ring", 1500);
    harness.command("sweepAt", 2500, 1600);
    harness.command("sweepAt", 0, 2600);

    expect(query).toEqual({ status: "failed", message: `Cannot use Date.now in query asks: ${agreedTime}` });
    expect(harness.told.map(({ where, index }) => [where, index])).toEqual([
      ["query asks", 0],
      ["timer ring", 2],
      ["sweep of forbidden", 3],
    ]);
    expect(harness.instance.statistics).toMatchObject({ timersFailed: 1, forbiddenUses: 3 });
  });

  test("cannot begin with it", () => {
    let reads = false;
    const born = define({
      name: "born",
      version: 1,
      state: ({ cell }) => ({ at: cell(reads ? Date.now() : 0) }),
    }).machine({ commands: { nothing: () => undefined } });
    reads = true;

    expect(() => new Harness(born)).toThrow(`Cannot use Date.now in state of born: ${agreedTime}`);
  });
});

describe("outside of commands", () => {
  new Harness();

  test("everything does what it did", async () => {
    expect(Math.random()).not.toBe(Math.random());
    expect(Date.now() - new Date().getTime()).toBeLessThan(60_000);
    expect(typeof Date()).toBe("string");
    expect(new Date(2020, 0, 1).getFullYear()).toBe(2020);
    expect(process.env["PATH"]).not.toBe(undefined);
    expect(readFileSync(new URL(import.meta.url), "utf8")).toContain("everything does what it did");
    expect(["b", "a"].sort((left, right) => left.localeCompare(right))).toEqual(["a", "b"]);
    expect(firstReference).toBeInstanceOf(WeakRef);
    expect(await new Promise((resolve) => setTimeout(() => resolve("later"), 0))).toBe("later");
    expect(await promisify(setTimeout)(0, "promised")).toBe("promised");
  });

  test("dates are of the class that they were of, and so are those of classes made of it", () => {
    class Day extends Date {
      isFirst(): boolean {
        return this.getTime() === 0;
      }
    }

    expect(firstDate instanceof Date).toBe(true);
    expect(firstDate.constructor).toBe(Date);
    expect(new Date(0) instanceof FirstDate).toBe(true);
    expect(Object.getPrototypeOf(new Date(0))).toBe(FirstDate.prototype);
    expect([new Day(0).isFirst(), new Day(0) instanceof Day, new Day(0) instanceof Date]).toEqual([true, true, true]);
    expect([Date.name, Date.length, Object.getOwnPropertyNames(Date)]).toEqual([
      "Date",
      7,
      Object.getOwnPropertyNames(FirstDate),
    ]);
    expect(structuredClone(new Date(7))).toEqual(new Date(7));
  });

  test("what may be replaced can be replaced, and is guarded again when the next machine opens", () => {
    const { random } = Math;
    Math.random = () => 0.5;
    expect(Math.random()).toBe(0.5);
    const harness = new Harness();

    expect(harness.run(() => Math.random())).toContain("Cannot use Math.random in command uses");
    expect(Math.random()).toBe(0.5);
    Math.random = random;
    expect(harness.run(() => Math.random())).toContain("Cannot use Math.random in command uses");
  });

  test("a Date that a test framework puts in its place is guarded too, and goes on as it was", () => {
    const Before = Date;
    class Fake extends Before {
      static override now(): number {
        return 7;
      }
    }
    globalThis.Date = Fake as DateConstructor;
    const harness = new Harness();

    expect(harness.run(() => Date.now())).toContain("Cannot use Date.now in command uses");
    expect(harness.run(() => Date.parse("Jan 1"))).toContain("Cannot use Date.parse in local time in command uses");
    expect([Date.now(), Date.UTC(1970, 0, 1), Date.parse("1970-01-01"), new Date(7) instanceof Before]).toEqual([
      7,
      0,
      0,
      true,
    ]);
    globalThis.Date = Before;
  });

  test("the environment can be set", () => {
    const { env } = process;
    process.env = { ...env, QUORATE_TEST: "1" };

    expect(process.env["QUORATE_TEST"]).toBe("1");
    process.env = env;
    expect(process.env["QUORATE_TEST"]).toBe(undefined);
  });
});
