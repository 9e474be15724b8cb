/**
 * Where damage may be put, so that "everything must be recovered" stays a fair demand.
 *
 * Owns: the fault budget. Disks of at most f hosts are ever spoiled (damaged, wiped, put back to an older copy), so what is committed
 * has a good copy on a majority of the others. Damage is put only where the log itself knows that it was durable (a later record
 * claims it): the very last batch cannot be told from one that was never finished, and damage to it counts against f
 * (docs/internals/storage.md). An old copy of a disk is put back only when nothing depends on what it has forgotten: nobody can
 * notice it before it is contradicted. Called by `nemesis.ts`.
 */
import { isHardStateDurable } from "../consensus/raft/state.js";
import { quorumOf } from "../model/membership.js";
import { DiskError } from "../ports/disk.js";
import { noDisk } from "../wire/handshake.js";
import type { SimProcess } from "./process.js";
import type { SimReplica } from "./sim-replica.js";
import type { World } from "./world.js";

/** Starts it on an older copy of its disk, and notes who could tell. */
export function startStale(world: World, replica: SimReplica): void {
  const { id } = replica;
  replica.isStale = true;
  replica.start();
  const { opened } = replica;
  if (opened === undefined || world.byzantine !== undefined) return;
  const { incarnation, found } = opened.core.identity;
  const rememberers = new Map<string, SimProcess>();
  for (const { id: other, raft, process, isUp } of world.replicas) {
    if (other === id || raft === undefined || process === undefined || !isUp) continue;
    const promised = raft.incarnations.get(id) === incarnation ? raft.promises.get(id) : undefined;
    if (promised === undefined || found.term > promised.term) continue;
    if (found.term < promised.term || found.lastIndex < promised.index) rememberers.set(other, process);
  }
  replica.rememberedBy = rememberers;
}

/**
 * A copy of its disk, made before its process began, may be started beside it: all others know the process that runs, and that its start has
 * a number which that of the copy does not pass. While members change, or disks are given up, nobody can say so.
 */
export function mayStartCopy(world: World, replica: SimReplica): boolean {
  const { process, found } = replica.opened?.core.identity ?? {};
  if (found === undefined || found.starts === noDisk.starts || world.plan.spares > 0) return false;
  if (world.spoiled.has(replica.id) || replica.lostBecause !== undefined) return false;
  return world.replicas.every(({ id, opened }) => {
    if (id === replica.id) return true;
    const life = opened?.core.engine.lives.get(replica.id);
    return life?.process === process && life?.starts === found.starts;
  });
}

/** This host is among the f that may be spoiled; while members change nobody is. */
export function maySpoil(world: World, replica: SimReplica): boolean {
  // Whoever cannot finish a command is one of them as well.
  if (world.plan.spares > 0 || world.unfinished !== undefined) return false;
  const { spoiled, byzantine, tolerated } = world;
  if (spoiled.has(replica.id)) return true;
  // Whoever lies is one of them.
  const liars = world.replicas.filter(({ id }) => byzantine?.isFaulty(id) === true && !spoiled.has(id));
  return spoiled.size + liars.length < tolerated;
}

/** A file of the log with settled bytes. */
export function settledFile(replica: SimReplica, draw: number): string | undefined {
  const settled = filesIn(replica, `${replica.dataDir}/log`).filter((path) => replica.disk.damageable(path).length > 0);
  return settled[Math.floor(draw * settled.length)];
}

/** Chunks, manifests and the certificate: whichever is damaged, what it says comes from elsewhere. */
export function checkpointFiles(replica: SimReplica): readonly string[] {
  return filesIn(replica, `${replica.dataDir}/checkpoints`);
}

/** None, if the disk was wiped or never founded. */
function filesIn({ disk }: SimReplica, directory: string): readonly string[] {
  try {
    return disk.list(directory).map((name) => `${directory}/${name}`);
  } catch (cause) {
    if (cause instanceof DiskError && cause.code === "notFound") return [];
    throw cause;
  }
}

/**
 * What it has promised and will have forgotten is promised by enough others: a majority without it has its whole log on disk, all
 * others know its term, and nobody stands for election in a term for which it may have voted.
 */
export function mayRestoreOldDisk(world: World, replica: SimReplica): boolean {
  const own = replica.raft;
  if (own === undefined) return false;
  const others = world.replicas.filter((other) => other !== replica).map(({ raft }) => raft);
  const last = own.log.last;
  let holders = 0;
  for (const other of others) {
    if (other === undefined || other.term < own.term || !isHardStateDurable(other)) return false;
    if (other.role.kind === "candidate") return false;
    if (other.writes.durableIndex >= last.index && other.log.has(last)) holders += 1;
  }
  return holders >= quorumOf(world.replicas.length);
}
