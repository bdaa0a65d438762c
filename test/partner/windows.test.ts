import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { configSchema } from '../../src/config/schema.ts';
import { opensAt, type Windows } from '../../src/partner/windows.ts';

/** Windows as a person writes them. */
function windowsOf(windows: Record<string, unknown>): Windows {
  const [partner] = configSchema.parse({
    partners: [{ name: 'p', addresses: ['a@p.example'], windows }],
  }).partners;
  assert.ok(partner?.windows);
  return partner.windows;
}

/** The next opening as text; `open` if one is open. */
function next(windows: Windows, now: string): string {
  const at = opensAt(windows, Date.parse(now));
  if (at === Date.parse(now)) return 'open';
  return at === null ? 'never' : new Date(at).toISOString().replace(':00.000Z', 'Z');
}

const berlin = (open: Record<string, unknown>[], closed: string[] = []) =>
  windowsOf({ timeZone: 'Europe/Berlin', open, closed });

describe('service windows', () => {
  it('are open from their first minute to before their last', () => {
    const office = windowsOf({ open: [{ from: '08:00', to: '18:00' }] });
    assert.equal(next(office, '2026-12-01T07:59:59.999Z'), '2026-12-01T08:00Z');
    assert.equal(next(office, '2026-12-01T08:00:00Z'), 'open');
    assert.equal(next(office, '2026-12-01T17:59:59.999Z'), 'open');
    assert.equal(next(office, '2026-12-01T18:00:00Z'), '2026-12-02T08:00Z');
  });

  it('go by the clock of their time zone, in winter and in summer', () => {
    const office = berlin([{ from: '08:00', to: '18:00' }]);
    assert.equal(next(office, '2026-12-01T06:00:00Z'), '2026-12-01T07:00Z');
    assert.equal(next(office, '2026-07-01T05:00:00Z'), '2026-07-01T06:00Z');
  });

  it('are open all day without times, on their days of the week', () => {
    const days = windowsOf({ open: [{ days: ['sat', 'mon'] }] });
    // 1 December 2026 is a Tuesday
    assert.equal(next(days, '2026-12-01T12:00:00Z'), '2026-12-05T00:00Z');
    assert.equal(next(days, '2026-12-05T23:59:00Z'), 'open');
    assert.equal(next(days, '2026-12-06T00:00:00Z'), '2026-12-07T00:00Z');
  });

  it('pass midnight, and belong to the day on which they begin', () => {
    const night = windowsOf({ open: [{ days: ['fri'], from: '22:00', to: '02:00' }] });
    assert.equal(next(night, '2026-12-04T21:59:00Z'), '2026-12-04T22:00Z');
    assert.equal(next(night, '2026-12-05T01:59:59Z'), 'open');
    assert.equal(next(night, '2026-12-05T02:00:00Z'), '2026-12-11T22:00Z');
    // Thursday night is no Friday
    assert.equal(next(night, '2026-12-04T01:00:00Z'), '2026-12-04T22:00Z');
    // from and to alike: a whole day
    const day = windowsOf({ open: [{ days: ['fri'], from: '12:00', to: '12:00' }] });
    assert.equal(next(day, '2026-12-05T11:59:00Z'), 'open');
    assert.equal(next(day, '2026-12-05T12:00:00Z'), '2026-12-11T12:00Z');
  });

  it('open on dates, however far, and never again after the last', () => {
    const dates = windowsOf({ open: [{ dates: ['2029-02-28', '2026-12-24'], from: '23:00', to: '01:00' }] });
    assert.equal(next(dates, '2026-12-01T00:00:00Z'), '2026-12-24T23:00Z');
    assert.equal(next(dates, '2026-12-25T00:59:00Z'), 'open');
    assert.equal(next(dates, '2026-12-25T01:00:00Z'), '2029-02-28T23:00Z');
    assert.equal(next(dates, '2029-03-01T01:00:00Z'), 'never');
  });

  it('are closed on dates, from midnight to midnight, and go on behind them', () => {
    const closed = berlin([{ from: '22:00', to: '02:00' }], ['2026-12-25']);
    assert.equal(next(closed, '2026-12-24T22:30:00Z'), 'open');
    assert.equal(next(closed, '2026-12-24T23:00:00Z'), '2026-12-25T23:00Z');
    // what began on the closed day is open behind its midnight
    assert.equal(next(closed, '2026-12-25T23:30:00Z'), 'open');
  });

  describe('when the clocks go forward (29 March 2026, 02:00 to 03:00 in Berlin)', () => {
    it('one that begins in the hour that is skipped opens at its end', () => {
      const window = berlin([{ from: '02:30', to: '04:00' }]);
      assert.equal(next(window, '2026-03-29T00:00:00Z'), '2026-03-29T01:00Z');
      assert.equal(next(window, '2026-03-29T01:59:00Z'), 'open');
      assert.equal(next(window, '2026-03-29T02:00:00Z'), '2026-03-30T00:30Z');
    });

    it('one within that hour does not open on that day', () => {
      const window = berlin([{ from: '02:15', to: '02:45' }]);
      assert.equal(next(window, '2026-03-29T00:00:00Z'), '2026-03-30T00:15Z');
    });

    it('one around it is an hour shorter', () => {
      const window = berlin([{ from: '01:00', to: '04:00' }]);
      assert.equal(next(window, '2026-03-28T23:59:00Z'), '2026-03-29T00:00Z');
      assert.equal(next(window, '2026-03-29T01:59:59Z'), 'open');
      assert.equal(next(window, '2026-03-29T02:00:00Z'), '2026-03-29T23:00Z');
    });
  });

  describe('when the clocks go back (25 October 2026, 03:00 to 02:00 in Berlin)', () => {
    it('one within the hour that comes twice opens twice', () => {
      const window = berlin([{ from: '02:15', to: '02:45' }]);
      assert.equal(next(window, '2026-10-25T00:00:00Z'), '2026-10-25T00:15Z');
      assert.equal(next(window, '2026-10-25T00:44:59Z'), 'open');
      assert.equal(next(window, '2026-10-25T00:45:00Z'), '2026-10-25T01:15Z');
      assert.equal(next(window, '2026-10-25T01:45:00Z'), '2026-10-26T01:15Z');
    });

    it('one that begins before it and ends in it opens again at its second beginning', () => {
      const window = berlin([{ from: '01:00', to: '02:30' }]);
      assert.equal(next(window, '2026-10-25T00:29:00Z'), 'open');
      assert.equal(next(window, '2026-10-25T00:30:00Z'), '2026-10-25T01:00Z');
      assert.equal(next(window, '2026-10-25T01:30:00Z'), '2026-10-26T00:00Z');
    });

    it('a window over midnight is open all the night', () => {
      const window = berlin([{ from: '22:00', to: '06:00' }]);
      for (const at of ['2026-10-24T20:00:00Z', '2026-10-25T00:30:00Z', '2026-10-25T04:59:00Z'])
        assert.equal(next(window, at), 'open');
      assert.equal(next(window, '2026-10-25T05:00:00Z'), '2026-10-25T21:00Z');
    });
  });

  it('open at midnight where midnight is skipped (Beirut, 29 March 2026)', () => {
    const window = windowsOf({
      timeZone: 'Asia/Beirut',
      open: [{ days: ['sun'], from: '00:00', to: '06:00' }],
    });
    assert.equal(next(window, '2026-03-28T21:00:00Z'), '2026-03-28T22:00Z');
  });

  it('are refused with an unknown zone, date or time, and with neither days nor dates twice', () => {
    for (const windows of [
      { timeZone: 'Europe/Atlantis', open: [{}] },
      { open: [{ dates: ['2026-02-30'] }] },
      { open: [{ from: '24:00' }] },
      { open: [{ to: '24:01' }] },
      { open: [{ days: [] }] },
      { open: [] },
    ])
      assert.throws(() => windowsOf(windows), JSON.stringify(windows));
  });
});
