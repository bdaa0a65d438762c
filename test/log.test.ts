import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLog, logRarely } from '../src/log.ts';

describe('what happens with every message', () => {
  it('is said once, then each 30 seconds how often, until it stops; then once again', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const lines: { msg: string; more?: number; octets: number }[] = [];
    const log = createLog('info', 'test', { write: (line) => void lines.push(JSON.parse(line)) });
    const other: unknown[] = [];
    const otherLog = createLog('info', 'other', { write: (line) => void other.push(line) });
    const say = (octets: number) => logRarely(log, 'warn', 'store away', { octets }, 'not stored');
    for (let octets = 0; octets < 100; octets++) say(octets);
    logRarely(log, 'warn', 'store full', { octets: 1 }, 'not stored, full');
    logRarely(otherLog, 'warn', 'store away', { octets: 1 }, 'not stored');
    assert.deepEqual(
      lines.map(({ msg, more, octets }) => [msg, more, octets]),
      [
        ['not stored', undefined, 0],
        ['not stored, full', undefined, 1],
      ],
    );
    assert.equal(other.length, 1);
    t.mock.timers.tick(30_000);
    assert.deepEqual([lines[2]?.more, lines[2]?.octets, lines.length], [99, 99, 3]);
    t.mock.timers.tick(60_000);
    assert.equal(lines.length, 3);
    say(7);
    assert.deepEqual([lines[3]?.more, lines[3]?.octets, lines.length], [undefined, 7, 4]);
  });
});
