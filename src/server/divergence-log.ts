/**
 * What a process writes to its log when replicas differ: what it is, since when, what happens now, and what somebody has to do.
 *
 * Owns: the sentences. Leaves to others: noticing (`replica/divergence.ts`). Called by `replica-process.ts`.
 */
import type { AuditedPosition } from "../model/audit.js";
import type { QuarantineState } from "../model/quarantine.js";
import type { Logs } from "./logs.js";

type Logger = Logs["logger"];

export function tellFinding(logger: Logger): (finding: AuditedPosition) => void {
  return ({ kind, index, agreeing, differing, missing }) => {
    logger.error({ index, kind, agreeing, differing, missing }, sentenceOf(kind, differing));
  };
}

function sentenceOf(kind: AuditedPosition["kind"], differing: readonly string[]): string {
  if (kind === "named")
    return `${differing.join(", ")} differs from more than half of all voters: it is set aside and rebuilt; nothing needs to be done`;
  if (kind === "allDifferent")
    return "no two replicas have the same, so the machine is not deterministic: run quorate check-determinism";
  return "replicas differ, and too few agree to say who is right: start those that are missing";
}

export function tellQuarantine(logger: Logger): (state: QuarantineState) => void {
  return (state) => {
    const { level, sentence } = sentences[state];
    logger[level]({ quarantine: state }, sentence);
  };
}

const sentences: Readonly<
  Record<QuarantineState, { readonly level: "info" | "warn" | "error"; readonly sentence: string }>
> = {
  rebuilding: {
    level: "warn",
    sentence:
      "what this replica has executed is not what the others have: it answers nobody, does not lead, and is rebuilt from a certified checkpoint; nothing needs to be done",
  },
  rejoining: { level: "info", sentence: "this replica is rebuilt, and answers once the others have found it to agree" },
  sound: { level: "info", sentence: "this replica agrees with the others and answers again" },
  stopped: {
    level: "error",
    sentence:
      "this replica differs again although it was rebuilt: its memory may be bad. It answers nobody from now on. Test the memory of this machine and start the replica again, or replace it: quorate member replace",
  },
  unspared: {
    level: "error",
    sentence:
      "this replica differs, and so do so many others that too few would be left: it serves on, perhaps wrongly. Look at quorate audit, and stop what is certainly wrong",
  },
};
