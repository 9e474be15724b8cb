/**
 * "Did you mean …?": the known name that is nearest to a mistyped one.
 *
 * Owns: the distance. Called where a configuration key, an environment variable or a command's name is refused.
 */

/** The nearest of `known`, if it is near enough to be what was meant: at most a third of its letters differ. */
function nearestOf(typed: string, known: readonly string[]): string | undefined {
  let nearest: string | undefined;
  let least = Infinity;
  for (const name of known) {
    const distance = distanceOf(typed.toLowerCase().slice(0, 64), name.toLowerCase());
    if (distance < least) [nearest, least] = [name, distance];
  }
  return nearest !== undefined && least <= Math.max(1, Math.floor(nearest.length / 3)) ? nearest : undefined;
}

export function didYouMean(typed: string, known: readonly string[]): string {
  const nearest = nearestOf(typed, known);
  return nearest === undefined ? "" : ` Did you mean ${nearest}?`;
}

/** Levenshtein's distance: insertions, deletions and replacements of one letter. */
function distanceOf(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, at) => at);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const replaced = (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[right.length] ?? 0;
}
