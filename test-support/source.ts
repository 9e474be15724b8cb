/**
 * Source files as data, for the structure tests.
 *
 * Owns: reading the tree, and a scanner that tells code from comments and strings. TypeScript 7 has no compiler API, so this
 * file knows just enough of the language: it never parses an expression, it only finds where comments, strings, templates and
 * regular expressions begin and end. Leaves to others: every rule (`test/tidy/`). Called by structure tests only.
 */
import { readFileSync, readdirSync, statSync } from "node:fs";
import { dirname, join, posix, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const repositoryRoot = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/** One file: its path from the root with `/`, its text, and the two blanked forms. All three have the same length and lines. */
export interface Source {
  readonly path: string;
  readonly text: string;
  /** Comments are spaces. */
  readonly code: string;
  /** Comments and the insides of strings, templates and regular expressions are spaces. */
  readonly bare: string;
}

export interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
  readonly line: number;
  /** The names taken; `*` for everything, `default` for a default import. */
  readonly names: readonly string[];
  readonly reexport: boolean;
}

export interface Export {
  readonly name: string;
  readonly type: boolean;
  readonly line: number;
}

const ignoredFolders: ReadonlySet<string> = new Set(["node_modules", "dist", ".git", ".quorate", "coverage"]);

/** Paths of the files below `folder` (from the root) for which `wanted` holds, sorted. */
export function filesBelow(folder: string, wanted: (path: string) => boolean): readonly string[] {
  const found: string[] = [];
  const walk = (directory: string): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (entry.isDirectory() && !ignoredFolders.has(entry.name)) walk(path);
      else if (entry.isFile()) found.push(relative(repositoryRoot, path).split("\\").join("/"));
    }
  };
  const start = join(repositoryRoot, folder);
  if (statSync(start, { throwIfNoEntry: false })?.isDirectory() === true) walk(start);
  return found.filter(wanted).sort();
}

export function readSource(path: string): Source {
  return sourceOf(path, readFileSync(join(repositoryRoot, path), "utf8"));
}

export function readText(path: string): string {
  return readFileSync(join(repositoryRoot, path), "utf8");
}

export function exists(path: string): boolean {
  return statSync(join(repositoryRoot, path), { throwIfNoEntry: false }) !== undefined;
}

/** TypeScript and plain modules below the folders. */
export function readSources(...folders: readonly string[]): readonly Source[] {
  const paths = folders.flatMap((folder) => filesBelow(folder, (path) => /\.(ts|mjs)$/.test(path)));
  return paths.map(readSource);
}

export function sourceOf(path: string, text: string): Source {
  const spans = scan(text);
  return {
    path,
    text,
    code: blank(text, spans, (kind) => kind === "comment"),
    bare: blank(text, spans, () => true),
  };
}

/** Lines that hold code: not blank and not comment alone. */
export function countCodeLines(source: Source): number {
  return source.code.split("\n").filter((line) => line.trim() !== "").length;
}

/** The comment that a file starts with, or "". */
export function headerOf(source: Source): string {
  return /^(?:#!.*\n)?\s*\/\*[\s\S]*?\*\//.exec(source.text)?.[0] ?? "";
}

export function lineOf(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf("\n"); at !== -1 && at < offset; at = text.indexOf("\n", at + 1)) line += 1;
  return line;
}

/** The path that a relative specifier of `from` means, as a source path: `./x.js` is `x.ts`, or `x.mjs` where that is meant. */
export function resolveImport(from: string, specifier: string): string {
  const path = posix.normalize(posix.join(posix.dirname(from), specifier));
  return path.replace(/\.js$/, ".ts");
}

