/**
 * Whether a name matches a pattern: `*` is any characters, `?` one, `#` a digit. The partner chose the name: the time
 * is bounded by the product of both lengths, whatever the pattern is.
 */
export function matchesPattern(name: string, pattern: string): boolean {
  const text = [...name];
  const wanted = [...pattern];
  let at = 0;
  let next = 0;
  let star = -1;
  let mark = 0;
  while (at < text.length) {
    const each = wanted[next];
    const char = text[at];
    if (each === '*') {
      star = next++;
      mark = at;
    } else if (each !== undefined && char !== undefined && fits(char, each)) {
      at++;
      next++;
    } else if (star >= 0) {
      next = star + 1;
      at = ++mark;
    } else return false;
  }
  while (wanted[next] === '*') next++;
  return next === wanted.length;
}

function fits(char: string, each: string): boolean {
  if (each === '?') return true;
  if (each === '#') return char >= '0' && char <= '9';
  return char === each;
}
