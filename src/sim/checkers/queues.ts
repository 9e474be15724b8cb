/**
 * Bounded memory: every queue of a replica stays within its stated limit (rule V13).
 *
 * Owns: which queues, and the slack that a limit leaves by design (one message beyond it). Called by the world now and then.
 */
import type { Limits } from "../../api/config.js";
import { waitingReadsMax } from "../../consensus/raft/reads.js";
import type { InlineReplica } from "../../replica/open-replica.js";
import { must } from "./violation.js";

export function checkQueues(id: string, { core, state }: InlineReplica, limits: Limits): void {
  const { admission, raft } = limits;
  const within = (what: string, count: number, limit: number): void => {
    must(count <= limit, "V13", () => `${id} holds ${count} ${what}, and the limit is ${limit}`);
  };
  within("requests and queries of clients", core.pending, admission.waitingMax + admission.queriesMax);
  within("forwarded barriers", state.forwarded.size, waitingReadsMax);
  if (state.role.kind !== "leader") return;
  within("waiting barriers", state.role.waitingReads.length, waitingReadsMax);
  for (const { id: follower, progress } of state.role.followers.values()) {
    if (progress.mode !== "replicate") continue;
    const { bytes, messages } = progress.inflight;
    within(`messages on the way to ${follower}`, messages.length, raft.inflightCountMax);
    // The last message may pass the limit, and one entry may be larger than a message should be.
    within(
      `bytes on the way to ${follower}`,
      bytes,
      raft.inflightBytesMax + Math.max(raft.appendBytesMax, admission.batchBytesMax + 4_096),
    );
  }
}
