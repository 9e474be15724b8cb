/**
 * In which order test files begin, in two workers: the longest first, so that at the end both have something to do.
 *
 * Beside the sweep, which takes half of the whole time and both processors, comes what only computes; what starts processes and waits for
 * them comes when it has nearly ended. Files that no line names begin as vitest orders them, the largest first.
 */
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Beginnings of paths; a file belongs to the longest that fits. Those of this list are in its order, and the one that is empty is all others. */
const order = [
  "test/e2e/sim-sweep.",
  "test/tidy/lint.",
  "test/simulation/",
  "",
  "test/e2e/sim.",
  "test/e2e/check-",
  "test/e2e/docs.",
  "test/e2e/kill.",
  "test/e2e/upgrade.",
  "test/e2e/dev.",
  "test/e2e/engine.",
  "test/e2e/snapshot.",
  "test/e2e/resp.",
  "test/e2e/",
];

export class FileOrder extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const { root } = this.ctx.config;
    const placeOf = ({ moduleId }: TestSpecification): number => placeOfPath(moduleId.slice(root.length + 1));
    return sorted.sort((left, right) => placeOf(left) - placeOf(right));
  }
}

function placeOfPath(path: string): number {
  const fitting = order.filter((beginning) => path.startsWith(beginning));
  const longest = fitting.reduce((one, other) => (other.length > one.length ? other : one), "");
  return order.indexOf(longest);
}
