/**
 * Which machine a process runs: the key-value service that comes with the package, or a module of the user's.
 *
 * Owns: finding, translating and loading the module. TypeScript is translated by the `tsc` of the user's project (types are
 * erased, not checked: the editor and the build do that), because Node 20 cannot run it. Called by `start` in each process; `dev`
 * translates once and hands the result on.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, extname, join, parse, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { LowLevelMachine } from "../api/low-level.js";
import { installGuard } from "../guard/install.js";
import { kv } from "../services/kv/index.js";
import { CommandFailure, exitCodes, usageFailure } from "./exit-codes.js";
import { bundledName } from "./options.js";

/** A path that Node can import: the given one, or what became of it. `kv` stays `kv`. */
export function prepareMachine(given: string): string {
  if (given === bundledName) return given;
  const path = resolve(given);
  if (!existsSync(path) || !statSync(path).isFile()) {
    throw usageFailure(
      `Cannot run the machine ${given}: there is no such file in ${dirname(path)}. Give the path of a module, or ${bundledName}`,
    );
  }
  return /\.[cm]?ts$/.test(path) ? translate(path) : path;
}

/** `given` is what the user wrote, for messages: what became of it lies somewhere else. */
export async function loadMachine(prepared: string, given: string): Promise<LowLevelMachine> {
  if (prepared === bundledName) return kv;
  const module: unknown = await importModule(prepared, given);
  const machine = defaultExportOf(defaultExportOf(module)) ?? defaultExportOf(module);
  if (isMachine(machine)) return machine;
  throw usageFailure(
    `Cannot run the machine ${given}: its default export is not a machine. Write: export default define({ … }).machine({ … })`,
  );
}

async function importModule(path: string, given: string): Promise<unknown> {
  // First, so that what the module takes from the platform while it is loaded is guarded already.
  installGuard();
  try {
    return await import(pathToFileURL(path).href);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const place = placeIn(path, cause);
    throw new CommandFailure(exitCodes.usage, `Cannot load the machine ${given}: ${reason}${place}`, { cause });
  }
}

/** Where in the module it was thrown, if it was. */
function placeIn(path: string, cause: unknown): string {
  const stack = cause instanceof Error ? (cause.stack ?? "") : "";
  const frame = stack
    .split("\n")
    .find((line) => line.trim().startsWith("at ") && line.includes(pathToFileURL(path).href));
  return frame === undefined ? "" : `\n${frame}`;
}

/** The machine itself, or an older version that it follows. @throws Error if there is none of that number. */
export function machineOfVersion(machine: LowLevelMachine, version: number): LowLevelMachine {
  if (machine.version === version) return machine;
  if (machine.previous === undefined)
    throw new Error(`it is of version ${version} of ${machine.name}, which this module does not have`);
  return machineOfVersion(machine.previous, version);
}

/** CommonJS output wraps the default export once more. */
function defaultExportOf(module: unknown): unknown {
  return typeof module === "object" && module !== null && "default" in module ? module.default : undefined;
}

function isMachine(value: unknown): value is LowLevelMachine {
  if (typeof value !== "object" || value === null) return false;
  const { name, version, commandNames, queryNames, open, admit } = value as Partial<
    Record<keyof LowLevelMachine, unknown>
  >;
  const isNamed = typeof name === "string" && typeof version === "number";
  return (
    isNamed &&
    Array.isArray(commandNames) &&
    Array.isArray(queryNames) &&
    typeof open === "function" &&
    typeof admit === "function"
  );
}

/**
 * Next to the module's own package, so that its imports resolve as they would from the source: `.quorate/modules/…` is within the
 * same package scope, and git ignores it in projects that follow the guide. Each process writes aside and renames: others that start at the
 * same time read whole files.
 */
function translate(path: string): string {
  const root = packageRootOf(path);
  const outDir = join(root, ".quorate", "modules", createHash("sha256").update(path).digest("hex").slice(0, 12));
  const compiler = findCompiler(path);
  const flags = ["--ignoreConfig", "--noCheck", "--target", "es2023", "--module", "nodenext", "--skipLibCheck"];
  const aside = `${outDir}.${process.pid}`;
  const wanted = basename(path).replace(/ts$/, "js");
  try {
    const output = runCompiler(compiler, [...flags, "--rootDir", root, "--outDir", aside, "--listEmittedFiles", path]);
    const emitted = [...output.matchAll(/^TSFILE: (.*?)\s*$/gm)].map(([, file = ""]) => moved(file, aside, outDir));
    const found = emitted.find((file) => basename(file) === wanted && file.endsWith(relativeOutput(root, path)));
    if (found !== undefined) return found;
    throw usageFailure(`Cannot translate ${path}: the TypeScript compiler wrote no ${wanted}\n${output}`);
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

function moved(file: string, from: string, to: string): string {
  const target = join(to, relative(from, file));
  mkdirSync(dirname(target), { recursive: true });
  renameSync(file, target);
  return target;
}

function relativeOutput(root: string, path: string): string {
  return path.slice(root.length).replace(/ts$/, "js");
}

function runCompiler(compiler: string, flags: readonly string[]): string {
  try {
    return execFileSync(process.execPath, [compiler, ...flags], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (cause) {
    const printed =
      typeof cause === "object" && cause !== null && "stdout" in cause ? String(cause.stdout) : String(cause);
    throw new CommandFailure(exitCodes.usage, `Cannot translate the machine from TypeScript:\n${printed.trim()}`, {
      cause,
    });
  }
}

function findCompiler(path: string): string {
  for (const from of [pathToFileURL(path).href, import.meta.url]) {
    try {
      return join(dirname(createRequire(from).resolve("typescript/package.json")), "bin", "tsc");
    } catch {
      // Not installed there: the other place may have it.
    }
  }
  throw usageFailure(
    `Cannot run ${basename(path)}: it is TypeScript, and no compiler is installed. Run "npm install --save-dev typescript", or give the built ${extname(path).replace("ts", "js")} file`,
  );
}

/** The nearest folder above with a package.json: its `type` and its dependencies decide how the module's imports resolve. */
function packageRootOf(path: string): string {
  let folder = dirname(path);
  while (folder !== parse(folder).root) {
    if (existsSync(join(folder, "package.json"))) return folder;
    folder = dirname(folder);
  }
  return dirname(path);
}
