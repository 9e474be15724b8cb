/**
 * The end of a process that may have written more than its reader has taken.
 *
 * Owns: that nothing of its output is lost. `process.exit` drops what still waits in this process for a pipe to have room, and a pipe holds
 * 64 KiB. Leaves to others: standard error, which may be a pipe that nobody reads: a replica must end all the same (`logs.ts`).
 */

/** Ends this process once what it wrote to standard output has left, or nobody is there any more to read it. */
export async function endProcess(exitCode: number): Promise<never> {
  await new Promise<void>((resolve) => {
    process.stdout.once("error", () => resolve());
    process.stdout.write("", () => resolve());
  });
  process.exit(exitCode);
}
