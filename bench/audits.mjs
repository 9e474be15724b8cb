/**
 * What audits cost: processor time of executing commands with them, without the trail, and without anything of them.
 *
 * The same commands go through the executor of this build and of two copies of it in which a few lines are changed, each in a process of its own
 * and in turns, so that they share the same minutes. Beside the commands the first two execute the reports of three replicas, as often as these
 * send them when `--rate` commands a second (default 10,000) are executed. Then, in a state of `--keys` keys (default 1,000,000): how long an entry
 * takes behind which there is a position, how long a slice of the scrubber takes, and its share of a processor.
 *
 * Medians of so many rounds as `--rounds` says (default 31). `--than DIR`: beside them the compiled code of another commit.
 * `--json`: one JSON document. Run it on a quiet machine: `npm run bench:audits`.
 */
import { fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { changedBuild, withoutAudits, withoutTrail } from "./changed-build.mjs";
import { keyCount, keyOf, value } from "./shape.mjs";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "31" },
    rate: { type: "string", default: "10000" },
    keys: { type: "string", default: "1000000" },
    than: { type: "string" },
    json: { type: "boolean", default: false },
    build: { type: "string" },
  },
});
const rate = Number(values.rate);
const commandsOfRound = 5_000;
const sessions = 64;
const accounts = 10_000;
const replicas = ["a", "b", "c"];
/** As replicas send them (`src/replica/auditor.ts`), and look at the time. */
const reportMs = 100;
const tickMs = 10;

// --- a process that executes with one build ---

/** The log of one replica: commands, and the reports of all. */
class Run {
  static async open(build, machineName) {
    const built = (path) => import(new URL(path, build).href);
    const modules = await Promise.all(
      [
        "index.js",
        "api/config.js",
        "node/hash.js",
        "wire/canonical.js",
        "wire/request-codec.js",
        "wire/audit-codec.js",
        "execution/executor.js",
        "replica/scrubber.js",
        "services/kv/index.js",
      ].map(built),
    );
    return new Run(Object.assign({}, ...modules), machineName);
  }

  constructor(product, machineName) {
    this.product = product;
    this.machineName = machineName;
    const machine = machineName === "kv" ? product.kv : bankOf(product.define);
    const members = replicas.map((id, at) => {
      return { id, role: "voter", incarnation: 1, peer: `host:${at}`, client: `host:${at}` };
    });
    const { nodeHash: hash, defaultLimits: limits } = product;
    this.executor = new product.Executor({ machine, hash, limits, founders: { members } });
    this.index = 0;
    this.commands = 0;
    this.reportAt = 0;
    this.positions = [];
    this.random = 1;
    this.numbers = new Array(sessions).fill(0);
    const open = (nonce) => product.encodeRequest({ kind: "open", nonce, principal: "bench" });
    this.execute("batch", product.encodeBatch(this.numbers.map((_, at) => open(`session ${at}`))));
  }

  /** Agreed time. */
  get time() {
    return Math.floor((this.commands * 1_000) / rate);
  }

  execute(kind, payload) {
    this.index += 1;
    return this.executor.execute({ index: this.index, term: 1, kind, time: this.time, payload });
  }

  /** Below `count`, the same in every build. */
  draw(count) {
    this.random = (Math.imul(this.random, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.random / 4_294_967_296) * count);
  }

  command(name, input) {
    const at = this.draw(sessions);
    this.numbers[at] += 1;
    const number = this.numbers[at];
    const command = {
      kind: "command",
      session: at + 1,
      number,
      acknowledgedBelow: number,
      name,
      idempotency: undefined,
    };
    return this.product.encodeRequest({ ...command, input: this.product.encodeValue(input) });
  }

  write(keys) {
    if (this.machineName === "kv") return this.command("set", { key: keyOf(this.draw(keys)), value });
    return this.command("transfer", { from: this.draw(accounts), to: this.draw(accounts), amount: 1 });
  }

  /** Payloads of entries, made before anything is measured. */
  batches(count, each, write) {
    const { encodeBatch } = this.product;
    return Array.from({ length: count / each }, () => encodeBatch(Array.from({ length: each }, write)));
  }

