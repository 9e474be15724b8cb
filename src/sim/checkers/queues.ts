/**
 * Bounded memory: every queue of a replica stays within its stated limit (rule V13).
 *
 * Owns: which queues, and the slack that a limit leaves by design (one message beyond it). Called by the world now and then.
 */
import { waitingReadsMax } from "../../consensus/raft/reads.js";
import type { RaftState } from "../../consensus/raft/state.js";
import type { SimOpened } from "../opened.js";
import { hostileBundleMax } from "../hostile-client.js";
import type { Plan } from "../plan.js";
import { must } from "./violation.js";

export function checkQueues(id: string, { core }: SimOpened, state: RaftState | undefined, plan: Plan): void {
  const { admission, raft } = plan.limits;
  // What was signed together is taken together.
  const bundle = state === undefined ? Math.max(plan.clientLimits.inFlightMax, hostileBundleMax) : 0;
  const within = (what: string, count: number, limit: number): void => {
    must(count <= limit, "V13", () => `${id} holds ${count} ${what}, and the limit is ${limit}`);
  };
  within("requests and queries of clients", core.pending, admission.waitingMax + admission.queriesMax + bundle);
  if (state === undefined) return;
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
