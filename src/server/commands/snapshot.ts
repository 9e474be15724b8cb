/**
 * `quorate snapshot`: a consistent backup of a running cluster, and a new cluster from one.
 *
 * Owns: the three verbs and their flags. Leaves to others: the file (`snapshot-file.ts`).
 */
import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Command } from "commander";
import { defaultLimits } from "../../api/config.js";
import { foundingIncarnation, type Member } from "../../model/membership.js";
import { bytesOf } from "../../model/checkpoint.js";
import type { SnapshotHead } from "../../wire/snapshot-codec.js";
import { endpointsOf, faultOf, withEndpoints } from "../endpoints.js";
import { CommandFailure, exitCodes, usageFailure } from "../exit-codes.js";
import { placeOf } from "../settings.js";
import { restoreSnapshot, verifySnapshot } from "../snapshot-file.js";
import type { Exit } from "./exit.js";

export function snapshotCommand(exit: Exit): Command {
  const command = new Command("snapshot").summary("save, verify or restore a backup");
  const save = withEndpoints(command.command("save <file>"))
    .summary("write the newest certified checkpoint to a file")
    .description(
      "From the first replica that has one. quorate checkpoint makes a new one first. Nothing stops meanwhile.",
    );
  save.action(async (file: string) => {
    await saveTo(file, endpointsOf(save));
    print("saved", file, await verifySnapshot(file));
    exit(exitCodes.ok);
  });
  command
    .command("verify <file>")
    .summary("read all of a snapshot and compare every hash")
    .action(async (file: string) => {
      print("whole", file, await verifySnapshot(file));
      exit(exitCodes.ok);
    });
  const restore = command
    .command("restore <file>")
    .summary("make the data directory of one founder of a new cluster")
    .description(
      "Run it once for each founder, with the same file, cluster id and members; then start them without --bootstrap. The old cluster cannot speak with the new one.",
    )
    .requiredOption("--id <id>", "the founder's id")
    .requiredOption("--cluster-id <id>", "of the new cluster; another one than the old")
    .requiredOption("--data <dir>", "a new directory")
    .requiredOption(
      "--member <id=peer,client>",
      "each founder, itself included",
      (text: string, before: readonly string[] | undefined) => [...(before ?? []), text],
    );
  restore.action(async (file: string) => {
    const {
      id,
      clusterId,
      data: dataDir,
      member,
    } = restore.opts<Record<"id" | "clusterId" | "data", string> & { member: string[] }>();
    const members = member.map(memberOf);
    if (!members.some((each) => each.id === id))
      throw usageFailure(`Cannot restore ${id}: it is not among the members`);
    const { segmentBytes } = defaultLimits.storage;
    print("restored from", file, await restoreSnapshot(file, { id, clusterId, dataDir, members, segmentBytes }));
    exit(exitCodes.ok);
  });
  return command;
}

/** Written aside: a file of this name is whole. */
async function saveTo(file: string, endpoints: readonly string[]): Promise<void> {
  const faults: string[] = [];
  for (const endpoint of endpoints) {
    try {
      const response = await fetch(`http://${endpoint}/v1/snapshot`);
      if (!response.ok || response.body === null) {
        const said = (await response.json().catch(() => ({}))) as { readonly message?: string };
        faults.push(`${endpoint}: ${said.message ?? `answered ${response.status}`}`);
        continue;
      }
      const aside = `${file}.part`;
      await pipeline(Readable.fromWeb(response.body), createWriteStream(aside, { flush: true, mode: 0o600 }));
      await verifySnapshot(aside).catch(async (cause: unknown) => {
        await rm(aside, { force: true });
        throw cause;
      });
      return await rename(aside, file);
    } catch (cause) {
      faults.push(`${endpoint}: ${cause instanceof CommandFailure ? cause.message : faultOf(cause)}`);
    }
  }
  throw new CommandFailure(exitCodes.failure, `Cannot save a snapshot: ${faults.join("; ")}`, {});
}

function memberOf(text: string): Member {
  const { id, peer, client } = placeOf(text);
  return { id, role: "voter", incarnation: foundingIncarnation, peer, client };
}

function print(
  what: string,
  file: string,
  { clusterId, machine, machineVersion, certificate, checkpoint }: SnapshotHead,
): void {
  const { last, chunks } = checkpoint;
  process.stdout.write(
    `${what} ${file}: entry ${last.index} of ${machine} version ${machineVersion}, cluster ${clusterId}, ${bytesOf(checkpoint)} bytes in ${chunks.length} chunks, reported by ${certificate.by.join(", ")}\n`,
  );
}
