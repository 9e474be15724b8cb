#!/usr/bin/env node
/**
 * The `quorate` command.
 *
 * Owns: the list of verbs, how failures are printed, and the end of the process. Each verb is a file in `commands/`.
 */
import { Command, CommanderError } from "commander";
import { quorateVersion } from "../node/version.js";
import { checkDeterminismCommand } from "./commands/check-determinism.js";
import { checkHistoryCommand } from "./commands/check-history.js";
import { checkpointCommand } from "./commands/checkpoint.js";
import { configCommand } from "./commands/config.js";
import { devCommand } from "./commands/dev.js";
import { evidenceCommand } from "./commands/evidence.js";
import { keygenCommand } from "./commands/keygen.js";
import { memberCommand } from "./commands/member.js";
import { replayCommand } from "./commands/replay.js";
import { preflightCommand } from "./commands/preflight.js";
import { recoverCommand } from "./commands/recover.js";
import { simCommand } from "./commands/sim.js";
import { snapshotCommand } from "./commands/snapshot.js";
import { startCommand } from "./commands/start.js";
import { auditCommand } from "./commands/audit.js";
import { statusCommand } from "./commands/status.js";
import { transferCommand } from "./commands/transfer.js";
import { CommandFailure, exitCodes } from "./exit-codes.js";
import { DiskError } from "../ports/disk.js";
import { endProcess } from "./end.js";
import { paintFor } from "./paint.js";

async function main(): Promise<void> {
  let exitCode: number = exitCodes.ok;
  const exit = (code: number): void => void (exitCode = code);
  const program = new Command("quorate")
    .description("State machine replication: a deterministic service that outlives its machines")
    .version(quorateVersion, "-V, --version")
    .showSuggestionAfterError()
    .helpCommand(true);
  for (const make of [
    devCommand,
    startCommand,
    statusCommand,
    auditCommand,
    evidenceCommand,
    transferCommand,
    memberCommand,
    checkpointCommand,
    snapshotCommand,
    recoverCommand,
    configCommand,
    keygenCommand,
    simCommand,
    replayCommand,
    checkDeterminismCommand,
    preflightCommand,
    checkHistoryCommand,
  ])
    program.addCommand(make(exit));
  throwInsteadOfExit(program);
  try {
    await program.parseAsync();
  } catch (cause) {
    exitCode = reportFailure(cause);
  }
  // Doors and links are closed by now; whatever still holds the loop (a timer of a library) has nothing left to do.
  await endProcess(exitCode);
}

function throwInsteadOfExit(command: Command): void {
  command.exitOverride();
  for (const sub of command.commands) throwInsteadOfExit(sub);
}

function reportFailure(cause: unknown): number {
  if (cause instanceof CommanderError) return cause.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  const paint = paintFor(process.stderr.isTTY, process.env);
  if (cause instanceof Error && (cause instanceof CommandFailure || isSystemError(cause))) {
    process.stderr.write(`${paint("red", "quorate:")} ${cause.message}\n`);
    return cause instanceof CommandFailure ? cause.exitCode : exitCodes.failure;
  }
  const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
  process.stderr.write(`${paint("red", "quorate:")} unexpected: ${text}\n`);
  return exitCodes.failure;
}

/** What the operating system refused, such as a directory that may not be written: its own message says it all. */
function isSystemError(cause: Error): boolean {
  return cause instanceof DiskError || "syscall" in cause;
}

void main();
