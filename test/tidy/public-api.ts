/**
 * What a user can import, read from the sources behind package.json's `exports`, and what else must be reachable.
 *
 * Owns: following re-exports and imports from the entry points. Called by the tests of reachability and of public exports.
 */
import { type Source, exportsOf, importsOf, resolveImport, startedBy } from "../../test-support/source.js";

export interface Manifest {
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
  readonly bin: Readonly<Record<string, string>>;
}

export type Sources = ReadonlyMap<string, Source>;

export function byPath(sources: readonly Source[]): Sources {
  return new Map(sources.map((source) => [source.path, source]));
}

/** `quorate/client` → `src/node/create-client.ts`, for each door of the package. */
export function publicEntries(manifest: Manifest): ReadonlyMap<string, string> {
  const entries = new Map<string, string>();
  for (const [subpath, target] of Object.entries(manifest.exports)) {
    if (typeof target === "string") continue;
    entries.set(`quorate${subpath.slice(1)}`, sourceOfBuilt(target.default));
  }
  return entries;
}

export function binEntries(manifest: Manifest): readonly string[] {
  return Object.values(manifest.bin).map(sourceOfBuilt);
}

function sourceOfBuilt(path: string): string {
  return path.replace(/^(\.\/)?dist\//, "src/").replace(/\.js$/, ".ts");
}

/** Name and kind of all that a file gives away, by itself or by `export … from`. */
export function namesFrom(sources: Sources, path: string): ReadonlyMap<string, "type" | "value"> {
  const names = new Map<string, "type" | "value">();
  const source = sources.get(path);
  if (source === undefined) return names;
  for (const { name, type } of exportsOf(source)) names.set(name, type ? "type" : "value");
  for (const imported of importsOf(source).filter(({ reexport }) => reexport)) {
    const given = namesFrom(sources, resolveImport(path, imported.specifier));
    const taken = imported.names.includes("*") ? [...given.keys()] : imported.names;
    for (const name of taken) names.set(name, imported.typeOnly ? "type" : (given.get(name) ?? "value"));
  }
  return names;
}

/** One line for each public name: `quorate/client connect value`, sorted. */
export function describePublicNames(sources: Sources, manifest: Manifest): string {
  const lines: string[] = [];
  for (const [entry, path] of publicEntries(manifest)) {
    for (const [name, kind] of namesFrom(sources, path)) lines.push(`${entry} ${name} ${kind}`);
  }
  return `${lines.sort().join("\n")}\n`;
}

/** The files of the repository that a file imports. */
export function importedPaths(source: Source): readonly string[] {
  const relative = importsOf(source).filter(({ specifier }) => specifier.startsWith("."));
  return relative.map(({ specifier }) => resolveImport(source.path, specifier));
}

/** Files that no entry point leads to. */
export function deadFiles(sources: Sources, entries: readonly string[]): readonly string[] {
  const reached = new Set<string>();
  const waiting = [...entries];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const source = sources.get(path);
    if (source === undefined || reached.has(path)) continue;
    reached.add(path);
    waiting.push(...importedPaths(source), ...startedBy(source));
  }
  return [...sources.keys()].filter((path) => !reached.has(path));
}

/**
 * Exports that nobody takes: not public, not imported by any file. A type may also stay when its own file names it again,
 * since then it is part of a shape that others see.
 */
export function deadExports(sources: Sources, importers: readonly Source[], manifest: Manifest): readonly string[] {
  const taken = new Set<string>();
  const takenWhole = new Set<string>([...publicEntries(manifest).values(), ...binEntries(manifest)]);
  for (const importer of importers) {
    for (const { specifier, names } of importsOf(importer)) {
      if (!specifier.startsWith(".")) continue;
      const path = resolveImport(importer.path, specifier);
      for (const name of names) if (name !== "*") taken.add(`${path} ${name}`);
      if (names.includes("*")) takenWhole.add(path);
    }
  }
  const dead: string[] = [];
  for (const source of sources.values()) {
    if (takenWhole.has(source.path)) continue;
    for (const { name, type, line } of exportsOf(source)) {
      const named =
        source.bare.match(new RegExp(`(?<![\\w$])${name.replace(/\$/g, "\\$")}(?![\\w$])`, "g"))?.length ?? 0;
      if (!taken.has(`${source.path} ${name}`) && !(type && named > 1)) dead.push(`${source.path}:${line}: ${name}`);
    }
  }
  return dead;
}
