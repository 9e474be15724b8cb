/**
 * Puts bugs into the PBFT core, one after the other, and counts the runs until one breaks a rule: `npm run planted:bft -- [--seeds 400]`.
 *
 * Ends with 1 if a bug was not found. Owns: the bugs, as changes of the compiled core. Leaves to others: the runs
 * (`test-support/bft-runs.ts`), and what only a core that is driven by hand shows (`test/unit/consensus/`).
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { compileRuns, runsIn } from "./bft-runs.mjs";

/** `text` occurs once in `file`. */
const bugs = [
  {
    name: "B2 a vote counts for another digest",
    file: "certificate",
    text: "one.view === other.view && one.index === other.index && one.digest === other.digest",
    bug: "one.view === other.view && one.index === other.index",
  },
  {
    name: "B3 a VIEW-CHANGE shows nothing that is prepared",
    file: "view-change",
    text: "prepared !== undefined && prepared.index > stable.index",
    bug: "prepared !== undefined && prepared.index < 0",
  },
  {
    name: "B8 one signer makes a quorum",
    file: "certificate",
    text: "return signers.size === quorum &&",
    bug: "return signers.size > 0 &&",
  },
  {
    name: "B1 a second proposal for an index is accepted",
    file: "normal-case",
    text: "if (accepted?.view !== view)",
    bug: "if (accepted?.digest !== digest)",
  },
  {
    name: "B18 one replica less is a quorum of votes",
    file: "certificate",
    text: "return equal.length < quorum ?",
    bug: "return equal.length < quorum - 1 ?",
  },
  {
    name: "C1 a proof of what was prepared is forgotten at a restart",
    file: "state",
    text: "slotAt(state, record.certificate.index).prepared = record.certificate;",
    bug: "if (!state.mustRepeat) slotAt(state, record.certificate.index).prepared = record.certificate;",
  },
  {
    name: "C1 what was accepted is forgotten at a restart",
    file: "state",
    text: "acceptAt(state, { view, index, digest: batch.digest });",
    bug: "if (!state.mustRepeat) acceptAt(state, { view, index, digest: batch.digest });",
  },
  {
    name: "votes count in a view that was left",
    file: "normal-case",
    text: "state.isChanging || accepted?.view !== state.view || !isBacked",
    bug: "accepted === undefined || !isBacked",
  },
  {
    name: "B9 null requests do not fill the first gap",
    file: "new-view",
    text: "for (let index = after(stable.index);",
    bug: "for (let index = after(after(stable.index));",
  },
  {
    name: "B15 a view change is not repeated",
    file: "status",
    text: "repeatView(state, status, reply);",
    bug: "",
  },
];

const kinds = ["runLiars", "runMutations", "runTwins", "runCrashes"];

/** In a thread: the first run that breaks a rule. */
async function work() {
  const { runs, seeds } = workerData;
  const module = await import(runs);
  for (let seed = 1; seed <= seeds; seed += 1) {
    for (const run of kinds) {
      try {
        module[run](seed);
      } catch (error) {
        parentPort.postMessage({ run, seed, error: String(error).split("\n")[0] });
        return;
      }
    }
  }
  parentPort.postMessage(undefined);
}

function plant(clean, { file, text, bug, name }) {
  const folder = mkdtempSync(join(tmpdir(), "quorate-planted-bft-"));
  cpSync(clean, folder, { recursive: true });
  const path = join(folder, `src/consensus/bft/${file}.js`);
  const source = readFileSync(path, "utf8");
  const count = source.split(text).length - 1;
  if (count !== 1) throw new Error(`${name}: its text occurs ${count} times in ${file}`);
  writeFileSync(
    path,
    source.replace(text, () => bug),
  );
  return folder;
}

function runsUntilFound(runs, seeds) {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { runs, seeds } });
  return new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
}

async function main() {
  const { values: given } = parseArgs({
    options: { seeds: { type: "string", default: "400" }, only: { type: "string", default: "" } },
  });
  const clean = compileRuns();
  for (const bug of bugs.filter(({ name }) => name.includes(given.only))) {
    const folder = plant(clean, bug);
    const found = await runsUntilFound(runsIn(folder), Number(given.seeds));
    rmSync(folder, { recursive: true });
    if (found === undefined) process.exitCode = 1;
    console.log(`${bug.name}: ${found === undefined ? "NOT FOUND" : `${found.run} ${found.seed}: ${found.error}`}`);
  }
  rmSync(clean, { recursive: true });
}

await (isMainThread ? main() : work());
