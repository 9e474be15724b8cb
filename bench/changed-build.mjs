/**
 * Copies of the build in which something is left out, so that what it costs can be measured beside the build as it is.
 *
 * Owns: what is left out, and the copies. Leaves to others: what is measured. Called by `audits.mjs` and `run.mjs`.
 */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const dist = new URL("../dist/", import.meta.url);

export const withoutTrail = [
  {
    file: "execution/audits.js",
    from: "if (isDue) this.#isDamageCompared = true;",
    to: "if (isDue) this.#isDamageCompared = true; if (isDue !== undefined) return;",
  },
];

export const withoutAudits = [
  {
    file: "execution/audits.js",
    from: "begin({ kind }, machine) {",
    to: "begin({ kind }, machine) { if (kind !== undefined) return;",
  },
  {
    file: "execution/audits.js",
    from: "executed(entry, replies, audited) {",
    to: "executed(entry, replies, audited) { if (entry !== undefined) return;",
  },
  {
    file: "collections/hash-trie.js",
    from: "#counted({ key, value, position }) {",
    to: "#counted({ key, value, position }) { if (key !== undefined) return;",
  },
  {
    file: "collections/hash-trie.js",
    from: "#discounted({ key, value, position }) {",
    to: "#discounted({ key, value, position }) { if (key !== undefined) return;",
  },
];

/** A copy of the build with these places changed, each of which must be there exactly once. */
export async function changedBuild(root, name, changes) {
  const { plant } = await import(new URL("sim/planted-bugs.js", dist).href);
  const copy = join(root, name);
  cpSync(fileURLToPath(dist), join(copy, "dist"), { recursive: true });
  writeFileSync(join(copy, "package.json"), '{ "type": "module" }\n');
  symlinkSync(fileURLToPath(new URL("../node_modules", import.meta.url)), join(copy, "node_modules"));
  for (const change of changes) {
    const path = join(copy, "dist", change.file);
    const planted = plant({ id: name, ...change }, readFileSync(path, "utf8"));
    if (planted.kind === "refused") throw new Error(planted.reason);
    writeFileSync(path, planted.code);
  }
  return pathToFileURL(join(copy, "dist/")).href;
}
