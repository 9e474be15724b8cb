/** This package's version, read from its own manifest so that there is one place to change it. */
import { readFileSync } from "node:fs";

/** Where the package lies: two folders above `dist/node`. */
const packageDirectory = new URL("../../", import.meta.url);

export const quorateVersion = readVersion();

function readVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL("package.json", packageDirectory), "utf8"));
  const version =
    typeof manifest === "object" && manifest !== null && "version" in manifest ? manifest.version : undefined;
  return typeof version === "string" ? version : "unknown";
}
