/**
 * The part of the planted bugs that is about replicas that cannot do their work for a while: full and hanging disks (hazard D12), commands
 * that cannot be finished (hazard N7).
 *
 * Owns: a part of the table in `planted-table.ts`, which alone uses it.
 */
import type { PlantedBug } from "./planted-bugs.js";

export const plantedInHealth: readonly PlantedBug[] = [
  {
    id: "D20",
    hazard: "a follower whose disk is full acknowledges what it did not take",
    file: "consensus/raft/follower.js",
    from: "if (isNew) promiseMatch({ state, role, turn }, round);",
    to: "if (entries.length < message.entries.length) role.verified = advance(previous.index, message.entries.length); if (isNew || entries.length < message.entries.length) promiseMatch({ state, role, turn }, round);",
    options: { faults: ["fullDisk", "kill"] },
  },
  {
    id: "D21",
    hazard: "a log that has found no space for its next segment never asks again",
    file: "storage/log-writer.js",
    from: "if (this.#broken === undefined) this.#parts.segments.prepareNow();",
    to: "",
    options: { operations: 150, faults: ["fullDisk"] },
  },
  {
    id: "D22",
    hazard: "a leader whose disk hangs leads on, since its heartbeats need no disk",
    file: "consensus/raft/stall.js",
    from: "if (isDiskStalled(state, now))",
    to: "if (false)",
    options: { operations: 150, faults: ["stuckDisk"] },
  },
  {
    id: "N7-one",
    hazard: "a command is skipped as soon as one replica cannot finish it, though the others have",
    file: "execution/skip-table.js",
    from: ".length >= this.#rules.quorum(voters.length)",
    to: ".length >= 1",
    options: { operations: 200, faults: ["unfinished"] },
  },
  {
    id: "N7-alone",
    hazard: "whoever alone cannot finish a command waits for ever, since it asks nobody for a checkpoint",
    file: "replica/unfinished.js",
    from: "wantCheckpoint(waiting.at.index);",
    to: "",
    options: { operations: 200, faults: ["unfinished"] },
  },
];
