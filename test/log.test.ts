import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { changeLevels, createLog, logRarely, roomLog } from '../src/log.ts';

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

describe('a log that writes its first line late', () => {
  it('writes what its level allows, also after the level was changed, and in its rooms and children', () => {
    const lines: Record<string, unknown>[] = [];
    const log = createLog('warn', 'test', { write: (line) => void lines.push(JSON.parse(line)) });
    const room = roomLog(log, 'queue');
    const silent = log.child({ of: 'a child' }, { level: 'silent' });
    const say = () => {
      for (const each of [log, room, silent]) {
        each.debug({ a: 1 }, 'details');
        each.warn('away');
        each.fatal({ err: new Error('with a secret') }, 'ended');
      }
      return lines.splice(0).map(({ level, role, room, msg }) => [level, role, room, msg]);
    };
    const written = [
      [40, 'test', undefined, 'away'],
      [60, 'test', undefined, 'ended'],
      [40, 'test', 'queue', 'away'],
      [60, 'test', 'queue', 'ended'],
    ];
    assert.deepEqual(say(), written);
    changeLevels(log, { queue: 'debug', all: 'fatal' });
    assert.deepEqual(say(), [written[1], [20, 'test', 'queue', 'details'], ...written.slice(2)]);
    silent.level = 'error';
    silent.error({ err: new Error('with a secret') }, 'again');
    const [last] = lines;
    assert.deepEqual([last?.level, last?.of, last?.msg], [50, 'a child', 'again']);
    assert.equal(JSON.stringify(lines).includes('secret'), false);
  });
});
