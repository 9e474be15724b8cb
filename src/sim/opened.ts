/** A simulated replica as it runs, with either core. Owns: the type alone. */
import type { EngineSide } from "../replica/engine-side.js";
import type { OpenedReplica } from "../replica/open-replica.js";
import type { OpenedLog } from "../storage/wal.js";

export interface SimOpened extends OpenedReplica<EngineSide> {
  readonly log: OpenedLog;
}
