/**
 * Splitting an inline command into its arguments, with the quoting of redis-cli.
 *
 * Owns: blanks, 'single' and "double" quotes, and the escapes \xHH \n \r \t \b \a inside double ones. Called by `parser.ts`.
 */

interface Cursor {
  readonly line: string;
  at: number;
}

const escapes: ReadonlyMap<string, string> = new Map([
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  ["b", "\b"],
  ["a", "\x07"],
]);

/** The arguments, none for a blank line; `undefined` if a quote is not closed, or is followed by anything but a blank. */
export function splitInline(line: string): readonly string[] | undefined {
  const cursor: Cursor = { line, at: 0 };
  const argv: string[] = [];
  while (skipBlanks(cursor)) {
    const argument = readArgument(cursor);
    if (argument === undefined) return undefined;
    argv.push(argument);
  }
  return argv;
}

function skipBlanks(cursor: Cursor): boolean {
  while (cursor.at < cursor.line.length && isBlank(cursor.line.charAt(cursor.at))) cursor.at += 1;
  return cursor.at < cursor.line.length;
}

function readArgument(cursor: Cursor): string | undefined {
  let argument = "";
  while (cursor.at < cursor.line.length) {
    const letter = cursor.line.charAt(cursor.at);
    if (isBlank(letter)) return argument;
    if (letter === '"' || letter === "'") {
      const quoted = readQuoted(cursor, letter);
      return quoted === undefined ? undefined : argument + quoted;
    }
    argument += letter;
    cursor.at += 1;
  }
  return argument;
}

/** A closing quote ends the argument: a blank or the end of the line must follow. */
function readQuoted(cursor: Cursor, quote: string): string | undefined {
  const { line } = cursor;
  let text = "";
  cursor.at += 1;
  while (cursor.at < line.length) {
    const letter = line.charAt(cursor.at);
    if (letter === quote) {
      cursor.at += 1;
      return cursor.at >= line.length || isBlank(line.charAt(cursor.at)) ? text : undefined;
    }
    text += letter === "\\" ? readEscape(cursor, quote) : letter;
    cursor.at += 1;
  }
  return undefined;
}

/** Leaves the cursor on the last character of the escape. */
function readEscape(cursor: Cursor, quote: string): string {
  const { line, at } = cursor;
  const next = line.charAt(at + 1);
  if (quote === "'") {
    if (next !== "'") return "\\";
    cursor.at += 1;
    return "'";
  }
  const hex = next === "x" ? /^[0-9a-fA-F]{2}/.exec(line.slice(at + 2, at + 4)) : null;
  if (hex !== null) {
    cursor.at += 3;
    return String.fromCharCode(parseInt(hex[0], 16));
  }
  if (at + 1 < line.length) cursor.at += 1;
  return escapes.get(next) ?? next;
}

function isBlank(letter: string): boolean {
  return letter === " " || letter === "\t" || letter === "\r" || letter === "\n" || letter === "\0" || letter === "\v";
}
