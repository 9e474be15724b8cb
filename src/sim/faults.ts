/**
 * The classes of faults and one planned fault: plain data, so that a plan can be printed, cut down and run again.
 *
 * Owns: the names, and which of them belong to a class. Leaves to others: drawing a plan (`plan.ts`), doing it (`nemesis.ts`).
 */
import type { FaultModel } from "../api/config.js";

export const faultKinds = [
  // The network between hosts.
  "loss",
  "duplication",
  "reordering",
  "delay",
  "partition",
  "bridge",
  "oneWay",
  "isolate",
  "clog",
  "reset",
  "narrow",
  // Processes.
  "kill",
  "killAll",
  "power",
  "powerAll",
  "pause",
  "stop",
  "startCrash",
  "twin",
  "clientKill",
  "clientPause",
  // Clocks.
  "clockDrift",
  "clockJump",
  // Disks.
  "slowDisk",
  "stuckDisk",
  "syncError",
  "readError",
  "fullDisk",
  "bitRot",
  "lostWrite",
  "misdirectedWrite",
  "wipe",
  "oldDisk",
  // Members: no faults of anything, but what happens beside them.
  "memberAdd",
  "memberRemove",
  "memberReplace",
  "transfer",
  // Memory. Not among "all": what a replica with wrong memory tells is no measure of the others.
  "bitFlip",
  // Another program, in the place of the one that ran. Not among "all" either: it is an operator's doing, and lasts.
  "upgrade",
  // A copy of a disk that is started as well. Of "all", but drawn by itself.
  "copiedDisk",
  // Commands that some replicas cannot finish, or none can. Not among "all": which replicas may be away is another budget.
  "unfinished",
  // Replicas that lie, each in a way that has a name, or by changing what they should say. Only where replicas are expected to.
  "lie",
  "mutation",
  // Replicas that run twice under the same keys (twins), behind partitions that change.
  "twins",
  // Some replicas from the others. Drawn by itself, since `partition` mostly parts replicas from clients.
  "split",
  // What clients are told by replicas that lie, and clients that mean harm.
  "falseAnswers",
  "hostileClients",
  // A member has another key. Only where replicas have any.
  "memberKey",
] as const;

export type FaultKind = (typeof faultKinds)[number];

export const faultClasses: Readonly<Record<string, readonly FaultKind[]>> = {
  network: ["loss", "duplication", "reordering", "delay", "reset", "narrow", "clog"],
  partition: ["partition", "bridge", "oneWay", "isolate", "split"],
  crash: ["kill", "killAll", "power", "powerAll", "stop", "startCrash", "twin", "clientKill"],
  pause: ["pause", "clientPause"],
  clock: ["clockDrift", "clockJump"],
  disk: ["slowDisk", "stuckDisk", "syncError", "readError", "fullDisk"],
  members: ["memberAdd", "memberRemove", "memberReplace", "transfer", "memberKey"],
  memory: ["bitFlip"],
  upgrade: ["upgrade"],
  unfinished: ["unfinished"],
  copy: ["copiedDisk"],
  damage: ["bitRot", "lostWrite", "misdirectedWrite", "wipe", "oldDisk"],
  lies: ["lie", "mutation", "twins", "falseAnswers", "hostileClients"],
};

/** What of it there is in a run of this model: where replicas may lie primaries take turns, and memory does not fail. */
function isKindOf(model: FaultModel, kind: FaultKind): boolean {
  const isLie = faultClasses["lies"]?.includes(kind) === true;
  if (model === "crash") return !isLie && kind !== "memberKey";
  return isLie || !crashOnly.has(kind);
}

const crashOnly: ReadonlySet<FaultKind> = new Set([
  ...["transfer", "bitFlip", "copiedDisk", "unfinished"],
] as readonly FaultKind[]);

/** Who they are, or by what they are known. */
export function changesMembers(kind: FaultKind): boolean {
  return kind !== "transfer" && faultClasses["members"]?.includes(kind) === true;
}

/** Asked for by name. */
const byThemselves: ReadonlySet<FaultKind> = new Set(["bitFlip", "upgrade", "unfinished"] as const);

/** One fault of a plan. Whom it meets is drawn when it comes, from `draws`, since "the leader" is somebody else in every run. */
export interface PlannedFault {
  /** Its name in a plan, from 1. */
  readonly number: number;
  readonly kind: FaultKind;
  /** Milliseconds of simulated time. */
  readonly at: number;
  readonly lastsMs: number;
  /** Four numbers in [0, 1). */
  readonly draws: readonly [number, number, number, number];
}

/** "all", "none", or kinds and classes: what there is not in this model is answered as a sentence. */
export function readFaults(
  given: "all" | "none" | readonly string[],
  model: FaultModel,
): readonly FaultKind[] | string {
  if (given === "all") {
    return faultKinds.filter((kind) => isKindOf(model, kind) && !byThemselves.has(kind));
  }
  if (given === "none") return [];
  const kinds = new Set<FaultKind>();
  for (const name of given) {
    const found = faultClasses[name] ?? faultKinds.filter((kind) => kind === name);
    if (found.length === 0)
      return `Cannot inject "${name}": the classes are ${Object.keys(faultClasses).join(", ")}, and the kinds ${faultKinds.join(", ")}`;
    if (!found.some((kind) => isKindOf(model, kind)))
      return `Cannot inject "${name}" where replicas are expected to ${model === "crash" ? "crash" : "lie"}`;
    for (const kind of found) if (isKindOf(model, kind)) kinds.add(kind);
  }
  return faultKinds.filter((kind) => kinds.has(kind));
}
