/**
 * The patterns of KEYS and SCAN: `*`, `?`, `[abc]`, `[^a-z]`, `\x`.
 *
 * Owns: matching. It goes back to the last star only, so the time is bounded by length of pattern times length of text, whatever
 * the number of stars; the well-known recursive form takes exponential time for hostile patterns.
 */

export function matchesGlob(pattern: string, text: string): boolean {
  let patternAt = 0;
  let textAt = 0;
  let starAt = -1;
  let retryAt = 0;
  while (textAt < text.length) {
    if (pattern[patternAt] === "*") {
      starAt = patternAt;
      retryAt = textAt;
      patternAt += 1;
      continue;
    }
    const next = matchOne(pattern, patternAt, text.charCodeAt(textAt));
    if (next !== undefined) {
      patternAt = next;
      textAt += 1;
    } else if (starAt >= 0) {
      retryAt += 1;
      textAt = retryAt;
      patternAt = starAt + 1;
    } else return false;
  }
  while (pattern[patternAt] === "*") patternAt += 1;
  return patternAt === pattern.length;
}

/** Where the pattern goes on if its element at `at` matches the character. */
function matchOne(pattern: string, at: number, code: number): number | undefined {
  switch (pattern[at]) {
    case undefined:
      return undefined;
    case "?":
      return at + 1;
    case "[":
      return matchClass(pattern, at + 1, code);
    case "\\": {
      const literalAt = at + 1 < pattern.length ? at + 1 : at;
      return pattern.charCodeAt(literalAt) === code ? literalAt + 1 : undefined;
    }
    default:
      return pattern.charCodeAt(at) === code ? at + 1 : undefined;
  }
}

/** As in Redis a class that is never closed ends with the pattern, and a range may be written from high to low. */
function matchClass(pattern: string, start: number, code: number): number | undefined {
  const negated = pattern[start] === "^";
  let at = negated ? start + 1 : start;
  let found = false;
  while (at < pattern.length && pattern[at] !== "]") {
    if (pattern[at] === "\\" && at + 1 < pattern.length) {
      found ||= pattern.charCodeAt(at + 1) === code;
      at += 2;
    } else if (pattern[at + 1] === "-" && at + 2 < pattern.length) {
      const low = Math.min(pattern.charCodeAt(at), pattern.charCodeAt(at + 2));
      const high = Math.max(pattern.charCodeAt(at), pattern.charCodeAt(at + 2));
      found ||= code >= low && code <= high;
      at += 3;
    } else {
      found ||= pattern.charCodeAt(at) === code;
      at += 1;
    }
  }
  return found === negated ? undefined : Math.min(at + 1, pattern.length);
}
