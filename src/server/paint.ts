/**
 * Colours and columns for people at a terminal.
 *
 * Owns: whether colours are wanted (NO_COLOR, FORCE_COLOR, a terminal), padding. Leaves to others: what is said.
 */
import { styleText } from "node:util";

export type Style = "bold" | "dim" | "green" | "yellow" | "red" | "cyan";

export type Paint = (style: Style, text: string) => string;

export function paintFor(isTerminal: boolean, environment: Readonly<Record<string, string | undefined>>): Paint {
  const forced = environment["FORCE_COLOR"];
  const refused = environment["NO_COLOR"];
  const isForced = forced !== undefined && forced !== "" && forced !== "0";
  const isRefused = (refused !== undefined && refused !== "") || environment["TERM"] === "dumb" || forced === "0";
  return isForced || (isTerminal && !isRefused)
    ? (style, text) => styleText(style, text, { validateStream: false })
    : (_style, text) => text;
}

export interface Cell {
  readonly text: string;
  readonly style?: Style;
}

/** Columns two spaces apart, each as wide as its widest cell; styles do not count as width. */
export function renderTable(header: readonly string[], rows: readonly (readonly Cell[])[], paint: Paint): string {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.text.length ?? 0)),
  );
  const line = (cells: readonly Cell[]): string =>
    cells
      .map(({ text, style }, column) => {
        const isLast = column === cells.length - 1;
        const padded = isLast ? text : text.padEnd(widths[column] ?? 0);
        return style === undefined ? padded : paint(style, padded);
      })
      .join("  ")
      .trimEnd();
  return [line(header.map((text) => ({ text, style: "dim" }))), ...rows.map(line)].join("\n");
}
