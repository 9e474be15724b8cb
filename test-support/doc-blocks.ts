/**
 * The code blocks of documents, and what is promised about each by the words after its three backticks.
 *
 *   ts                  compiled by itself against the built package
 *   ts file=bank.ts     the same, and other blocks of this document may import "./bank.js"
 *   ts fragment         shown, not compiled: only for what cannot stand alone
 *   sh run              run against a cluster of `quorate dev`; every line must succeed
 *   sh run=bank.ts      the same, and the cluster runs that block of this document
 *   console             `$ ` begins a command, what follows is its output, and `…` stands for anything
 *
 * The usual ports of `quorate dev` in a block that is run mean those of the test's own cluster.
 * Owns: finding and judging blocks. Called by `test/e2e/docs.test.ts`.
 */

export interface DocBlock {
  readonly path: string;
  readonly line: number;
  readonly language: string;
  readonly words: readonly string[];
  readonly text: string;
}

export function docBlocks(path: string, markdown: string): readonly DocBlock[] {
  const blocks: DocBlock[] = [];
  const lines = markdown.split("\n");
  let open: { readonly fence: string; readonly line: number; readonly words: readonly string[] } | undefined;
  let body: string[] = [];
  for (const [at, line] of lines.entries()) {
    const fence = /^\s*(`{3,})(.*)$/.exec(line);
    if (open !== undefined && fence?.[1] === open.fence && fence[2]?.trim() === "") {
      const [language = "", ...words] = open.words;
      blocks.push({ path, line: open.line, language, words, text: body.join("\n") });
      open = undefined;
    } else if (open !== undefined) {
      body.push(line);
    } else if (fence !== null) {
      open = { fence: fence[1] ?? "", line: at + 1, words: (fence[2] ?? "").trim().split(/\s+/) };
      body = [];
    }
  }
  return blocks;
}

export function isCompiled({ language, words }: DocBlock): boolean {
  return (language === "ts" || language === "typescript") && !words.includes("fragment");
}

/** Where a block is written to be compiled: its document's folder, under its own name or its line. */
export function compiledPath({ path, line, words }: DocBlock): string {
  const folder = path.replace(/\.md$/, "").replace(/[^\w-]/g, "_");
  const named = words.find((word) => word.startsWith("file="))?.slice("file=".length);
  return `${folder}/${named ?? `line-${line}.ts`}`;
}

export interface DocCommand {
  readonly line: number;
  readonly command: string;
  /** The block whose machine the cluster runs; `undefined` for the key-value service. */
  readonly machine: string | undefined;
  /** `undefined` when only success counts. */
  readonly expected: string | undefined;
}

/** The commands of a block that is run, in order; none for any other block. */
export function commandsOf(block: DocBlock): readonly DocCommand[] {
  const run = block.words.find((word) => word === "run" || word.startsWith("run="));
  const file = run?.slice("run=".length);
  const machine = file === undefined || file === "" ? undefined : compiledPath({ ...block, words: [`file=${file}`] });
  if (block.language === "sh" && run !== undefined) {
    return [{ line: block.line, command: block.text, machine, expected: undefined }];
  }
  if (block.language !== "console") return [];
  const commands: { line: number; command: string; machine: string | undefined; expected: string }[] = [];
  for (const [at, text] of block.text.split("\n").entries()) {
    const last = commands.at(-1);
    if (text.startsWith("$ "))
      commands.push({ line: block.line + at + 1, command: text.slice(2), machine, expected: "" });
    else if (last?.command.endsWith("\\") === true) last.command += `\n${text}`;
    else if (last !== undefined) last.expected += `${text}\n`;
  }
  return commands;
}

/** Whether output is what a document shows. Space at the ends of lines does not count. */
export function matchesShown(expected: string, output: string): boolean {
  const plain = (text: string): string => text.replace(/[ \t\r]+$/gm, "").trim();
  const escaped = plain(expected)
    .split("…")
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${escaped.join("[\\s\\S]*?")}$`).test(plain(output));
}

/** Puts the ports of one cluster in the place of the usual ones. Each is `[usual, actual]`. */
export function withPorts(command: string, ports: readonly (readonly [number, number])[]): string {
  const known = new Map(ports.map(([usual, actual]) => [String(usual), String(actual)]));
  return command.replace(/(?<![\w.])\d{4,5}(?![\w.])/g, (digits) => known.get(digits) ?? digits);
}
