/**
 * The import table, as data. Its only copy is the table in docs/internals/architecture.md, so the document cannot be wrong.
 *
 * Owns: reading that table and judging one import by it. Called by `imports.test.ts`.
 */
import { type Import, type Source, importsOf, resolveImport } from "../../test-support/source.js";

export interface Allowance {
  /** A folder or file of `src` without its extension, or `node:`, or `packages`. */
  readonly target: string;
  readonly reach: "below" | "directly" | "file";
  readonly typesOnly: boolean;
}

export type ImportTable = ReadonlyMap<string, readonly Allowance[]>;

export function parseImportTable(markdown: string): ImportTable {
  const table = new Map<string, readonly Allowance[]>();
  for (const line of markdown.split("\n")) {
    const row = /^\| `([a-z/-]+)` *\| (.+?) *\|$/.exec(line);
    if (row === null) continue;
    const items = [...(row[2] ?? "").matchAll(/`([^`]+)`/g)].map((item) => item[1] ?? "");
    table.set(row[1] ?? "", items.map(allowanceOf));
  }
  return table;
}

function allowanceOf(item: string): Allowance {
  const typesOnly = item.endsWith(" (types)");
  const target = item.replace(/ \(types\)$/, "");
  if (target.endsWith("/*")) return { target: target.slice(0, -2), reach: "directly", typesOnly };
  return { target, reach: target.includes("/") ? "file" : "below", typesOnly };
}

/** The row that a source file stands in: its longest folder that has one. */
export function rowOf(table: ImportTable, path: string): string | undefined {
  const inside = path.replace(/^src\//, "").replace(/\.ts$/, "");
  const rows = [...table.keys()].filter((row) => inside === row || inside.startsWith(`${row}/`));
  return rows.sort((one, other) => other.length - one.length)[0];
}

/** One sentence for each import that the table does not allow. */
export function forbiddenImports(table: ImportTable, source: Source): readonly string[] {
  const row = rowOf(table, source.path);
  if (row === undefined) return [`${source.path}: its folder has no row in the import table`];
  const allowed = table.get(row) ?? [];
  return importsOf(source)
    .filter((imported) => !allows(table, row, allowed, { source, imported }))
    .map(
      ({ specifier, line, typeOnly }) =>
        `${source.path}:${line}: ${row} may not import ${specifier}${typeOnly ? " (type)" : ""}`,
    );
}

function allows(
  table: ImportTable,
  row: string,
  allowed: readonly Allowance[],
  { source, imported }: { readonly source: Source; readonly imported: Import },
): boolean {
  if (imported.specifier.startsWith("node:")) return allowed.some(({ target }) => target === "node:");
  if (!imported.specifier.startsWith(".")) return allowed.some(({ target }) => target === "packages");
  const path = resolveImport(source.path, imported.specifier);
  if (!path.startsWith("src/")) return false;
  if (rowOf(table, path) === row) return true;
  const inside = path.replace(/^src\//, "").replace(/\.ts$/, "");
  return allowed.some((allowance) => (imported.typeOnly || !allowance.typesOnly) && reaches(allowance, inside));
}

function reaches({ target, reach }: Allowance, inside: string): boolean {
  switch (reach) {
    case "below":
      return inside === target || inside.startsWith(`${target}/`);
    case "directly":
      return inside.startsWith(`${target}/`) && !inside.slice(target.length + 1).includes("/");
    case "file":
      return inside === target;
  }
}

/** A cycle of files, as a path that ends where it began, or undefined. Type-only imports count. */
export function findImportCycle(sources: readonly Source[]): readonly string[] | undefined {
  const known = new Map(sources.map((source) => [source.path, source]));
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): readonly string[] | undefined => {
    const source = known.get(path);
    if (source === undefined || done.has(path)) return undefined;
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    for (const { specifier } of importsOf(source)) {
      if (!specifier.startsWith(".")) continue;
      const cycle = visit(resolveImport(path, specifier), [...trail, path]);
      if (cycle !== undefined) return cycle;
    }
    done.add(path);
    return undefined;
  };
  for (const { path } of sources) {
    const cycle = visit(path, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}
