/** `quorate checkpoint`: every replica takes a checkpoint now. Owns: its flags, waiting until one is certified. */
import { Command } from "commander";
import { z } from "zod";
import { answerMsMax, endpointsOf, withEndpoints } from "../endpoints.js";
import { CommandFailure, exitCodes } from "../exit-codes.js";
import { instruct } from "../instruct.js";
import type { Exit } from "./exit.js";

const statusSchema = z.looseObject({
  lastIndex: z.number(),
  checkpoint: z.looseObject({ certifiedIndex: z.number(), bytes: z.number(), failure: z.string().optional() }),
});
type Status = z.infer<typeof statusSchema>;

const lookMs = 100;

export function checkpointCommand(exit: Exit): Command {
  const command = withEndpoints(new Command("checkpoint"))
    .summary("take a checkpoint now, on every replica")
    .description(
      "Asks every replica to take a checkpoint now, after which the log up to it is given back.\nExit code 0 once f + 1 replicas have reported the same one. Nothing stops meanwhile.",
    )
    .option("--wait <seconds>", "how long to wait for that", "60");
  return command.action(async () => {
    const { wait } = command.opts<{ wait: string }>();
    const endpoints = endpointsOf(command);
    const before = Math.max(0, ...(await statuses(endpoints)).map(({ lastIndex }) => lastIndex));
    await instruct(endpoints, "/v1/checkpoint", {});
    const end = performance.now() + Number(wait) * 1000;
    for (;;) {
      const now = await statuses(endpoints);
      const certified = now.find(({ checkpoint }) => checkpoint.certifiedIndex > before);
      if (certified !== undefined) {
        const { certifiedIndex, bytes } = certified.checkpoint;
        process.stdout.write(`the checkpoint of entry ${certifiedIndex} is certified, ${bytes} bytes\n`);
        return exit(exitCodes.ok);
      }
      if (performance.now() > end) throw new CommandFailure(exitCodes.failure, notCertified(now, wait), {});
      await new Promise((resolve) => setTimeout(resolve, lookMs));
    }
  });
}

function notCertified(now: readonly Status[], wait: string): string {
  const failures = now.flatMap(({ checkpoint }) => (checkpoint.failure === undefined ? [] : [checkpoint.failure]));
  const why = failures.length === 0 ? "quorate status shows who lags" : failures.join("; ");
  return `The checkpoint was asked for, and none is certified after ${wait} s: ${why}`;
}

async function statuses(endpoints: readonly string[]): Promise<readonly Status[]> {
  const asked = endpoints.map(async (endpoint) => {
    const response = await fetch(`http://${endpoint}/v1/status`, { signal: AbortSignal.timeout(answerMsMax) });
    return statusSchema.parse(await response.json());
  });
  return (await Promise.allSettled(asked)).flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
}
