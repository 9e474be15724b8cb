/**
 * `quorate/sim`: a whole cluster from one seed, for your own machine.
 *
 * Owns: what is public of the simulator. `simulate` runs one seed with faults, `scenario` is a story told by hand, `checkDeterminism` compares
 * copies of one machine.
 */
export {
  checkDeterminism,
  DeterminismFailed,
  type CheckDeterminismOptions,
  type DeterminismDifference,
  type DeterminismReport,
} from "./check-determinism.js";
export {
  simulate,
  simulateStandard,
  SimulationFailed,
  type SimulateOptions,
  type SimulationResult,
} from "./simulate.js";
export { scenario, outputOf, type Scenario, type ScenarioOptions } from "./scenario.js";
export type { Draw } from "./draw.js";
export { faultClasses, faultKinds, type FaultKind } from "./faults.js";
export type { Operation, OperationEnd } from "./operation.js";
export type { Flip } from "./checkers/memory-judge.js";
export type { Rule, Violation } from "./checkers/violation.js";
export type { Ask, Workload } from "./workload.js";
