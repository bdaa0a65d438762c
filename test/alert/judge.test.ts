/** When an alert begins, becomes worse, is told again and ends; with the clock given. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Round } from '../../src/alert/evaluator.ts';
import { alertId, judge } from '../../src/alert/judge.ts';
import { isSilenced } from '../../src/alert/silences.ts';
import { mailText } from '../../src/alert/text.ts';
import type { AlertState, Sample, Silence } from '../../src/alert/types.ts';
import { type AlertRule, alertRulesOf } from '../../src/config/alert-rules.ts';
import { configSchema } from '../../src/config/schema.ts';

const minute = 60_000;

function rulesOf(rules: object[] = [], more: object = {}): AlertRule[] {
  return alertRulesOf(configSchema.parse({ alerts: { rules }, ...more }));
}

function rule(settings: object): AlertRule {
  const found = rulesOf([{ name: 'mine', ...settings }]).find(({ name }) => name === 'mine');
  assert.ok(found);
  return found;
}

interface FollowOptions {
  step?: number;
  repeat?: number;
  silenced?: (at: number) => boolean;
  steps?: number[];
}

const never = () => false;

/** Looks at values one after the other, `step` milliseconds apart; undefined: there is nothing. */
function follow(
  of: AlertRule,
  values: (number | undefined)[],
  { step = minute, repeat = 0, silenced = never, steps }: FollowOptions = {},
) {
  let state: AlertState | undefined;
  const told: string[] = [];
  values.forEach((value, at) => {
    const sample: Sample | undefined =
      value === undefined ? undefined : { labels: {}, value, text: `is ${value}`, steps };
    const judged = judge(of, state, sample, { now: at * step, silenced: silenced(at), repeat });
    state = judged.state;
    if (judged.change) told.push(`${at} ${judged.change}`);
  });
  return { told, state };
}

describe('an alert', () => {
  it('begins above the threshold and not at it, and ends at what is good again and not between', () => {
    const memory = rule({ condition: 'memory', above: 90, clear: 80 });
    assert.deepEqual(follow(memory, [90, 91, 85, 91, 81, 80]).told, ['1 fired', '5 cleared']);
    const disk = rule({ condition: 'disk', below: 2, clear: 3 });
    assert.deepEqual(follow(disk, [2, 1.9, 2.9, 3]).told, ['1 fired', '3 cleared']);
  });

  it('waits until it has been bad, and good again, for long enough', () => {
    const slow = rule({ condition: 'refusing', above: 0, for: '2m', clearFor: '3m' });
    assert.deepEqual(follow(slow, [1, 1, 0, 1, 1, 1]).told, ['5 fired']);
    assert.deepEqual(follow(slow, [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]).told, ['2 fired', '9 cleared']);
    assert.equal(follow(slow, [1, 0]).state, undefined);
  });

  it('ends when there is nothing of the kind any more', () => {
    assert.deepEqual(follow(rule({ condition: 'suspended', above: 3 }), [4, undefined]).told, [
      '0 fired',
      '1 cleared',
    ]);
  });

  it('is told again while it lasts, and again at each further threshold', () => {
    const lasts = rule({ condition: 'suspended', above: 0 });
    assert.deepEqual(follow(lasts, [1, 1, 1, 1, 1, 1], { repeat: 2 * minute }).told, [
      '0 fired',
      '2 reminder',
      '4 reminder',
    ]);
    const ends = rule({ condition: 'certificate', below: 60 });
    const steps = [60, 30, 14, 7, 1, 0];
    const { told } = follow(ends, [60, 59, 31, 30, 10, 3, 0.5, -1], { steps });
    assert.deepEqual(told, ['1 fired', '3 worse', '4 worse', '5 worse', '6 worse', '7 worse']);
  });

  it('is not told while it is silenced, and told after that if it lasts', () => {
    const lasts = rule({ condition: 'suspended', above: 0 });
    const silenced = (at: number) => at < 3;
    assert.deepEqual(follow(lasts, [1, 1, 1, 1, 0], { silenced }).told, ['3 fired', '4 cleared']);
    assert.deepEqual(follow(lasts, [1, 1, 0, 0], { silenced }).told, []);
    // who was told that it began is told that it ended
    assert.deepEqual(follow(lasts, [1, 0], { silenced: (at) => at > 0 }).told, ['0 fired', '1 cleared']);
  });

  it('does not wait longer because a clock was set back', () => {
    const slow = rule({ condition: 'refusing', above: 0, for: '2m' });
    const first = judge(
      slow,
      undefined,
      { labels: {}, value: 1, text: '' },
      { now: 100 * minute, silenced: false, repeat: 0 },
    );
    const back = judge(
      slow,
      first.state,
      { labels: {}, value: 1, text: '' },
      { now: 0, silenced: false, repeat: 0 },
    );
    const later = judge(
      slow,
      back.state,
      { labels: {}, value: 1, text: '' },
      { now: 2 * minute, silenced: false, repeat: 0 },
    );
    assert.deepEqual([back.change, later.change], [undefined, 'fired']);
  });

  it('has an id of its rule and labels, in any order', () => {
    assert.equal(alertId('a', { x: '1', y: '2' }), alertId('A', { y: '2', x: '1' }));
    assert.notEqual(alertId('a', { x: '1' }), alertId('a', { y: '1' }));
    assert.notEqual(alertId('a', { x: '1' }), alertId('b', { x: '1' }));
  });
});

