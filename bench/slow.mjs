/**
 * A machine whose commands hold the thread that executes them: what becomes of leadership, of the commands and of other clients' reads.
 *
 * For each place of the engine, in turn: so many commands outstanding that each hold every replica for `--hold` ms (default 200), for
 * `--seconds` (default 10); beside them another client reads, one linearizable query each 50 ms, counted from when it was due. Prints medians
 * over `--runs` (default 3) of commands a second, their latency and the reads', and the terms begun. Run it with `node bench/slow.mjs`, after a
 * build.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { pathToFileURL } from "node:url";
import { connect } from "quorate/client";
import { startQuorate } from "./processes.mjs";

const text = { type: "string" };
const { values } = parseArgs({
  options: {
    hold: { ...text, default: "200" },
    seconds: { ...text, default: "10" },
    runs: { ...text, default: "3" },
    outstanding: { ...text, default: "1,8" },
  },
});
const [holdMs, seconds, runs] = [values.hold, values.seconds, values.runs].map(Number);
const machine = "test-support/slow-machine.ts";
const { prepareMachine } = await import(new URL("../dist/server/machine-module.js", import.meta.url).href);
const { default: slow } = await import(pathToFileURL(prepareMachine(machine)).href);

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const at = (times, share) => times.toSorted((one, other) => one - other)[Math.floor((times.length - 1) * share)];
const median = (numbers) => at(numbers, 0.5);
const shown = (number) => (number === undefined ? "–" : number.toFixed(number < 10 ? 1 : 0));

async function measure(cluster, outstanding) {
  const terms = async () => Math.max(...(await cluster.statuses()).map((status) => status?.term ?? 0));
  const options = { endpoints: cluster.endpoints, timeoutMs: 60_000 };
  const [writer, reader] = [await connect(slow, options), await connect(slow, options)];
  await writer.hold({ key: "warm", ms: 0 });
  await reader.count("warm");
  const before = await terms();
  const end = performance.now() + seconds * 1000;
  const commands = [];
  const reads = [];
  let failed = 0;
  const timed = async (times, due, call) => {
    try {
      await call();
      times.push(performance.now() - due);
    } catch {
      failed += 1;
    }
  };
  const command = async () => {
    while (performance.now() < end)
      await timed(commands, performance.now(), () => writer.hold({ key: "k", ms: holdMs }));
  };
  const asked = [];
  const ask = async () => {
    for (let due = performance.now(); due < end; due += 50) {
      await sleep(due - performance.now());
      asked.push(timed(reads, due, () => reader.count("k")));
    }
  };
  await Promise.all([ask(), ...Array.from({ length: outstanding }, command)]);
  await Promise.all(asked);
  const termsBegun = (await terms()) - before;
  await Promise.all([writer.$close(), reader.$close()]);
  return {
    perSecond: commands.length / seconds,
    p50: median(commands),
    p99: at(commands, 0.99),
    readP50: median(reads),
    readP99: at(reads, 0.99),
    termsBegun,
    failed,
  };
}

console.log(`each command holds every replica for ${holdMs} ms; medians of ${runs} runs of ${seconds} s\n`);
console.log(
  "| outstanding | engine | commands/s | p50 ms | p99 ms | reads p50 ms | p99 ms | terms begun, of each run | failed |",
);
console.log(
  "| ----------- | ------ | ---------: | -----: | -----: | -----------: | -----: | -----------------------: | -----: |",
);
for (const outstanding of values.outstanding.split(",").map(Number)) {
  const measured = { inline: [], worker: [] };
  for (let run = 0; run < runs; run += 1) {
    for (const [engine, results] of Object.entries(measured)) {
      const directory = mkdtempSync(join(tmpdir(), "quorate-slow-"));
      const cluster = await startQuorate(directory, {}, [machine, "--engine", engine]);
      try {
        results.push(await measure(cluster, outstanding));
      } finally {
        await cluster.stop();
        rmSync(directory, { recursive: true, force: true });
      }
    }
  }
  for (const [engine, results] of Object.entries(measured)) {
    const of = (name) => shown(median(results.map((result) => result[name])));
    const cells = [
      ...[outstanding, engine, of("perSecond"), of("p50"), of("p99"), of("readP50"), of("readP99")],
      results.map(({ termsBegun }) => termsBegun).join(", "),
      results.reduce((sum, { failed }) => sum + failed, 0),
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
}
