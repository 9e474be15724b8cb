/** `quorate transfer [to]`: leadership is handed to another replica. Owns: its flags. The work is in `instruct.ts`. */
import { Command } from "commander";
import { endpointsOf, withEndpoints } from "../endpoints.js";
import { exitCodes } from "../exit-codes.js";
import { instruct } from "../instruct.js";
import type { Exit } from "./exit.js";

export function transferCommand(exit: Exit): Command {
  const command = withEndpoints(new Command("transfer"))
    .summary("hand leadership to another replica")
    .description(
      "Requests wait meanwhile, at most for an election time-out. Exit code 0 once the leader has handed over.",
    )
    .argument("[to]", "the voter that is to lead; default: the one that lacks least");
  return command.action(async (to: string | undefined) => {
    await instruct(endpointsOf(command), "/v1/transfer", to === undefined ? {} : { to });
    process.stdout.write(to === undefined ? "leadership was handed over\n" : `${to} leads\n`);
    exit(exitCodes.ok);
  });
}