describe('a round', () => {
  const suspended = rule({ condition: 'suspended', above: 0, by: ['partner'] });
  const sample = (partner: string, value = 1): Sample => ({ labels: { partner }, value, text: partner });
  const look = (before: Map<string, AlertState>, samples: Sample[], silences: Silence[] = []) => {
    const round = new Round(before, silences, { now: 0, repeat: 0 });
    round.judge(suspended, samples);
    round.dropOthers([suspended]);
    return round;
  };

  it('has an alert for each labels, and says what ended', () => {
    const first = look(new Map(), [sample('a'), sample('b')]);
    assert.deepEqual(first.changes.map(({ kind, alert }) => `${kind} ${alert.text}`).sort(), [
      'fired a',
      'fired b',
    ]);
    const second = look(first.after, [sample('b')]);
    assert.deepEqual(
      second.changes.map(({ kind, alert }) => `${kind} ${alert.text}`),
      ['cleared a'],
    );
    assert.equal(second.states.get(alertId('mine', { partner: 'a' })), null);
  });

  it('has at most a hundred of a rule, the worst, and lets none that is there be pushed out', () => {
    const known = look(new Map(), [sample('old')]);
    const many = Array.from({ length: 150 }, (_, at) => sample(`p${at}`, 10 + at));
    const { after, changes } = look(known.after, [...many, sample('old')]);
    assert.deepEqual([after.size, changes.length], [101, 100]);
    assert.ok(after.has(alertId('mine', { partner: 'old' })));
    assert.ok(
      after.has(alertId('mine', { partner: 'p149' })) && !after.has(alertId('mine', { partner: 'p0' })),
    );
  });

  it('silences what a silence names, and nothing else', () => {
    const silence = { id: 's', from: 0, until: 1, by: 'me', why: '' };
    const { changes } = look(
      new Map(),
      [sample('a'), sample('b')],
      [{ ...silence, match: { partner: 'A' } }],
    );
    assert.deepEqual(
      changes.map(({ alert }) => alert.text),
      ['b'],
    );
    const alert = { id: 'x', rule: 'mine', labels: { partner: 'a', reason: 'expired' } };
    assert.ok(isSilenced(alert, { match: { rule: 'mine', reason: 'expired' } }));
    assert.ok(!isSilenced(alert, { match: { rule: 'mine', reason: 'other' } }));
    assert.ok(!isSilenced(alert, { match: { mailbox: 'orders' } }));
  });

  it('ends the alerts of a rule that does not hold any more', () => {
    const { after } = look(new Map(), [sample('a')]);
    const round = new Round(after, [], { now: 0, repeat: 0 });
    round.dropOthers([]);
    assert.deepEqual(
      round.changes.map(({ kind }) => kind),
      ['cleared'],
    );
    assert.equal(round.after.size, 0);
  });
});

describe('rules', () => {
  it('hold without any being written, can be changed and turned off, and stand beside own ones', () => {
    const plain = rulesOf();
    assert.ok(plain.length >= 13);
    assert.ok(plain.every(({ origin }) => origin === 'default'));
    const changed = rulesOf([
      { name: 'Suspended', above: 5 },
      { name: 'silent', off: true },
      {
        name: 'hot',
        condition: 'suspended',
        above: 0,
        by: [],
        only: { partners: ['acme'] },
        severity: 'critical',
      },
    ]);
    const of = (name: string) => changed.find((each) => each.name === name);
    assert.deepEqual(
      [of('suspended')?.threshold, of('suspended')?.clear, of('suspended')?.origin],
      [5, 5, 'changed'],
    );
    assert.equal(of('silent'), undefined);
    assert.deepEqual([of('hot')?.origin, of('hot')?.only.partners, of('hot')?.by], ['own', ['acme'], []]);
    const days = rulesOf([], { expiry: { days: [90, 10] } }).find(({ name }) => name === 'certificate');
    assert.equal(days?.threshold, 90);
  });
});

describe('a mail', () => {
  it('has each alert once, the most serious first, with what to do', () => {
    const alert = (id: string, more: Partial<AlertState> = {}) => ({
      ...{ id, rule: 'suspended', condition: 'suspended' as const, severity: 'warning' as const, labels: {} },
      ...{
        value: 1,
        text: `text of ${id}`,
        hint: 'Do this.',
        state: 'firing' as const,
        since: 0,
        firedAt: 0,
      },
      ...more,
    });
    const { subject, body } = mailText(
      [
        { id: '1-0', kind: 'fired', at: 0, alert: alert('a') },
        { id: '2-0', kind: 'fired', at: 1, alert: alert('b') },
        { id: '3-0', kind: 'cleared', at: 2, alert: alert('a') },
        { id: '4-0', kind: 'fired', at: 3, alert: alert('c', { severity: 'critical', rule: 'disk' }) },
      ],
      'host',
    );
    assert.equal(subject, 'Sealpost on host: CRITICAL: 2 alerts, 1 back to normal (disk, suspended)');
    const order = ['NEW: text of c', 'NEW: text of b', 'BACK TO NORMAL: text of a'].map((line) =>
      body.indexOf(line),
    );
    assert.ok(
      order.every((at, index) => at >= 0 && at > (order[index - 1] ?? -1)),
      body,
    );
    assert.equal(body.split('text of a').length, 2);
  });
});
