import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PartnerConfig } from '../../src/config/index.ts';
import { readConfig } from '../../src/config/load.ts';
import { SealpostError } from '../../src/errors.ts';
import { createLog } from '../../src/log.ts';
import { type Asked, LookupRound } from '../../src/lookup/index.ts';
import { createTestCa } from '../support/ca.ts';

const { certificate } = createTestCa().issue({ email: 'a@acme.test' });
const day = 86_400_000;

function partnersOf(...lines: string[]): PartnerConfig[] {
  const text = [
    'lookup:',
    '  directories:',
    '    - { name: files, kind: folder, path: /nowhere }',
    'partners:',
  ];
  const { config, problems } = readConfig([...text, ...lines].join('\n'), 'sealpost.yaml');
  assert.ok(config, JSON.stringify(problems));
  return config.partners;
}

const partner = (name: string, more = 'lookup: [files]') =>
  `  - { name: ${name}, addresses: [a@${name}.test, "@${name}.test"], sign: none, encrypt: false, route: { host: x.test }, ${more} }`;

/** A round over partners; what was asked and offered is counted. */
function startRound(
  partners: PartnerConfig[],
  answer: (address: string) => Partial<Asked>,
  has: string[] = [],
) {
  const asked: string[] = [];
  const offered: string[] = [];
  const times: number[] = [];
  const round = new LookupRound({
    lookups: {
      async ask(address) {
        asked.push(address);
        return { found: [], refused: [], failed: [], at: undefined, ...answer(address) };
      },
    },
    partners,
    provided(each, at) {
      times.push(at.getTime());
      return has.includes(each.name);
    },
    async offer(each, found) {
      offered.push(`${each.name} ${found.certificate.thumbprint}`);
      return 'waiting';
    },
    log: createLog('silent', 'test'),
    now: () => 1000 * day,
  });
  return { round, asked, offered, times };
}

describe('a round of look-ups', () => {
  const found = [{ directory: 'files', source: 'folder' as const, certificate }];

  it('is for partners that name a directory and lack a certificate in 30 days', async () => {
    const partners = partnersOf(partner('acme'), partner('globex'), partner('initech', 'lookup: []'));
    const { round, asked, offered, times } = startRound(partners, () => ({ found }), ['globex']);
    await round.run();
    assert.deepEqual(asked, ['a@acme.test']);
    assert.deepEqual(offered, [`acme ${certificate.thumbprint}`]);
    assert.deepEqual([...new Set(times)], [1030 * day]);
  });

  it('a directory that fails is a trouble until it answers, and the other partners are looked up', async () => {
    let down = true;
    const error = new SealpostError('lookup-failed', 'it is down');
    const partners = partnersOf(partner('acme'), partner('globex'));
    const { round, asked } = startRound(partners, (address) =>
      down && address === 'a@acme.test' ? { failed: [{ directory: 'files', error }] } : {},
    );
    await round.run();
    assert.deepEqual(asked, ['a@acme.test', 'a@globex.test']);
    assert.deepEqual(round.troubles(), []);
    const alone = startRound(partnersOf(partner('acme')), () =>
      down ? { failed: [{ directory: 'files', error }] } : {},
    );
    await alone.round.run();
    const trouble = { what: 'directory files', since: 1000 * day, why: 'it is down' };
    assert.deepEqual(alone.round.troubles(), [trouble]);
    down = false;
    await alone.round.run();
    assert.deepEqual(alone.round.troubles(), []);
  });

  it('there is one round at a time, and none after stop', async () => {
    const { round, asked } = startRound(partnersOf(partner('acme')), () => ({}));
    await Promise.all([round.run(), round.run()]);
    assert.equal(asked.length, 1);
    await round.stop();
    await round.run();
    assert.equal(asked.length, 1);
  });

  it('without a partner that names a directory, it asks nobody', async () => {
    const { round, asked, times } = startRound(partnersOf(partner('acme', 'lookup: []')), () => ({}));
    round.start();
    await round.stop();
    assert.deepEqual([asked, times], [[], []]);
  });
});
