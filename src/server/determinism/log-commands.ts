/**
 * The commands that a replica's log holds, as lines: what `quorate check-determinism --data` executes again.
 *
 * Owns: reading the log of a replica that does not run, as a start would. Leaves to others: what was executed before (a checkpoint that
 * covers the log's beginning is not read, so the commands are executed on an empty state).
 */
import { defaultLimits } from "../../api/config.js";
import { after, type LogIndex } from "../../model/ids.js";
import type { Entry } from "../../model/entry.js";
import { createNodeClock } from "../../node/clock.js";
import { nodeDisk } from "../../node/disk.js";
import { nodeHash } from "../../node/hash.js";
import { holdDirectory } from "../../storage/held-directory.js";
import type { LogStore } from "../../storage/log-store.js";
import { openLog } from "../../storage/wal.js";
import { decodeValue } from "../../wire/canonical.js";
import { decodeBatch } from "../../wire/request-codec.js";
import { CommandFailure, exitCodes } from "../exit-codes.js";
import { writeAsk } from "./commands-file.js";

const readBytes = 4 * 1024 * 1024;

/** The first so many. Damaged entries end it. */
export async function commandsInLog(path: string, countMax: number): Promise<readonly string[]> {
  const directory = holdDirectory(nodeDisk, nodeHash, path);
  if (directory.kind === "refused") throw new CommandFailure(exitCodes.dataRefused, directory.message, {});
  try {
    const opened = openLog({
      disk: nodeDisk,
      hash: nodeHash,
      clock: createNodeClock(),
      ...defaultLimits.storage,
      // Nothing is written: no further segment is prepared.
      reserveBytes: 0,
      directory: path,
      logIdentity: directory.identity.logIdentity,
      cacheBytes: 0,
    });
    if (opened.kind === "refused") throw new CommandFailure(exitCodes.dataRefused, opened.message, {});
    const { log, recovered } = opened;
    try {
      return await linesIn(log, after(recovered.start.index), recovered.lastIndex, countMax);
    } finally {
      await new Promise<void>((resolve) => log.close(resolve));
    }
  } finally {
    directory.release();
  }
}

async function linesIn(log: LogStore, from: LogIndex, to: LogIndex, countMax: number): Promise<readonly string[]> {
  const lines: string[] = [];
  for (let next = from; next <= to && lines.length < countMax;) {
    const entries = await read(log, next);
    const last = entries.at(-1);
    if (last === undefined) break;
    for (const entry of entries) lines.push(...linesOf(entry));
    next = after(last.index);
  }
  return lines.slice(0, countMax);
}

function read(log: LogStore, from: LogIndex): Promise<readonly Entry[]> {
  return new Promise((resolve, reject) => {
    log.read(from, readBytes, (result) => {
      if (!("kind" in result)) return resolve(result);
      reject(new CommandFailure(exitCodes.dataRefused, `Cannot read entry ${from} of the log: ${result.message}`, {}));
    });
  });
}

function linesOf({ kind, payload }: Entry): readonly string[] {
  if (kind !== "batch") return [];
  return (decodeBatch(payload) ?? [])
    .filter((request) => request.kind === "command")
    .map(({ name, input }) => writeAsk({ kind: "command", name, value: decodeValue(input) }));
}
