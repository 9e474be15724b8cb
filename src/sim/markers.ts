/**
 * Reachable markers: rare things that a sweep must have made happen, or it has shown less than it seems.
 *
 * Owns: the list, and how each is noticed from outside: the product is not changed for it. Leaves to others: making them happen (swarm,
 * nemesis). A sweep prints which were never reached.
 */
import type { FaultModel } from "../api/config.js";
import type { LogIndex, Term } from "../model/ids.js";
import type { RaftState, Role } from "../consensus/raft/state.js";
import type { ClientStatus } from "../client/client-core.js";
import type { SimDisk } from "./sim-disk.js";
import type { SimOpened } from "./opened.js";

/** Of replicas that may lie. */
const byzantineMarkers = [
  "a view was left",
  "a liar was proved to have contradicted itself",
  "members have changed",
  "a key was exchanged",
] as const;

const markerNames = [
  "a pre-vote was asked for and not won",
  "an election was begun and not won",
  "a leader stepped down in its own term",
  "a leader heard of a higher term",
  "a follower replaced a conflicting tail",
  "a follower refused entries that do not follow its log",
  "entries were read from disk for a follower",
  "the window of a follower was full",
  "a log went on in another segment",
  "a replica started with damaged entries",
  "damaged entries were repaired while running",
  "a replica stepped aside",
  "a start failed because of the disk",
  "a start was refused",
  "a second process was refused the data directory",
  "a second process was refused on a copy of a disk",
  "a replica was disowned: its disk had forgotten something",
  "a replica that was lost votes again",
  "a request was answered from a stored reply",
  "a request was refused as OVERLOADED",
  "a request was refused as DISK_FULL",
  "a log had no space for more",
  "a leader resigned by itself",
  "a request was refused as GAP",
  "a query was refused for want of a leader",
  "a session expired",
  "a session was evicted",
  "a client sent a request again",
  "a client changed to another replica",
  "a client lost its session",
  "an unknown outcome was resolved as executed",
  "an unknown outcome was resolved as not executed",
  "an outcome stayed unknown",
  "a link was given up as silent",
  "an entry only moved the time",
  "a checkpoint was taken",
  "a checkpoint was certified",
  "a part of a log was given back",
  "a replica started from a checkpoint",
  "a checkpoint replaced a log",
  "a checkpoint was fetched from peers",
  "replicas agreed at a position that was compared",
  "a replica was not checked at a position that was compared",
  "a timer fired",
  "a follower was told of events",
  "a follower was told that events are no longer kept",
  "a follower went on after its process had ended",
  ...byzantineMarkers,
] as const;

export type Marker = (typeof markerNames)[number];

/** Those that a run of this model can reach. */
export function markersOf(model: FaultModel): readonly Marker[] {
  return markerNames.filter((name) => model === "byzantine" || !byzantineMarkers.some((other) => other === name));
}

/** What a replica was when it was looked at last. */
export interface Seen {
  readonly role: Role["kind"];
  readonly term: Term;
  readonly lastIndex: LogIndex;
}

export class Markers {
  readonly reached = new Set<Marker>();

  reach(marker: Marker): void {
    this.reached.add(marker);
  }

  /** What became of an operation. */
  ended(kind: "unknown" | "executed" | "notExecuted"): void {
    if (kind === "unknown") this.reach("an outcome stayed unknown");
    else if (kind === "executed") this.reach("an unknown outcome was resolved as executed");
    else this.reach("an unknown outcome was resolved as not executed");
  }

  /** After each callback of a replica: so it must be cheap. Answers what to give as `before` the next time; undefined at first. */
  look(before: Seen | undefined, raft: RaftState): Seen {
    const { role, term, log } = raft;
    const { lastIndex } = log;
    if (before !== undefined && before.role === role.kind && before.term === term && before.lastIndex === lastIndex)
      return before;
    if (before !== undefined) this.#changed(before, raft);
    return { role: role.kind, term, lastIndex };
  }

  #changed(before: Seen, raft: RaftState): void {
    const { role, term, log } = raft;
    const { lastIndex } = log;
    if (before.role !== role.kind) this.#roleChanged(before, role.kind, term);
    if (lastIndex > before.lastIndex && log.start.index > before.lastIndex) this.reach("a checkpoint replaced a log");
    if (lastIndex < before.lastIndex) this.reach("a follower replaced a conflicting tail");
    if (role.kind !== "leader") return;
    for (const { progress, loading } of role.followers.values()) {
      if (loading !== undefined) this.reach("entries were read from disk for a follower");
      if (progress.mode === "replicate" && progress.inflight.messages.length >= raft.settings.inflightCountMax)
        this.reach("the window of a follower was full");
      if (progress.mode === "probe" && progress.next <= progress.match + 1 && progress.match > 0)
        this.reach("a follower refused entries that do not follow its log");
    }
  }

  /** At the end of a replica's process, and of the run. */
  count({ core, executor, log, directory, checkpoints }: SimOpened, disk: SimDisk): void {
    if (disk.list(`${directory.path}/log`).length > 2) this.reach("a log went on in another segment");
    const { counters } = core.status();
    const { requestsRefused, commandsRepeated } = counters;
    const { expired, evicted } = executor.statistics.sessions;
    if (commandsRepeated > 0) this.reach("a request was answered from a stored reply");
    if (requestsRefused["OVERLOADED"] !== undefined) this.reach("a request was refused as OVERLOADED");
    if (requestsRefused["DISK_FULL"] !== undefined) this.reach("a request was refused as DISK_FULL");
    if (requestsRefused["NO_LEADER"] !== undefined) this.reach("a query was refused for want of a leader");
    if (counters.timersFired > 0) this.reach("a timer fired");
    if (expired > 0) this.reach("a session expired");
    if (evicted > 0) this.reach("a session was evicted");
    if (log.recovered.start.index > 0) this.reach("a part of a log was given back");
    if (checkpoints.newest !== undefined) this.reach("a checkpoint was taken");
    if (checkpoints.certified !== undefined) this.reach("a checkpoint was certified");
    if (counters.checkpointsFetched > 0) this.reach("a checkpoint was fetched from peers");
    const { counts, replicas } = executor.audits.table.state;
    if (counts.agreed > 0) this.reach("replicas agreed at a position that was compared");
    if (replicas.some(({ unchecked }) => unchecked > 0))
      this.reach("a replica was not checked at a position that was compared");
    if (log.recovered.damaged.length > 0 && core.status().checks["whole"] === true)
      this.reach("damaged entries were repaired while running");
  }

  countClient({ counters, moves }: ClientStatus): void {
    if (counters.retries > 0) this.reach("a client sent a request again");
    if (counters.sessionsLost > 0) this.reach("a client lost its session");
    if (counters.refusals.has("GAP")) this.reach("a request was refused as GAP");
    if (moves > 0) this.reach("a client changed to another replica");
  }

  #roleChanged(before: Seen, role: Role["kind"], term: Term): void {
    if (before.role === "preCandidate" && role === "follower") this.reach("a pre-vote was asked for and not won");
    if (before.role === "candidate" && role !== "leader") this.reach("an election was begun and not won");
    if (before.role !== "leader") return;
    this.reach(before.term === term ? "a leader stepped down in its own term" : "a leader heard of a higher term");
  }
}