  /** As replicas do between two entries. */
  report() {
    const { due } = this.executor.audits;
    if (due !== undefined) {
      const { output, state, members } = due;
      this.positions.push({ members, position: { index: this.index, output, state } });
    }
    if (this.time < this.reportAt || this.positions.length === 0) return;
    this.reportAt = this.time + reportMs;
    const { members } = this.positions[0];
    const positions = this.positions.map(({ position }) => position);
    this.positions = [];
    for (const replica of replicas)
      this.execute("report", this.product.encodeAuditReport({ replica, incarnation: 1, members, positions }));
  }

  /** Nanoseconds of processor time for each command. */
  measure(payloads, each) {
    const before = process.cpuUsage();
    for (const payload of payloads) {
      this.commands += each;
      this.execute("batch", payload);
      this.report();
    }
    return (microsecondsSince(before) * 1_000) / (payloads.length * each);
  }

  fill(keys) {
    let next = 0;
    const write = () => this.command("set", { key: keyOf(next++), value });
    for (let left = keys; left > 0; left -= 10_000)
      this.measure(this.batches(Math.min(left, 10_000), 1_000, write), 1_000);
  }

  /** Entries of one command and the scrubber between them, for so many seconds of agreed time. */
  watch(keys, seconds) {
    const [atPosition, elsewhere, slices] = [[], [], []];
    let [now, begun] = [0, 0];
    const clock = { monotonic: () => now + performance.now() - begun };
    const scrubber = new this.product.Scrubber({ executor: this.executor, clock });
    const start = this.time;
    for (let tick = 0; tick < (seconds * 1_000) / tickMs; tick += 1) {
      for (const payload of this.batches((rate * tickMs) / 1_000, 1, () => this.write(keys))) {
        this.commands += 1;
        const before = process.cpuUsage();
        this.execute("batch", payload);
        const took = microsecondsSince(before);
        (this.executor.audits.due === undefined ? elsewhere : atPosition).push(took);
        this.report();
      }
      now = this.time;
      begun = performance.now();
      const before = process.cpuUsage();
      scrubber.tick();
      slices.push(microsecondsSince(before));
    }
    const share = slices.reduce((sum, each) => sum + each, 0) / ((this.time - start) * 1_000);
    return { atPosition: spread(atPosition), elsewhere: spread(elsewhere), slices: spread(slices), share };
  }
}

function bankOf(define) {
  return define({ name: "bank", version: 1, state: ({ map }) => ({ balances: map() }) }).machine({
    commands: {
      transfer(state, { from, to, amount }) {
        const left = (state.balances.get(from)?.cents ?? 0) - amount;
        state.balances.set(from, { cents: left });
        state.balances.set(to, { cents: (state.balances.get(to)?.cents ?? 0) + amount });
        return left;
      },
    },
  });
}

function microsecondsSince(before) {
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** Microseconds. */
function spread(list) {
  const sorted = list.sort((left, right) => left - right);
  const part = (of) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * of))] ?? Number.NaN;
  return { count: sorted.length, median: part(0.5), p99: part(0.99), longest: part(1) };
}

async function serve(build) {
  let run;
  let payloads;
  const jobs = {
    open: async ({ machine, keys }) => {
      run = await Run.open(build, machine);
      if (machine === "kv") run.fill(keys);
    },
    prepare: ({ each, keys }) => void (payloads = run.batches(commandsOfRound, each, () => run.write(keys))),
    measure: ({ each }) => run.measure(payloads, each),
    watch: ({ keys, seconds }) => run.watch(keys, seconds),
    audited: () => run.executor.audits.table.state.counts,
  };
  process.on("disconnect", () => process.exit(0));
  process.on("message", ({ job, ...rest }) => {
    void Promise.resolve(jobs[job](rest)).then((answer) => process.send({ answer }));
  });
}

// --- the process that asks them in turns ---

class Child {
  constructor(name, build) {
    this.name = name;
    const own = ["--rate", values.rate, "--build", build];
    this.process = fork(fileURLToPath(import.meta.url), own);
    this.ended = new Promise((_, reject) => {
      this.process.once("exit", (code) => reject(new Error(`the process ${name} ended with ${code}`)));
    });
    // Whoever asks next hears of it.
    this.ended.catch(() => undefined);
  }

