/**
 * Giving a running cluster an instruction: the first replica that answers passes it on to the leader.
 *
 * Owns: the order of asking, the messages of failures. Called by the verbs `transfer` and `member`.
 */
import { z } from "zod";
import { faultOf } from "./endpoints.js";
import { CommandFailure, exitCodes } from "./exit-codes.js";

const refusalSchema = z.looseObject({
  refused: z.string().optional(),
  message: z.string().optional(),
  unknown: z.string().optional(),
});

/** Longer than a replica waits for the leader's answer. */
const instructMsMax = 15_000;

/** Only what surely did not arrive is asked of the next replica: an instruction is not given twice. */
export async function instruct(endpoints: readonly string[], path: string, body: object): Promise<void> {
  const faults: string[] = [];
  for (const endpoint of endpoints) {
    const answer = await post(`http://${endpoint}${path}`, body);
    if (answer === "done") return;
    if (answer.isFinal) throw new CommandFailure(exitCodes.failure, answer.message, {});
    faults.push(`${endpoint}: ${answer.message}`);
  }
  throw new CommandFailure(exitCodes.failure, `Cannot reach the cluster: ${faults.join("; ")}`, {});
}

type Failure = { readonly isFinal: boolean; readonly message: string };

async function post(url: string, body: object): Promise<"done" | Failure> {
  let response: Response;
  try {
    const signal = AbortSignal.timeout(instructMsMax);
    response = await fetch(url, { method: "POST", body: JSON.stringify(body), signal });
  } catch (cause) {
    const message = faultOf(cause);
    return { isFinal: message !== "nobody listens", message };
  }
  if (response.ok) return "done";
  const said = refusalSchema.safeParse(await response.json().catch(() => undefined));
  const message = said.data?.message ?? said.data?.unknown ?? `answered ${response.status}`;
  return { isFinal: said.data?.refused !== "NO_LEADER", message };
}
