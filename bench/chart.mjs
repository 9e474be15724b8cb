/**
 * Throughput of closed loops as a picture: `chart(rows)` answers an SVG document, a group of bars for each number outstanding.
 *
 * Owns: the drawing. Called by `run.mjs` with `--chart FILE`. The axis is linear from 0, so that lengths may be compared.
 */
const colors = ["#1d6fb8", "#8a8a8a", "#d9822b", "#5a9e4b", "#9b59b6", "#c0392b", "#16a085"];
const [width, barHeight, gap, left, right] = [760, 14, 18, 110, 70];

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

/** `rows`: `{ label, target, summary: { throughput } }`, in the order in which they are drawn. */
export function chart(rows, caption) {
  const max = Math.max(...rows.map(({ summary }) => summary.throughput));
  const targets = [...new Set(rows.map(({ target }) => target))];
  const parts = [];
  let y = 40;
  let group;
  for (const { label, target, summary } of rows) {
    if (label !== group) {
      y += group === undefined ? 0 : gap;
      parts.push(`<text x="0" y="${y + barHeight - 3}" font-weight="bold">${label}</text>`);
      group = label;
    }
    const length = ((width - left - right) * summary.throughput) / max;
    const color = colors[targets.indexOf(target) % colors.length];
    parts.push(
      `<text x="${left - 6}" y="${y + barHeight - 3}" text-anchor="end">${escaped(target)}</text>`,
      `<rect x="${left}" y="${y}" width="${length.toFixed(1)}" height="${barHeight - 2}" fill="${color}"/>`,
      `<text x="${(left + length + 5).toFixed(1)}" y="${y + barHeight - 3}">${Math.round(summary.throughput).toLocaleString("en")}</text>`,
    );
    y += barHeight;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y + 10}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="white"/>
<text x="0" y="14" font-size="13" font-weight="bold">Writes a second, by writes outstanding</text>
<text x="0" y="29">${escaped(caption)}</text>
${parts.join("\n")}
</svg>
`;
}
