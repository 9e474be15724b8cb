/** How a verb ends: with a code, given to `main.ts`, which alone ends the process. */
import type { ExitCode } from "../exit-codes.js";

export type Exit = (code: ExitCode) => void;
