/**
 * What documents show works: `ts` blocks compile against the built package, blocks marked as run are run against a cluster of
 * real processes. `test-support/doc-blocks.ts` says how a block is marked.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { DevCluster, quorateMain } from "../../test-support/dev-cluster.js";
import {
  commandsOf,
  compiledPath,
  docBlocks,
  isCompiled,
  matchesShown,
  withPorts,
} from "../../test-support/doc-blocks.js";
import { requireTool } from "../../test-support/require-tool.js";
import { filesBelow, readText, repositoryRoot } from "../../test-support/source.js";

const documents = filesBelow("", (path) => path === "README.md" || /^(docs|examples)\/.*\.md$/.test(path));
const blocks = documents.flatMap((path) => docBlocks(path, readText(path)));

/** The compiler's complaints about the files, each begun by its path. They stand inside the repository, so that `quorate` means this package. */
function complaints(files: ReadonlyMap<string, string>): readonly string[] {
  const parent = join(repositoryRoot, ".quorate");
  mkdirSync(parent, { recursive: true });
  const directory = mkdtempSync(join(parent, "docs-"));
  try {
    for (const [path, text] of files) {
      mkdirSync(dirname(join(directory, path)), { recursive: true });
      writeFileSync(join(directory, path), `${text}\nexport {};\n`);
    }
    const compilerOptions = { noEmit: true, types: ["node"], noUnusedLocals: false, noUnusedParameters: false };
    writeFileSync(
      join(directory, "tsconfig.json"),
      JSON.stringify({ extends: "../../tsconfig.base.json", compilerOptions, include: ["**/*.ts"] }),
    );
    const compiler = join(repositoryRoot, "node_modules", ".bin", "tsc");
    const { status, stdout, stderr } = spawnSync(compiler, ["-p", directory, "--pretty", "false"], {
      cwd: directory,
      encoding: "utf8",
    });
    return status === 0 ? [] : `${stdout}${stderr}`.split("\n").filter((line) => line !== "");
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("every ts block of the documents compiles against the built package", () => {
  const files = new Map(blocks.filter(isCompiled).map((block) => [compiledPath(block), block.text]));

  expect(complaints(files)).toEqual([]);
});

test("a block that does not compile is noticed", () => {
  const found = complaints(new Map([["bad/line-1.ts", 'import { nothing } from "quorate";\nconst a: number = "a";']]));

  expect(found.join("\n")).toContain("nothing");
  expect(found.join("\n")).toContain("TS2322");
});

/** Each usual port of `quorate dev` with the one that this cluster has. */
function portsOf(cluster: DevCluster): readonly (readonly [number, number])[] {
  const usual = { redis: 7379, http: 7300, client: 7200, peer: 7100 } as const;
  const port = (address: string): number => Number(address.slice(address.lastIndexOf(":") + 1));
  return (["redis", "http", "client", "peer"] as const).flatMap((kind) =>
    cluster.replicas.map((replica, at) => [usual[kind] + at, port(replica[kind])] as const),
  );
}

test("every block that is marked to be run gives what it shows", async (context) => {
  const runnable = blocks.flatMap((block) => commandsOf(block).map((command) => ({ block, ...command })));
  if (runnable.some(({ command }) => command.includes("redis-cli"))) requireTool(context, "redis-cli", "redis-tools");
  const cluster = await DevCluster.start();
  try {
    await cluster.whole();
    const wrong: string[] = [];
    for (const { block, line, command, expected } of runnable) {
      const script = `set -e\nquorate() { "${process.execPath}" "${quorateMain}" "$@"; }\n${withPorts(command, portsOf(cluster))}`;
      const { status, stdout, stderr } = spawnSync("bash", ["-c", script], {
        cwd: repositoryRoot,
        encoding: "utf8",
        timeout: 20_000,
      });
      if (status !== 0) wrong.push(`${block.path}:${line}: ends with ${status}: ${stdout}${stderr}`);
      else if (expected !== undefined && !matchesShown(expected, stdout))
        wrong.push(`${block.path}:${line}: ${stdout}`);
    }

    expect(wrong).toEqual([]);
  } finally {
    await cluster.stop();
  }
});
