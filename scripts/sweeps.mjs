/**
 * Long sweeps of the simulator in several shapes: `npm run soak:sim -- [--seeds 5000] [--write]`.
 *
 * Each shape meets what the others seldom do: two replicas whose members come and go, five replicas, versions that change. Prints a line for
 * each, and every seed that broke a rule; ends with 1 if one did. With `--write`, docs/internals/sweeps.md gets the outcome. Owns: the shapes
 * and the table. Leaves to others: the sweep (`quorate sim`).
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { commitOf } from "../bench/processes.mjs";

const { values: given } = parseArgs({
  options: { seeds: { type: "string", default: "5000" }, write: { type: "boolean", default: false } },
});
const seeds = Number(given.seeds);

/** `share`: of the seeds asked for. */
const shapes = [
  { name: "three replicas, every fault", share: 1, words: [] },
  { name: "five replicas, every fault", share: 0.1, words: ["--replicas", "5"] },
  {
    name: "two replicas, members come and go",
    share: 0.4,
    words: ["--replicas", "2", "--operations", "100", "--faults", "memberRemove,memberAdd,killAll,powerAll,isolate"],
  },
  {
    // Nothing may be found by comparing the replicas (rule V26): a hundred hours of 5,000 seeds.
    name: "long runs, processes and machines end",
    share: 0.12,
    words: ["--operations", "1000", "--until", "10m", "--faults", "crash"],
  },
  {
    name: "versions of the machine change",
    share: 0.1,
    words: ["--operations", "150", "--faults", "upgrade,crash,partition"],
  },
];

function sweep(words) {
  const main = fileURLToPath(new URL("../dist/server/main.js", import.meta.url));
  const child = spawn(process.execPath, [main, "sim", "--json", ...words], { stdio: ["ignore", "pipe", "inherit"] });
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (stdout += text));
  return new Promise((resolve) => child.once("close", () => resolve(JSON.parse(stdout))));
}

const rows = [];
for (const { name, share, words } of shapes) {
  const asked = ["--seeds", String(Math.ceil(seeds * share)), "--seed-base", "10001", ...words];
  const { seeds: run, violations, seconds, simulatedHours, operations } = await sweep(asked);
  for (const violation of violations) console.error(JSON.stringify(violation));
  if (violations.length > 0) process.exitCode = 1;
  const command = `quorate sim ${asked.join(" ")}`;
  rows.push({ name, command, run, broke: violations.length, seconds, simulatedHours, answered: operations.answered });
  console.log(
    `${name}: ${run} seeds, ${violations.length} broke a rule, ${simulatedHours.toFixed(1)} h in ${Math.round(seconds)} s`,
  );
}

if (given.write) {
  const table = rows.map(
    ({ name, command, run, broke, seconds, simulatedHours, answered }) =>
      `| ${name} | ${run} | ${broke} | ${simulatedHours.toFixed(1)} | ${Math.round(seconds)} | ${answered} | \`${command}\` |`,
  );
  writeFileSync(
    fileURLToPath(new URL("../docs/internals/sweeps.md", import.meta.url)),
    `# Long sweeps

Written by \`npm run soak:sim -- --seeds ${seeds} --write\` on ${new Date().toISOString().slice(0, 10)}, at commit ${commitOf()}.

| shape | seeds | broke a rule | simulated hours | seconds | operations answered | command |
| ----- | ----: | -----------: | --------------: | ------: | ------------------: | ------- |
${table.join("\n")}
`,
  );
}
