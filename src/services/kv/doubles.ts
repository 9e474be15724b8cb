/**
 * Scores of sorted sets: finite doubles, read and written the same way on every platform.
 *
 * Owns: their texts. Reading rounds to the nearest double, writing takes the shortest text that reads back the same; the language
 * fixes both. Infinite scores, which Redis allows, are refused: state holds finite numbers only.
 */
export function parseScore(text: string): number | undefined {
  if (text.length > 64 || !/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?$/.test(text)) return undefined;
  const value = Number(text);
  // One zero is enough: a sorted set would order the two and call them different.
  return Number.isFinite(value) ? value + 0 : undefined;
}

export function formatScore(score: number): string {
  return String(score);
}
