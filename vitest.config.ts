import { defineConfig } from "vitest/config";

import { FileOrder } from "./test-support/file-order.js";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    reporters: ["default", "./test-support/plain-reporter.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    sequence: { sequencer: FileOrder },
  },
});
