/** The outcome of the matrix as Markdown: one row for each case, two columns for each peer, and who said no to what. */
import { foldMarkdown } from '../../scripts/fold.ts';
import type { InteropCase } from '../support/peers/types.ts';
import type { Outcome, Result, Status } from './matrix.ts';

const marks: Record<Status, string> = {
  pass: '✓',
  fail: '**✗**',
  'not-yet': '○',
  'not-offered': '',
  'peer-cannot': '–',
};

export const legend =
  '✓ read, the octets are the same · **✗** a bug of ours · ○ our codec refuses it by name, not yet done · ' +
  '– the peer does not support it or refuses · empty: we do not offer to write it';

const headings: Record<InteropCase['type'], string> = {
  encryption: 'Encryption',
  signature: 'Signatures',
  compression: 'Compression',
};

/** How many results have each status, for one peer and direction. */
export function count(
  results: readonly Result[],
  peer: string,
  direction: Result['direction'],
): Record<Status, number> {
  const counts: Record<Status, number> = {
    pass: 0,
    fail: 0,
    'not-yet': 0,
    'not-offered': 0,
    'peer-cannot': 0,
  };
  for (const each of results) if (each.peer === peer && each.direction === direction) counts[each.status]++;
  return counts;
}

function row(cells: string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function summary(outcome: Outcome): string[] {
  const lines = [
    row(['peer', 'direction', 'read ✓', 'defects ✗', 'not yet ○', 'not offered', 'peer cannot –']),
    row(Array.from({ length: 7 }, (_, index) => (index < 2 ? '---' : '--:'))),
  ];
  for (const { name, version } of outcome.peers)
    for (const direction of ['from', 'to'] as const) {
      const counts = count(outcome.results, name, direction);
      const numbers = [
        counts.pass,
        counts.fail,
        counts['not-yet'],
        counts['not-offered'],
        counts['peer-cannot'],
      ];
      const arrow = direction === 'from' ? 'it writes, we read' : 'we write, it reads';
      lines.push(row([`${name} ${version}`, arrow, ...numbers.map(String)]));
    }
  return lines;
}

function section(outcome: Outcome, type: InteropCase['type']): string[] {
  const results = outcome.results.filter(({ each }) => each.type === type);
  const ids = [...new Set(results.map(({ each }) => each.id))];
  if (ids.length === 0) return [];
  const columns = outcome.peers.flatMap(({ name }) => [`${name} →`, `→ ${name}`]);
  const byKey = new Map(results.map((each) => [`${each.each.id} ${each.peer} ${each.direction}`, each]));
  const lines = ['', `### ${headings[type]}`, '', row(['case', ...columns])];
  lines.push(row(['---', ...columns.map(() => ':-:')]));
  for (const id of ids) {
    const cells = outcome.peers.flatMap(({ name }) =>
      (['from', 'to'] as const).map((direction) => {
        const found = byKey.get(`${id} ${name} ${direction}`);
        return found === undefined ? '' : marks[found.status];
      }),
    );
    lines.push(row([id, ...cells]));
  }
  return lines;
}

/** The first cases; the table has the others. */
function namesOf(ids: string[]): string {
  const shown = ids.slice(0, 3).map((id) => `\`${id}\``);
  return [...shown, ...(ids.length > 3 ? [`${ids.length - 3} more`] : [])].join(', ');
}

/** The reasons for all that did not pass, each with its cases. */
function reasons(outcome: Outcome): string[] {
  const kinds: [Status, string, (each: Result) => string][] = [
    ['fail', 'Bugs of ours', ({ peer, direction }) => (direction === 'from' ? `${peer} →` : `→ ${peer}`)],
    ['not-yet', 'Not yet', ({ direction }) => (direction === 'from' ? 'reading' : 'writing')],
    ['not-offered', 'Not offered for writing', () => ''],
    [
      'peer-cannot',
      'What the peers cannot do',
      ({ peer, direction }) => `${peer} ${direction === 'from' ? 'writing' : 'reading'}`,
    ],
  ];
  return kinds.flatMap(([status, heading, prefix]) => {
    const groups = new Map<string, Set<string>>();
    for (const each of outcome.results) {
      if (each.status !== status) continue;
      // names of keys differ from case to case, the reason does not
      const reason = each.reason.replace(/ CN=\S+ Test/g, '').replace(/'[0-9A-F]{40}'/g, '');
      const key = [prefix(each), reason].filter((part) => part !== '').join(': ');
      const cases = groups.get(key) ?? new Set();
      groups.set(key, cases.add(each.each.id));
    }
    if (groups.size === 0) return [];
    const items = [...groups].map(([key, cases]) => `- ${key}: ${namesOf([...cases])}`);
    return ['', `### ${heading}`, '', ...items];
  });
}

/** The whole report. */
export function toMarkdown(outcome: Outcome): string {
  const peers = outcome.peers.map(({ name, version }) => `${name} ${version}`).join(', ');
  const absent = outcome.absent.map(({ name, missing }) => `${name}: ${missing}`);
  return foldMarkdown(
    [
      `${outcome.us.name} ${outcome.us.version} against ${peers}.`,
      ...(absent.length === 0 ? [] : ['', `Not run: ${absent.join('; ')}.`]),
      '',
      ...summary(outcome),
      '',
      legend,
      ...section(outcome, 'encryption'),
      ...section(outcome, 'signature'),
      ...section(outcome, 'compression'),
      ...reasons(outcome),
      '',
    ].join('\n'),
  );
}
