/**
 * What documents say about the code, as data: paths, links, names, invariant numbers, options and flags.
 *
 * Owns: finding those in Markdown. Leaves to `documents.test.ts` whether they are true.
 */
import { posix } from "node:path";

export interface Mention {
  readonly text: string;
  readonly line: number;
}

/** Without code blocks: those are compiled or run by test/e2e/docs.test.ts. Lines keep their numbers. */
export function proseOf(markdown: string): string {
  return markdown.replace(/^(`{3,})[^\n]*\n[\s\S]*?^\1\s*$/gm, (block) => block.replace(/[^\n]/g, ""));
}

export function codeSpans(markdown: string): readonly Mention[] {
  return proseOf(markdown)
    .split("\n")
    .flatMap((text, at) => [...text.matchAll(/`([^`]+)`/g)].map((match) => ({ text: match[1] ?? "", line: at + 1 })));
}

/** Code spans that look like a file or folder of this repository. */
export function mentionedPaths(markdown: string): readonly Mention[] {
  return codeSpans(markdown).filter(
    ({ text }) =>
      /^[\w.-]+(\/[\w.-]+)*\/?$/.test(text) &&
      (/^(src|test|test-support|docs|examples|bench|scripts|\.ci)\//.test(text) || /\/.*\.(ts|mjs|md)$/.test(text)),
  );
}

/** Relative links, as paths from the root, without their fragment. */
export function linkedPaths(path: string, markdown: string): readonly Mention[] {
  return proseOf(markdown)
    .split("\n")
    .flatMap((text, at) =>
      [...text.matchAll(/\]\(([^)\s]+)\)/g)]
        .map((match) => (match[1] ?? "").replace(/#.*$/, ""))
        .filter((target) => target !== "" && !/^[a-z]+:/.test(target))
        .map((target) => ({ text: posix.normalize(posix.join(posix.dirname(path), target)), line: at + 1 })),
    );
}

export interface WalkRow {
  readonly line: number;
  readonly paths: readonly string[];
  readonly names: readonly string[];
}

/** Each table row or paragraph line of the walk: the files that it names and the functions and types it says are in them. */
export function walkRows(markdown: string): readonly WalkRow[] {
  const rows = new Map<number, { paths: string[]; names: string[] }>();
  for (const { text, line } of codeSpans(markdown)) {
    const row = rows.get(line) ?? { paths: [], names: [] };
    rows.set(line, row);
    if (/^[\w.-]+(\/[\w.-]+)+\.ts$/.test(text)) row.paths.push(text);
    else if (/^#?[A-Za-z_$][\w$]*(\.#?[A-Za-z_$][\w$]*)?(\(\))?$/.test(text)) row.names.push(text.replace(/\(\)$/, ""));
  }
  return [...rows].map(([line, { paths, names }]) => ({ line, paths, names }));
}

/** The numbers that the invariants document defines: the first cell of a table row, such as `R4` or `B12`. */
export function definedInvariants(markdown: string): readonly string[] {
  return [...markdown.matchAll(/^\|\s*`?([A-Z]{1,2}\d{1,2})`?\s*\|/gm)].map((match) => match[1] ?? "");
}

/** The numbers that rules begin with in code: `invariant(…, "R4 no follower …")`, also as table keys of rules. */
export function checkedInvariants(code: string): readonly string[] {
  const found = [...code.matchAll(/["'`]([A-Z]{1,2}\d{1,2})[ :][a-z]/g)].map((match) => match[1] ?? "");
  return [...new Set(found)];
}

/** A number whose rules stand in two folders of `src` means two things: `L1: collections, storage`. */
export function sharedInvariants(
  files: readonly { readonly path: string; readonly code: string }[],
): readonly string[] {
  const homes = new Map<string, Set<string>>();
  for (const { path, code } of files) {
    const folder = path.split("/")[1] ?? "";
    for (const number of checkedInvariants(code)) homes.set(number, (homes.get(number) ?? new Set()).add(folder));
  }
  return [...homes]
    .filter(([, folders]) => folders.size > 1)
    .map(([number, folders]) => `${number}: ${[...folders].sort().join(", ")}`);
}

/**
 * The table of invariants, from the rules that code checks: one row for each number and folder, with every sentence that is
 * checked under it.
 */
export function invariantTable(files: readonly { readonly path: string; readonly code: string }[]): string {
  const rows = new Map<string, { readonly folder: string; readonly number: string; readonly rules: Set<string> }>();
  for (const { path, code } of files) {
    const folder = path.split("/").slice(1, -1).join("/");
    for (const match of code.matchAll(/(["'`])([A-Z]{1,2}\d{1,2})[ :]([a-z](?:(?!\1)[^$\n])*)/g)) {
      const [, , number = "", rule = ""] = match;
      const row = rows.get(`${folder} ${number}`) ?? { folder, number, rules: new Set() };
      rows.set(`${folder} ${number}`, row);
      row.rules.add(rule.replace(/[:\s]+$/, "").replaceAll("|", "\\|"));
    }
  }
  const ordered = [...rows.values()].sort(
    (one, other) =>
      compareText(one.folder, other.folder) ||
      compareText(one.number.replace(/\d+/, ""), other.number.replace(/\d+/, "")) ||
      Number(one.number.replace(/\D+/, "")) - Number(other.number.replace(/\D+/, "")),
  );
  const lines = ordered.map(
    ({ folder, number, rules }) => `| ${number} | \`src/${folder}/\` | ${[...rules].sort().join("; ")} |`,
  );
  return ["| number | home | rule |", "| --- | --- | --- |", ...lines].join("\n");
}

function compareText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

/** Invariant numbers spoken of anywhere in prose: "invariant R4", "invariants R1, R2 and R5". */
export function spokenInvariants(markdown: string): readonly Mention[] {
  return proseOf(markdown)
    .split("\n")
    .flatMap((text, at) =>
      [...text.matchAll(/\binvariants? ((?:[A-Z]{1,2}\d{1,2}(?:, | and | to )?)+)/g)].flatMap((match) =>
        [...(match[1] ?? "").matchAll(/[A-Z]{1,2}\d{1,2}/g)].map((number) => ({ text: number[0], line: at + 1 })),
      ),
    );
}

/** First cells of a reference table: `` | `electionTicksMin` | … ``. */
export function tabledNames(markdown: string): readonly Mention[] {
  return proseOf(markdown)
    .split("\n")
    .flatMap((text, at) => {
      const cell = /^\|\s*`([^`]+)`\s*\|/.exec(text)?.[1];
      return cell === undefined ? [] : [{ text: cell, line: at + 1 }];
    });
}

/** Flags given to our own command, in prose and in code blocks: `quorate start --listen-http x`, `npm start -- --json`. */
export function ownFlags(markdown: string): readonly Mention[] {
  return markdown.split("\n").flatMap((text, at) => {
    const command =
      /(?:^|[`$\s])((?:npx )?quorate [a-z][^`|]*|node dist\/server\/main\.js [^`|]*|npm start -- [^`|]*)/.exec(
        text,
      )?.[1];
    return [...(command ?? "").matchAll(/(?<=\s)--([a-z][a-z-]*)/g)].map((flag) => ({
      text: `--${flag[1] ?? ""}`,
      line: at + 1,
    }));
  });
}
