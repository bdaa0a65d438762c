import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PartnerNames } from '../../src/config/index.ts';
import { errorTable, SealpostError } from '../../src/errors.ts';
import { changeLevels, createLog, logSome, roomLog } from '../../src/log.ts';
import type { InboundJob, OutboundJob } from '../../src/queue/index.ts';
import { JobLog } from '../../src/queue/job-log.ts';

interface Line {
  level: number;
  msg: string;
  more?: number;
  [field: string]: unknown;
}

function heard(level: 'info' | 'warn' = 'info') {
  const lines: Line[] = [];
  const log = createLog(level, 'test', { write: (line) => void lines.push(JSON.parse(line)) });
  return { lines, log };
}

const common = {
  origin: { kind: 'smtp' as const, detail: {} },
  envelope: { from: 'a@partner.example', to: ['b@own.example'] },
  messageId: null,
  receivedAt: 0,
  octets: { kind: 'inline' as const, id: 'x', octets: 1, sha256: '' },
};
const inbound = (id: string, mailbox: string): InboundJob => ({
  ...{ ...common, id, mailbox, direction: 'inbound' },
});
const outbound = (id: string, partner: string): OutboundJob => ({
  ...{ ...common, id, partner, direction: 'outbound' },
});

describe('what the log says of jobs', () => {
  it('names the message, whose it is, the reason and what to do', () => {
    const { lines, log } = heard();
    const names = new PartnerNames([{ name: 'acme', formerNames: ['old'] }]);
    const said = new JobLog({ log, names });
    said.suspended('outbound', outbound('o1', 'old'), 'send-refused', { reply: '550 \u001b[31m no\r\nX: y' });
    said.suspended('inbound', inbound('i1', 'orders'), 'decrypt-no-key', {}, { partner: 'old' });
    said.retried('outbound', outbound('o2', 'old'), {
      ...{
        reason: 'send-failed',
        attempt: 2,
        at: 60_000,
        facts: { stage: 'login', host: 'mx', reply: 'no' },
      },
    });
    const [first, second, third, fourth] = lines;
    const { cause, remedy } = errorTable['send-refused'];
    assert.deepEqual(
      [first?.level, first?.id, first?.partner, first?.reason, first?.why, first?.hint, first?.said],
      [40, 'o1', 'acme', 'send-refused', cause, remedy, '550 [31m no X: y'],
    );
    assert.deepEqual([second?.partner, second?.mailbox], ['acme', 'orders']);
    assert.deepEqual(
      [third?.level, third?.attempt, third?.next, third?.partner],
      [30, 2, '1970-01-01T00:01:00.000Z', 'acme'],
    );
    assert.deepEqual([fourth?.level, fourth?.msg, fourth?.host], [40, 'a login at a route failed', 'mx']);
  });

  it('counts a flood of one partner, and hides nothing of another', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const { lines, log } = heard();
    const said = new JobLog({ log, names: new PartnerNames([]) });
    for (let at = 0; at < 1000; at++) said.suspended('outbound', outbound(`o${at}`, 'loud'), 'send-refused');
    said.suspended('outbound', outbound('q', 'quiet'), 'send-refused');
    said.suspended('outbound', outbound('e', 'loud'), 'expired');
    const of = (partner: string, reason: string) =>
      lines.filter((line) => line.partner === partner && line.reason === reason);
    assert.equal(of('loud', 'send-refused').length, 20);
    assert.deepEqual([of('quiet', 'send-refused').length, of('loud', 'expired').length], [1, 1]);
    t.mock.timers.tick(30_000);
    const last = of('loud', 'send-refused').at(-1);
    assert.deepEqual([last?.more, last?.id, lines.length], [980, 'o999', 23]);
    t.mock.timers.tick(60_000);
    assert.equal(lines.length, 23);
  });

  it('says once that a store is away, whatever message met it', () => {
    const { lines, log } = heard();
    const said = new JobLog({ log, names: new PartnerNames([]) });
    for (const partner of ['a', 'b', 'c']) {
      const error = new SealpostError('redis-unreachable', 'no answer');
      said.failed('outbound', outbound('o', partner), error, error.code, true);
    }
    assert.equal(lines.length, 1);
  });
});

describe('levels of rooms', () => {
  it('change by themselves, follow all others again, and reach loggers that exist already', () => {
    const { lines, log } = heard('warn');
    const smtp = roomLog(log, 'smtp');
    const imap = roomLog(smtp, 'imap');
    smtp.info('one');
    changeLevels(log, { smtp: 'debug' });
    for (const each of [log, smtp, imap]) each.debug('two');
    changeLevels(log, { all: 'info', imap: 'error' });
    for (const each of [log, smtp, imap]) each.info('three');
    changeLevels(log, {});
    for (const each of [log, smtp, imap, roomLog(log, 'queue')]) each.info('four');
    assert.deepEqual(
      lines.map(({ msg, room }) => [msg, room]),
      [
        ['two', 'smtp'],
        ['three', undefined],
        ['three', 'smtp'],
      ],
    );
    assert.equal(roomLog(log, 'smtp'), smtp);
  });

  it('may write times as ISO 8601', () => {
    const lines: Line[] = [];
    const log = createLog('info', 'test', { write: (line) => void lines.push(JSON.parse(line)) }, 'iso');
    roomLog(log, 'smtp').info('x');
    logSome(log, 'info', { key: 'k', most: 1 }, {}, 'y');
    for (const { time } of lines) assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.equal(lines.length, 2);
  });
});
