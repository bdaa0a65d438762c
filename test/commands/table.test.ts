/** Tables, times and numbers for people. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fitted, tableLines, widthOf, widthsOf } from '../../src/commands/table.ts';
import { plural, relative, span, stamp } from '../../src/commands/when.ts';

const columns = [
  { title: 'ID', least: 4, bare: true },
  { title: 'WHAT', least: 6 },
  { title: 'SIZE', right: true },
];
const rows = [
  ['i23456789', 'a long subject', '12'],
  ['i98765432', 'short', '123456'],
].map((row) => row.map((text) => ({ text })));
const textOf = (room: number) =>
  tableLines(columns, rows, room).map((line) => line.map(({ text }) => text).join(''));

describe('a table', () => {
  it('has whole values where there is room, and fits where there is little', () => {
    assert.deepEqual(textOf(Number.POSITIVE_INFINITY), [
      'ID         WHAT              SIZE',
      'i23456789  a long subject      12',
      'i98765432  short           123456',
    ]);
    assert.deepEqual(textOf(33), textOf(1000), 'it fits exactly');
    assert.deepEqual(textOf(32)[1], 'i23456789  a long subje…      12', 'one place beyond');
    // the widest gives way first, then both; nothing below what is left useful
    assert.deepEqual(textOf(24)[1], 'i234567  a long…      12');
    assert.deepEqual(textOf(20), ['ID    WHAT      SIZE', 'i234  a lon…      12', 'i987  short   123456']);
    assert.deepEqual(textOf(5), textOf(20), 'and then it is too wide');
  });

  it('counts places as a terminal does', () => {
    for (const [text, places] of [
      ['abc', 3],
      ['注文書', 6],
      ['가격', 4],
      ['ü', 1],
      ['u\u0308', 1],
      ['🙂', 2],
      ['ＡＢ', 4],
    ] as const)
      assert.equal(widthOf(text), places, text);
    assert.equal(fitted('注文書', 5), '注文…');
    assert.equal(fitted('注文書', 4), '注… ', 'half a character is none');
    assert.equal(fitted('ab', 4, { right: true }), '  ab');
    for (const room of [20, 21, 25, 40]) {
      const widths = widthsOf(columns, [['i23456789', '注文書注文書注文書', '1']], room);
      assert.ok(widths.reduce((sum, width) => sum + width + 2, -2) <= room, `${widths} in ${room}`);
    }
  });

  it('shows text of others without their control characters', () => {
    const [, line] = tableLines(columns, [[{ text: 'x' }, { text: '\u001b[2J\n' }, { text: '1' }]], 100);
    assert.ok(line?.some(({ text }) => text.startsWith('\\u{1b}[2J\\u{a}')));
  });
});

describe('times and numbers', () => {
  const now = new Date(2026, 10, 30, 16, 25, 34).getTime();

  it('say how long it is, and when', () => {
    for (const [seconds, said] of [
      [0, '0 s'],
      [25, '25 s'],
      [99, '99 s'],
      [100, '2 min'],
      [3600, '60 min'],
      [6000, '1 h 40 min'],
      [7200, '2 h'],
      [100_000, '27 h 47 min'],
      [2 * 86_400, '2 days'],
    ] as const)
      assert.equal(span(seconds * 1000), said);
    assert.equal(relative(now + 25_000, now), 'in 25 s (16:25:59)');
    assert.equal(relative(now - 60_000 * 5, now), '5 min ago (16:20:34)');
    assert.equal(relative(now + 86_400_000, now), 'in 24 h (2026-12-01 16:25:34)');
    assert.equal(stamp(now), '2026-11-30 16:25:34');
  });

  it('are singular for one, and plural for none and several', () => {
    assert.deepEqual(
      [0, 1, 2].map((count) => plural(count, 'message')),
      ['0 messages', '1 message', '2 messages'],
    );
    assert.equal(plural(2, 'entry', 'entries'), '2 entries');
  });
});
