/**
 * The part of the planted bugs that is in replicas which order by PBFT: run with those that may lie. B-numbers are hazards.
 *
 * Owns: a part of the table in `planted-table.ts`, which alone uses it.
 */
import type { PlantedBug } from "./planted-bugs.js";

const lying = { model: "byzantine", operations: 100 } as const;

export const plantedUnderLies: readonly PlantedBug[] = [
  {
    id: "B2",
    hazard: "a vote counts for another digest",
    file: "consensus/bft/certificate.js",
    from: "one.view === other.view && one.index === other.index && one.digest === other.digest",
    to: "one.view === other.view && one.index === other.index",
    options: { ...lying, faults: ["mutation"] },
  },
  {
    id: "B8",
    hazard: "f + 1 count as a quorum",
    file: "consensus/bft/state.js",
    from: "quorum: byzantineQuorumOf(replicas.length), base: beginning",
    to: "quorum: liarsMaxOf(replicas.length) + 1, base: beginning",
    options: { ...lying, faults: ["partition"] },
  },
  {
    id: "B9",
    hazard: "a primary proposes where the beginning of its view has proposed already",
    file: "consensus/bft/state.js",
    from: "acceptAt(state, { view, index, digest }); state.proposed = maxIndex(state.proposed, index);",
    to: "acceptAt(state, { view, index, digest });",
    options: { ...lying, faults: ["isolate"] },
  },
  {
    id: "B10",
    hazard: "a primary proposes beyond its window",
    file: "consensus/bft/state.js",
    from: "Math.max(0, high - reserved - state.proposed) : 0",
    to: "64 : 0",
    options: { ...lying, faults: ["isolate"] },
  },
  {
    id: "B11",
    hazard: "a read is answered by what its replica happens to have executed",
    file: "replica/bft-marks.js",
    from: "this.#asking.push(id); this.#next(now);",
    to: "this.#parts.passed(id, 0);",
    options: { ...lying, operations: 150, faults: ["isolate"] },
  },
  {
    id: "B20",
    hazard: "a primary forgets in a restart what it has proposed",
    file: "consensus/bft/state.js",
    from: "acceptAt(state, { view, index, digest: batch.digest }); state.proposed = maxIndex(state.proposed, index);",
    to: "if (!state.mustRepeat) { acceptAt(state, { view, index, digest: batch.digest }); state.proposed = maxIndex(state.proposed, index); }",
    options: { ...lying, faults: ["kill", "killAll"] },
  },
  {
    id: "B22",
    hazard: "what is long stable is never forgotten",
    file: "consensus/bft/state.js",
    from: "if (index <= floor) state.slots.delete(index);",
    to: "if (index < 0) state.slots.delete(index);",
    options: { ...lying, operations: 150, faults: ["isolate"] },
  },
  {
    id: "B-view",
    hazard: "a replica that gives its primary up asks for the view that it is in",
    file: "consensus/bft/view-change.js",
    from: "if (isDue) leaveFor(state, turn, nextView(state.view));",
    to: "if (isDue) leaveFor(state, turn, state.view);",
    options: { ...lying, faults: ["isolate"] },
  },
  {
    id: "B-evidence",
    hazard: "whoever proves a lie names itself",
    file: "consensus/bft/turn.js",
    from: "evidence: { by: first.by, first, second }",
    to: "evidence: { by: state.self, first, second }",
    options: { ...lying, faults: ["mutation"] },
  },
  {
    id: "B-time",
    hazard: "agreed time is what the last primary says, and goes back",
    file: "replica/bft-decided.js",
    from: "Math.max(earlier, batch.proposal.time)",
    to: "batch.proposal.time",
    options: { ...lying, operations: 150, faults: ["clock", "isolate"] },
  },
];
