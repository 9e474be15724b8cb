/**
 * What the determinism guard costs: processor time of a small command (reads and writes one key of a map) through the executor's contract,
 * of the two calls around it, and of what a program does outside of commands, with the platform's functions as they were and guarded.
 *
 * Medians of so many rounds as `--rounds` says (default 15). Run it on a quiet machine: `npm run bench:guard`.
 */
import { parseArgs } from "node:util";

const { values } = parseArgs({ options: { rounds: { type: "string", default: "15" } } });
const rounds = Number(values.rounds);
const built = (path) => import(new URL(`../dist/${path}`, import.meta.url).href);
const { define } = await built("index.js");
const { defaultLimits } = await built("api/config.js");
const { enterGuard, leaveGuard } = await built("guard/guard.js");
const { nodeHash } = await built("node/hash.js");
const { encodeValue } = await built("wire/canonical.js");

let sink = 0;

/** Nanoseconds of processor time of one call of `run`, which does it `count` times. */
function nanoseconds(count, run) {
  run(count);
  const measured = Array.from({ length: rounds }, () => {
    const before = process.cpuUsage();
    run(count);
    const { user, system } = process.cpuUsage(before);
    return ((user + system) * 1_000) / count;
  });
  return measured.sort((left, right) => left - right)[Math.floor(rounds / 2)] ?? NaN;
}

function repeat(count, run) {
  for (let at = 0; at < count; at += 1) sink += run(at);
}

const date = new Date(5);
const outside = {
  "Date.now()": () => Date.now(),
  "new Date(ms)": (at) => new Date(at).getTime(),
  "date.getHours()": () => date.getHours(),
  "Math.random()": () => Math.random(),
  "Math.sin()": (at) => Math.sin(at),
  "performance.now()": () => performance.now(),
  "process.env": () => (process.env ? 1 : 0),
};
const measureOutside = () =>
  Object.fromEntries(
    Object.entries(outside).map(([name, run]) => [name, nanoseconds(300_000, (count) => repeat(count, run))]),
  );

const before = measureOutside();
const counters = define({ name: "counters", version: 1, state: ({ map }) => ({ counts: map() }) }).machine({
  commands: {
    add(state, { key, value }) {
      const count = (state.counts.get(key) ?? 0) + value;
      state.counts.set(key, count);
      return count;
    },
  },
});
// This puts the guard up.
const instance = counters.open({ hash: nodeHash, limits: defaultLimits.machine });
const inputs = Array.from({ length: 64 }, (_, at) => encodeValue({ key: `key ${at}`, value: 1 }));
let index = 0;
const command = nanoseconds(128_000, (count) => {
  for (let done = 0; done < count; done += inputs.length) {
    index += 1;
    const commands = inputs.map((input, ordinal) => ({ ordinal, session: 1, name: "add", input }));
    sink += instance.apply({ index, time: index, commands }).length;
  }
});
// Its own loop: a call through `repeat` costs more than what is measured.
const guard = nanoseconds(10_000_000, (count) => {
  for (let at = 0; at < count; at += 1) {
    enterGuard("command", "add");
    if (leaveGuard() !== undefined) sink += 1;
    sink += 1;
  }
});
const after = measureOutside();

console.log(`a small command: ${command.toFixed(0)} ns, of which the guard ${guard.toFixed(1)} ns`);
console.log(`the guard's part: ${((100 * guard) / command).toFixed(2)} %`);
for (const name of Object.keys(outside))
  console.log(`${name.padEnd(18)} ${before[name].toFixed(1)} ns as it was, ${after[name].toFixed(1)} ns guarded`);
if (sink < 0) console.log(sink);
