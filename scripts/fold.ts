/** Lines of generated Markdown with at most 120 characters, as far as their words allow. */

const most = 120;

/** One line in several; those after the first are indented by `indent`. Code in backticks is one word. */
function foldLine(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.match(/(?:`[^`]*`|[^\s`])+/g) ?? []) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line.trim() !== '' && longer.length > most) {
      lines.push(line);
      line = `${indent}${word}`;
    } else line = longer;
  }
  return [...lines, line];
}

/** Folds what is too long: paragraphs and items of lists; tables, headings and code stay as they are. */
export function foldMarkdown(text: string): string {
  return text
    .split('\n')
    .flatMap((line) => {
      if (line.length <= most || /^(\||#| {4})/.test(line)) return [line];
      return foldLine(line, line.startsWith('- ') ? '  ' : '');
    })
    .join('\n');
}
