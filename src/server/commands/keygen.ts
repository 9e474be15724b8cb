/** `quorate keygen FILE`: a key for one replica. Owns: what is printed. The work is in `key-file.ts`. */
import { Command } from "commander";
import { keyNameOf } from "../../wire/key-name.js";
import { exitCodes } from "../exit-codes.js";
import { readKeyFile, writeKeyFile } from "../key-file.js";
import type { Exit } from "./exit.js";

export function keygenCommand(exit: Exit): Command {
  const command = new Command("keygen")
    .summary("make the key that a replica signs with")
    .description(
      "Writes a private ed25519 key into a new file, for its owner alone, and prints the public key as a line of the member's table in the configuration of every replica. An existing file is never overwritten.",
    )
    .argument("<file>", "the private key's file: replica.keyFile of that replica, and of no other")
    .option("--show", "print the public key of a file that exists instead");
  return command.action((file: string) => {
    const { show } = command.opts<{ show?: boolean }>();
    const { publicKey } = show === true ? readKeyFile(file) : writeKeyFile(file);
    process.stdout.write(`key = "${keyNameOf(publicKey)}"\n`);
    exit(exitCodes.ok);
  });
}
