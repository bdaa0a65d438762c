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

/** Plain text, as opposed to what is kept as it is: tables, headings, code, and empty lines. */
const isText = (line: string) => line !== '' && !/^(\||#|```| {4})/.test(line);

/** Folds paragraphs and items of lists that have a line too long; tables, headings and code stay as they are. */
export function foldMarkdown(text: string): string {
  const folded: string[] = [];
  let block: string[] = [];
  let inCode = false;
  const end = () => {
    const [first = ''] = block;
    const isLong = block.some((line) => line.length > most);
    const joined = block.map((line, index) => (index === 0 ? line : line.trim())).join(' ');
    folded.push(...(isLong ? foldLine(joined, first.startsWith('- ') ? '  ' : '') : block));
    block = [];
  };
  for (const line of text.split('\n')) {
    if (line.startsWith('```')) inCode = !inCode;
    if (inCode || !isText(line)) {
      end();
      folded.push(line);
    } else {
      if (line.startsWith('- ')) end();
      block.push(line);
    }
  }
  end();
  return folded.join('\n');
}
