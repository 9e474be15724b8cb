/**
 * The part of the planted bugs that is about members: who counts, and who is taken for whom (hazards M1 to M12).
 *
 * Owns: a part of the table in `planted-table.ts`, which alone uses it.
 */
import type { PlantedBug } from "./planted-bugs.js";

export const plantedInMembership: readonly PlantedBug[] = [
  {
    id: "M2",
    hazard: "a configuration counts when it is committed instead of when it is appended",
    file: "consensus/raft/configuration.js",
    from: "Object.assign(state, viewOf(state, newestConfiguration(state)));",
    to: "Object.assign(state, viewOf(state, configurationAt(state, state.commitIndex)));",
    options: { faults: ["members", "kill"] },
  },
  {
    id: "M3",
    hazard: "a replica that does not know that it votes now refuses its vote",
    file: "consensus/raft/election.js",
    from: "const isFree = message.term === term &&",
    to: "const isFree = isVoter(state, state.self) && message.term === term &&",
    options: { faults: ["memberAdd", "memberReplace", "kill", "isolate"] },
  },
  {
    id: "M7",
    hazard: "a change of members begins while another is under way",
    file: "consensus/raft/membership.js",
    from: "!isSettled(state) || isChanging(state)",
    to: "!isSettled(state)",
    options: { faults: ["members", "delay"] },
  },
  {
    id: "M11",
    hazard: "a configuration that was cut off with its entry goes on counting",
    file: "consensus/raft/turn.js",
    from: "dropConfigurations(state, from);",
    to: "",
    options: { replicas: 5, faults: ["memberAdd", "memberRemove", "isolate", "partition", "delay"] },
  },
  {
    id: "M8",
    hazard: "a replica with an empty disk votes as if nothing had happened",
    file: "replica/open-replica.js",
    from: "if (bootstrap) {",
    to: "if (true) {",
    options: { faults: ["wipe", "kill", "partition"] },
  },
  {
    id: "M9",
    hazard: "a replica with an older copy of its disk is taken for what it was",
    file: "transport/gate.js",
    from: "if (promised === undefined || term > promised.term)",
    to: "if (true)",
    options: { faults: ["oldDisk", "kill"] },
  },
  {
    id: "M10",
    hazard: "two processes run on one data directory",
    file: "storage/data-dir.js",
    from: 'if (lock.kind === "held") {',
    to: "if (false) {",
    options: { faults: ["twin"] },
  },
  {
    id: "M10-copy",
    hazard: "a process on a copy of a disk is let in although the one that runs is known",
    file: "transport/peers.js",
    from: " ?? this.#checkDisk(hello);",
    to: ";",
    options: { faults: ["copiedDisk", "kill"] },
  },
  {
    id: "M8-name",
    hazard: "a new disk takes itself for its predecessor, of which it reads in the log that it alone was the group",
    file: "consensus/raft/configuration.js",
    from: "![anyIncarnation, incarnation].includes(member.incarnation)",
    to: "false",
    options: { replicas: 2, operations: 100, faults: ["memberRemove", "memberAdd", "killAll", "powerAll", "isolate"] },
  },
];
