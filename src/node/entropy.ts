/** The entropy port on the operating system's generator. */
import { randomBytes } from "node:crypto";
import type { Entropy } from "../ports/entropy.js";

export const nodeEntropy: Entropy = { bytes: (count) => randomBytes(count) };