/** Everything a file takes from others: static, re-exported, dynamic, and `import("x")` in types. */
export function importsOf(source: Source): readonly Import[] {
  const found: Import[] = [];
  const add = (match: RegExpMatchArray, fields: Omit<Import, "line">): void => {
    found.push({ ...fields, line: lineOf(source.code, match.index ?? 0) });
  };
  // A statement is looked up where the bare text has the keyword, so that the text of a string is never taken for an import.
  const statement = /(?<=^|[;\n}])[ \t]*(import|export)\b([^;"'`]*?)\bfrom\s*["']([^"'\n]+)["']/g;
  for (const match of source.code.matchAll(statement)) {
    const [, keyword = "", clause = "", specifier = ""] = match;
    if (!/\S/.test(source.bare.slice(match.index, (match.index ?? 0) + match[0].length))) continue;
    add(match, { specifier, reexport: keyword === "export", ...clauseOf(clause) });
  }
  for (const match of source.code.matchAll(/(?<=^|[;\n])[ \t]*import\s*["']([^"'\n]+)["']/g)) {
    add(match, { specifier: match[1] ?? "", typeOnly: false, names: [], reexport: false });
  }
  for (const match of source.code.matchAll(/\bimport\(\s*["']([^"'\n]+)["']\s*\)(\.\w+)?/g)) {
    if (source.bare.slice(match.index, (match.index ?? 0) + 6) !== "import") continue;
    add(match, { specifier: match[1] ?? "", typeOnly: false, names: ["*"], reexport: false });
  }
  return found;
}

