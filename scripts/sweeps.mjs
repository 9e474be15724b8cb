/**
 * Long sweeps of the simulator in several shapes: `npm run soak:sim -- [--seeds 5000] [--shape text] [--write]`.
 *
 * Each shape meets what the others seldom do: two replicas whose members come and go, five replicas, versions that change. It is run in pieces,
 * each on all processors; prints a line for each, and every seed that broke a rule; ends with 1 if one did. With `--write`,
 * docs/internals/sweeps.md gets the outcome after each piece, so that a sweep that is cut short has said what it found; the rows of shapes that
 * were not run stay. `--shape` runs only those with this text in their names. Owns: the shapes and the table. Leaves to others: the sweep
 * (`quorate sim`).
 */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { commitOf } from "../bench/processes.mjs";

const { values: given } = parseArgs({
  options: {
    seeds: { type: "string", default: "5000" },
    shape: { type: "string", default: "" },
    write: { type: "boolean", default: false },
  },
});
const seeds = Number(given.seeds);
const pieceSeeds = 40;
const seedBase = 10_001;

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
    // A difference that is found would be a false alarm (rule V26): a hundred hours of 5,000 seeds.
    name: "long runs without any fault",
    share: 0.12,
    words: ["--operations", "1000", "--until", "10m", "--faults", "none"],
  },
  {
    // Nothing may be found by comparing the replicas (rule V26): a hundred hours of 5,000 seeds.
    name: "long runs, processes and machines end",
    share: 0.12,
    words: ["--operations", "1000", "--until", "10m", "--faults", "crash"],
  },
  {
    name: "four replicas, of which some lie",
    share: 0.1,
    words: ["--model", "byzantine", "--operations", "300"],
  },
  {
    name: "seven replicas, of which two lie",
    share: 0.02,
    words: ["--model", "byzantine", "--replicas", "7", "--operations", "150", "--faults", "lies,network,crash"],
  },
  {
    name: "commands that replicas cannot finish",
    share: 0.1,
    words: ["--operations", "150", "--faults", "unfinished,crash,partition"],
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

const file = fileURLToPath(new URL("../docs/internals/sweeps.md", import.meta.url));

/** The rows of the file that are not of this run's shapes. */
function rowsBefore() {
  const lines = readFileSync(file, "utf8").split("\n");
  const known = shapes.filter(({ name }) => !wanted.some((shape) => shape.name === name));
  return lines.filter((line) => known.some(({ name }) => line.startsWith(`| ${name} `)));
}

function rowOf({ name, words }, { run, broke, simulatedHours, seconds, answered }) {
  const commit = `${commitOf()}, ${new Date().toISOString().slice(0, 10)}`;
  const command = ["quorate sim", "--seeds", run, "--seed-base", seedBase, ...words].join(" ");
  return `| ${name} | ${run} | ${broke} | ${simulatedHours.toFixed(1)} | ${Math.round(seconds)} | ${answered} | ${commit} | \`${command}\` |`;
}

function write() {
  const rows = [...kept, ...wanted.filter(({ sum }) => sum !== undefined).map((shape) => rowOf(shape, shape.sum))];
  writeFileSync(
    file,
    `# Long sweeps

Written by \`npm run soak:sim -- --write\`, which runs the seeds of a shape in pieces; a run with fewer \`--seeds\`, or that was cut short, has fewer.

| shape | seeds | broke a rule | simulated hours | seconds | operations answered | commit | command |
| ----- | ----: | -----------: | --------------: | ------: | ------------------: | ------ | ------- |
${rows.join("\n")}
`,
  );
}

const wanted = shapes.filter(({ name }) => name.includes(given.shape));
const kept = rowsBefore();
for (const shape of wanted) {
  const count = Math.ceil(seeds * shape.share);
  const sum = { run: 0, broke: 0, simulatedHours: 0, seconds: 0, answered: 0 };
  shape.sum = sum;
  while (sum.run < count) {
    const piece = ["--seeds", Math.min(pieceSeeds, count - sum.run), "--seed-base", seedBase + sum.run].map(String);
    const ran = await sweep([...piece, ...shape.words]);
    for (const violation of ran.violations) console.error(JSON.stringify(violation));
    if (ran.violations.length > 0) process.exitCode = 1;
    sum.run += ran.seeds;
    sum.broke += ran.violations.length;
    sum.simulatedHours += ran.simulatedHours;
    sum.seconds += ran.seconds;
    sum.answered += ran.operations.answered;
    const hours = sum.simulatedHours.toFixed(1);
    console.log(
      `${shape.name}: ${sum.run} of ${count} seeds, ${sum.broke} broke a rule, ${hours} h in ${Math.round(sum.seconds)} s`,
    );
    if (given.write) write();
  }
}
