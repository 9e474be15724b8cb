/** What of this fault model must fit before anything runs. */
import { expect, test } from "vitest";
import { defaultLimits } from "../../../src/api/config.js";
import { BftGroup } from "../../../test-support/bft-group.js";

const ids = ["a", "b", "c", "d"];

test("a window whose VIEW-CHANGEs a segment of the log could not hold is refused: no view would begin any more", () => {
  const wide = { windowEntries: 4_096, checkpointEntries: 1_024 };

  const limits = { storage: { ...defaultLimits.storage, segmentBytes: 65_536 } };

  expect(() => new BftGroup(ids, { byzantine: wide, limits })).toThrow(
    /^Cannot start replica a under Byzantine faults: with byzantine.windowEntries = 4096 what begins a view has up to \d+ bytes/,
  );
});
