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

/**
 * Writes files into a folder of their own inside the repository, so that `quorate` means this package, and removes them.
 */
async function withFiles<Result>(
  files: ReadonlyMap<string, string>,
  use: (directory: string) => Result | Promise<Result>,
): Promise<Result> {
  const parent = join(repositoryRoot, ".quorate");
  mkdirSync(parent, { recursive: true });
  const directory = mkdtempSync(join(parent, "docs-"));
  try {
    for (const [path, text] of files) {
      mkdirSync(dirname(join(directory, path)), { recursive: true });
      writeFileSync(join(directory, path), `${text}\nexport {};\n`);
    }
    return await use(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** The compiler's complaints about the files, each begun by its path. */
function complaints(files: ReadonlyMap<string, string>): Promise<readonly string[]> {
  return withFiles(files, (directory) => {
    const compilerOptions = { noEmit: true, types: ["node"], noUnusedLocals: false, noUnusedParameters: false };
    const config = { extends: "../../tsconfig.base.json", compilerOptions, include: ["**/*.ts"] };
    writeFileSync(join(directory, "tsconfig.json"), JSON.stringify(config));
    const compiler = join(repositoryRoot, "node_modules", ".bin", "tsc");
    const { status, stdout, stderr } = spawnSync(compiler, ["-p", directory, "--pretty", "false"], {
      cwd: directory,
      encoding: "utf8",
    });
    return status === 0 ? [] : `${stdout}${stderr}`.split("\n").filter((line) => line !== "");
  });
}

const compiled = new Map(blocks.filter(isCompiled).map((block) => [compiledPath(block), block.text]));

test("every ts block of the documents compiles against the built package", async () => {
  expect(await complaints(compiled)).toEqual([]);
});

test("a block that does not compile is noticed", async () => {
  const bad = new Map([["bad/line-1.ts", 'import { nothing } from "quorate";\nconst a: number = "a";']]);

  const found = (await complaints(bad)).join("\n");

  expect(found).toContain("nothing");
  expect(found).toContain("TS2322");
});

/** Each usual port of `quorate dev` with the one that this cluster has. A machine of one's own has no Redis door. */
function portsOf(cluster: DevCluster): readonly (readonly [number, number])[] {
  const usual = { redis: 7379, http: 7300, client: 7200, peer: 7100 } as const;
  return (["redis", "http", "client", "peer"] as const).flatMap((kind) =>
    cluster.replicas.flatMap((replica, at) => {
      const address: string | undefined = replica[kind];
      return address === undefined
        ? []
        : [[usual[kind] + at, Number(address.slice(address.lastIndexOf(":") + 1))] as const];
    }),
  );
}

const commands = blocks.flatMap((block) => commandsOf(block).map((command) => ({ path: block.path, ...command })));
const machines = [...new Set(commands.map(({ machine }) => machine))];

/** What went wrong, or undefined. */
function run(cluster: DevCluster, { path, line, command, expected }: (typeof commands)[number]): string | undefined {
  // An answer that says no is a failure too, which curl alone would not tell.
  const prelude = `set -e
quorate() { "${process.execPath}" "${quorateMain}" "$@"; }
curl() { command curl --fail-with-body --silent --show-error "$@"; }`;
  const { status, stdout, stderr } = spawnSync("bash", ["-c", `${prelude}\n${withPorts(command, portsOf(cluster))}`], {
    cwd: repositoryRoot,
    encoding: "utf8",
    timeout: 60_000,
  });
  if (status !== 0) return `${path}:${line}: ends with ${status}: ${stdout}${stderr}`;
  return expected === undefined || matchesShown(expected, stdout) ? undefined : `${path}:${line}: ${stdout}`;
}

test.for(machines.map((machine) => ({ machine, name: machine ?? "the key-value service" })))(
  "every block that is run against $name gives what it shows",
  async ({ machine }, context) => {
    const asked = commands.filter((command) => command.machine === machine);
    if (asked.some(({ command }) => command.includes("redis-cli"))) requireTool(context, "redis-cli", "redis-tools");
    await withFiles(compiled, async (directory) => {
      const cluster = await DevCluster.start(machine === undefined ? [] : [join(directory, machine)]);
      try {
        await cluster.whole();

        const wrong = asked.map((command) => run(cluster, command));

        expect(wrong.filter((line) => line !== undefined)).toEqual([]);
      } finally {
        await cluster.stop();
      }
    });
  },
);
