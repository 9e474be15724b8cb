/**
 * The door `quorate/low-level`: for machines that keep their state in a store of their own.
 *
 * Owns: the list of what their authors may import: the contract, the form of inputs and outputs, and fingerprints for audits.
 */
export { CannotFinish } from "./api/low-level.js";
export type {
  AdmitOutcome,
  Batch,
  Command,
  HeldStep,
  LowLevelMachine,
  MachineEnvironment,
  MachineFork,
  MachineInstance,
  Migrated,
  Outcome,
  Position,
  StateChange,
} from "./api/low-level.js";
export type { MachineLimits } from "./api/config.js";
export { FingerprintSum, Mixer, type Fingerprint } from "./base/fingerprint.js";
export type { Hash } from "./ports/hash.js";
export { DecodeFailure, decodeValue, encodeValue } from "./wire/canonical.js";
