/**
 * `quorate check-history FILE`: the verdict on recorded histories, one JSON object a line.
 *
 * Owns: reading the file line by line, the clock of a search, the output, the exit code. Leaves to others: the form of a line and the
 * verdict (`sim/checkers/`).
 */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { Command } from "commander";
import { judgeHistory } from "../../sim/checkers/history-verdict.js";
import { readHistory, type RecordedHistory } from "../../sim/checkers/recorded-history.js";
import { exitCodes, usageFailure } from "../exit-codes.js";
import type { Exit } from "./exit.js";

interface Given {
  readonly explain?: true;
  readonly seconds: string;
}

export function checkHistoryCommand(exit: Exit): Command {
  const command = new Command("check-history")
    .summary("say whether recorded histories are linearizable")
    .description(
      "Exit code 0 if all are, 1 if one is not or its search was given up, 2 for wrong usage or a file that cannot be read.",
    )
    .argument("<file>", "one history a line as JSON; - is standard input")
    .option("--explain", "after a history that is not, the shortest prefix that cannot be ordered")
    .option("--seconds <n>", "give up on a history after so long", "10");
  return command.action(async (file: string) => {
    const { explain, seconds } = command.opts<Given>();
    if (!(Number(seconds) > 0)) throw usageFailure(`Cannot search for "${seconds}" seconds: expected a number above 0`);
    let isWell = true;
    let line = 0;
    for await (const text of linesOf(file)) {
      line += 1;
      if (text.trim() === "") continue;
      const history = readHistory(text);
      if (typeof history === "string") throw usageFailure(`Cannot read line ${line} of ${file}: ${history}`);
      if (!report(history, Number(seconds) * 1_000, explain === true)) isWell = false;
    }
    exit(isWell ? exitCodes.ok : exitCodes.failure);
  });
}

/** Whether it is linearizable. */
function report({ id, model, parts }: RecordedHistory, msMax: number, explain: boolean): boolean {
  const start = performance.now();
  const limits = { stepsMax: Infinity, isOutOfTime: () => performance.now() - start > msMax };
  const verdict = judgeHistory(model, parts, limits);
  const linearizable = verdict.kind === "unknown" ? "unknown" : verdict.kind === "linearizable";
  const ms = Math.round((performance.now() - start) * 10) / 10;
  process.stdout.write(`${JSON.stringify({ id, linearizable, ms })}\n`);
  // Indented, so that the lines which begin with a brace are the verdicts.
  if (explain && verdict.kind === "notLinearizable")
    process.stdout.write(`${verdict.explain().replace(/^/gm, "  ")}\n`);
  return linearizable === true;
}

async function* linesOf(file: string): AsyncGenerator<string, void> {
  const input = file === "-" ? process.stdin : createReadStream(file);
  try {
    yield* createInterface({ input, crlfDelay: Infinity });
  } catch (cause) {
    if (!(cause instanceof Error && "syscall" in cause)) throw cause;
    throw usageFailure(`Cannot read ${file}: ${cause.message}`);
  }
}
