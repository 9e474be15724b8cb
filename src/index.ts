/**
 * The door `quorate`: machines and their types.
 *
 * Owns: the list of what users may import. Everything else is internal.
 */
export { define, event } from "./collections/define.js";
export { isRejected, rejected, type Rejected } from "./api/rejected.js";
export type {
  CommandLimits,
  Context,
  Definition,
  EventType,
  Machine,
  QueryContext,
  StateDefinition,
  Sweep,
  SweepContext,
  TimerControl,
} from "./api/machine.js";
export type {
  CellView,
  Collections,
  Immutable,
  Key,
  KeyRange,
  ListView,
  MapView,
  ScanPage,
  SetView,
  SortedKey,
  SortedMapView,
  StateCell,
  StateList,
  StateMap,
  StateSet,
  StateSortedMap,
  ViewOf,
} from "./api/state.js";
export type {
  CallOptions,
  Client,
  ClientEvent,
  Detail,
  EventsOptions,
  OutputOf,
  ResolvedResult,
  TryResult,
} from "./api/client-types.js";
export {
  CommandFailed,
  CommandRejected,
  EventsCompacted,
  InstructionRefused,
  InvalidInput,
  OutcomeUnknown,
  RequestRefused,
  type OutcomeToken,
  type Refusal,
} from "./api/errors.js";
export type { EventPosition } from "./model/events.js";
export type { CancelSignal } from "./api/cancel-signal.js";
export type { StandardSchema } from "./api/standard-schema.js";