/** The files that a file starts as a thread or a process of its own: `new URL("./x.js", import.meta.url)`. Not an import. */
export function startedBy(source: Source): readonly string[] {
  const found = source.code.matchAll(/\bnew URL\(\s*["'](\.[^"'\n]+\.(?:js|mjs))["'],\s*import\.meta\.url/g);
  return [...found].map((match) => resolveImport(source.path, match[1] ?? ""));
}

function clauseOf(clause: string): { readonly typeOnly: boolean; readonly names: readonly string[] } {
  const wholeIsType = /^\s*type\b(?!\s*(,|from\b))/.test(clause) && !/^\s*type\s*$/.test(clause);
  const body = wholeIsType ? clause.replace(/^\s*type\b/, "") : clause;
  const names: string[] = [];
  const braces = /\{([\s\S]*)\}/.exec(body);
  const members = (braces?.[1] ?? "").split(",").map((name) => name.trim());
  for (const member of members.filter((name) => name !== "")) {
    names.push(member.replace(/^type\s+/, "").replace(/\s+as\s+.*$/, ""));
  }
  const outside = body
    .replace(/\{[\s\S]*\}/, "")
    .replace(/,/g, " ")
    .trim();
  if (outside.startsWith("*")) names.push("*");
  else if (outside !== "") names.push("default");
  const listed = members.filter((name) => name !== "");
  const eachIsType = listed.length > 0 && outside === "" && listed.every((name) => /^type\s/.test(name));
  return { typeOnly: wholeIsType || eachIsType, names };
}

/** The names a file exports by itself. `export … from` is an import with `reexport`. */
export function exportsOf(source: Source): readonly Export[] {
  const found: Export[] = [];
  const declaration =
    /(?<=^|\n)export\s+(?:declare\s+)?(default\b|(?:abstract\s+)?class\s+|(?:async\s+)?function\*?\s+|const\s+|let\s+|interface\s+|type\s+(?!\{))([A-Za-z_$][\w$]*)?/g;
  for (const match of source.bare.matchAll(declaration)) {
    const keyword = (match[1] ?? "").trim();
    const name = keyword === "default" ? "default" : match[2];
    if (name === undefined) continue;
    found.push({
      name,
      type: keyword === "interface" || keyword === "type",
      line: lineOf(source.bare, match.index ?? 0),
    });
  }
  for (const match of source.bare.matchAll(/(?<=^|\n)export\s+(type\s+)?\{([^}]*)\}(?!\s*from\b)/g)) {
    for (const member of (match[2] ?? "").split(",").map((name) => name.trim())) {
      if (member === "") continue;
      const name = member.replace(/^type\s+/, "").replace(/^.*\s+as\s+/, "");
      const type = match[1] !== undefined || /^type\s/.test(member);
      found.push({ name, type, line: lineOf(source.bare, match.index ?? 0) });
    }
  }
  return found;
}

interface Span {
  readonly kind: "comment" | "text";
  readonly from: number;
  readonly to: number;
}

/** Where comments and the insides of strings are. Bounded by the text: each step moves on by at least one character. */
function scan(text: string): readonly Span[] {
  const spans: Span[] = [];
  // One number for each template that we are inside of: how many braces are open in its current `${…}`.
  const templates: number[] = [];
  let at = text.startsWith("#!") ? text.indexOf("\n") : 0;
  if (at > 0) spans.push({ kind: "comment", from: 0, to: at });
  const take = (kind: Span["kind"], from: number, to: number, next: number): void => {
    spans.push({ kind, from, to });
    at = next;
  };
  while (at >= 0 && at < text.length) {
    const two = text.slice(at, at + 2);
    const one = text[at] ?? "";
    if (two === "//") take("comment", at, endOfLine(text, at), endOfLine(text, at));
    else if (two === "/*") take("comment", at, endAfter(text, "*/", at), endAfter(text, "*/", at));
    else if (one === '"' || one === "'") take("text", at + 1, endOfString(text, at), endOfString(text, at) + 1);
    else if (one === "/" && startsRegularExpression(text, at)) {
      take("text", at + 1, endOfRegularExpression(text, at), endOfRegularExpression(text, at) + 1);
    } else if (one === "`" || (one === "}" && templates.at(-1) === 0)) {
      if (one === "}") templates.pop();
      const end = endOfTemplatePart(text, at);
      const opens = text.startsWith("${", end);
      if (opens) templates.push(0);
      take("text", at + 1, end, end + (opens ? 2 : 1));
    } else {
      if (one === "{" && templates.length > 0) templates.push((templates.pop() ?? 0) + 1);
      if (one === "}" && templates.length > 0) templates.push((templates.pop() ?? 0) - 1);
      at += 1;
    }
  }
  return spans;
}

function endOfLine(text: string, at: number): number {
  const end = text.indexOf("\n", at);
  return end === -1 ? text.length : end;
}

function endAfter(text: string, mark: string, at: number): number {
  const end = text.indexOf(mark, at + 2);
  return end === -1 ? text.length : end + mark.length;
}

function endOfString(text: string, at: number): number {
  const quote = text[at];
  let end = at + 1;
  while (end < text.length && text[end] !== quote && text[end] !== "\n") end += text[end] === "\\" ? 2 : 1;
  return Math.min(end, text.length);
}

function endOfTemplatePart(text: string, at: number): number {
  let end = at + 1;
  while (end < text.length && text[end] !== "`" && !text.startsWith("${", end)) end += text[end] === "\\" ? 2 : 1;
  return Math.min(end, text.length);
}

function endOfRegularExpression(text: string, at: number): number {
  let end = at + 1;
  let inClass = false;
  while (end < text.length && text[end] !== "\n" && (inClass || text[end] !== "/")) {
    if (text[end] === "[") inClass = true;
    if (text[end] === "]") inClass = false;
    end += text[end] === "\\" ? 2 : 1;
  }
  return Math.min(end, text.length);
}

/** A slash divides after a value and opens a regular expression after an operator, an opening bracket or a keyword. */
function startsRegularExpression(text: string, at: number): boolean {
  let before = at - 1;
  while (before >= 0 && /\s/.test(text[before] ?? "")) before -= 1;
  if (before < 0) return true;
  if (/[(,=:[!&|?{};+\-*%~^<>]/.test(text[before] ?? "")) return true;
  const word = /[A-Za-z_$][\w$]*$/.exec(text.slice(Math.max(0, before - 12), before + 1))?.[0];
  return word !== undefined && /^(return|typeof|case|in|of|do|else|void|delete|throw|new|yield|await)$/.test(word);
}

function blank(text: string, spans: readonly Span[], wanted: (kind: Span["kind"]) => boolean): string {
  const parts: string[] = [];
  let at = 0;
  for (const { kind, from, to } of spans) {
    if (!wanted(kind)) continue;
    parts.push(text.slice(at, from), text.slice(from, to).replace(/[^\n]/g, " "));
    at = to;
  }
  parts.push(text.slice(at));
  return parts.join("");
}