  ask(job, rest = {}) {
    const answer = new Promise((resolve) => this.process.once("message", (message) => resolve(message.answer)));
    this.process.send({ job, ...rest });
    return Promise.race([answer, this.ended]);
  }

  stop() {
    this.process.disconnect();
  }
}

const median = (list) => [...list].sort((left, right) => left - right)[Math.floor(list.length / 2)];

/** Nanoseconds a command in each build: in the middle and in the calmest round; and what each is of the first, round by round. */
async function compare(children, what) {
  for (const child of children) await child.ask("open", what);
  const measured = new Map(children.map(({ name }) => [name, []]));
  const warmUps = 3;
  for (let round = 0; round < warmUps + Number(values.rounds); round += 1) {
    // Whoever begins changes.
    for (let at = 0; at < children.length; at += 1) {
      const child = children[(round + at) % children.length];
      await child.ask("prepare", what);
      const nanoseconds = await child.ask("measure", what);
      if (round >= warmUps) measured.get(child.name).push(nanoseconds);
    }
  }
  const [whole] = [...measured.values()];
  return Object.fromEntries(
    [...measured].map(([name, list]) => [
      name,
      {
        nanoseconds: median(list),
        least: Math.min(...list),
        ofWhole: median(list.map((each, at) => each / whole[at])),
      },
    ]),
  );
}

const dist = new URL("../dist/", import.meta.url);

async function main() {
  const root = mkdtempSync(join(tmpdir(), "quorate-audits-"));
  process.once("exit", () => rmSync(root, { recursive: true, force: true }));
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));
  const children = [];
  try {
    children.push(new Child("as it is", dist.href));
    children.push(new Child("without the trail", await changedBuild(root, "no-trail", withoutTrail)));
    children.push(new Child("without audits", await changedBuild(root, "no-audits", withoutAudits)));
    if (values.than !== undefined)
      children.push(new Child(values.than, new URL(`${pathToFileURL(values.than).href}/`).href));
    const keys = Number(values.keys);
    const told = { rate, rounds: Number(values.rounds), commands: [], state: undefined };
    const say = (text) => (values.json ? undefined : console.log(text));
    say(
      `processor time of a command, medians of ${told.rounds} rounds of ${commandsOfRound} commands, the least, and medians of what part of the first it is`,
    );
    for (const what of [
      { machine: "kv", keys: keyCount, each: 1 },
      { machine: "kv", keys: keyCount, each: 10 },
      { machine: "bank", keys: 0, each: 1 },
      { machine: "bank", keys: 0, each: 10 },
    ]) {
      const builds = await compare(children, what);
      told.commands.push({ ...what, builds });
      say(`  ${what.machine}, ${what.each} in an entry${what.machine === "kv" ? `, ${what.keys} keys` : ""}`);
      for (const [name, { nanoseconds, least, ofWhole }] of Object.entries(builds))
        say(
          `    ${name.padEnd(20)} ${nanoseconds.toFixed(0).padStart(7)} ns, least ${least.toFixed(0).padStart(7)}  ${(100 * ofWhole).toFixed(1)} %`,
        );
    }
    const [asItIs] = children;
    if (keys > 0) {
      await asItIs.ask("open", { machine: "kv", keys });
      told.state = await asItIs.ask("watch", { keys, seconds: 30 });
      say(`${keys} keys, entries of one command, ${rate} a second; µs of processor time: median, p99, longest`);
      const names = { elsewhere: "an entry", atPosition: "one with a position", slices: "a tick of the scrubber" };
      for (const [name, text] of Object.entries(names)) {
        const { count, median: middle, p99, longest } = told.state[name];
        say(`  ${text.padEnd(24)} ${middle} ${p99} ${longest}  (${count})`);
      }
      say(`  the scrubber's share of a processor: ${(100 * told.state.share).toFixed(2)} %`);
    }
    const verdicts = await asItIs.ask("audited");
    if (verdicts.agreed === 0 || verdicts.notChecked > 0) throw new Error(`not compared: ${JSON.stringify(verdicts)}`);
    if (values.json) console.log(JSON.stringify(told));
  } finally {
    for (const child of children) child.stop();
  }
}

if (values.build === undefined) await main();
else await serve(values.build);
