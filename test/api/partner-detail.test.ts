/** One partner over the API: what its file says, what its profiles demand, what failed last, and for whom. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { partnerDetail, partnerDetailRoutes } from '../../src/api/partner-detail.ts';
import { allGranted, Client, type Grants } from '../../src/client/index.ts';
import { type Config, loadConfig } from '../../src/config/index.ts';
import type { QueueRoom } from '../../src/queue/index.ts';
import { useTestQueue } from '../support/queue.ts';

const partner = (name: string, more: string) => `name: ${name}
addresses: [edi@${name}.example]
encrypt: false
sign: none
from: orders@own.example
route: { host: mail.${name}.example, user: secret-user, password: { env: PASSWORD } }
${more}`;

describe('a partner over the API', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-partner-'));
  let config: Config;
  let queue: QueueRoom;
  useTestQueue((opened) => {
    queue = opened.queue;
  });
  before(async () => {
    await mkdir(join(folder, 'partners'));
    const acme = partner(
      'acme',
      'minimumProfile: edi-energy\nrequire: [signed]\npolicy:\n  shortfall: refuse',
    );
    writeFileSync(join(folder, 'partners', 'acme.yaml'), acme);
    const other = partner('other', 'keepSubjects: true').replaceAll('\n', '\n    ');
    const file = join(folder, 'sealpost.yaml');
    writeFileSync(file, `dataDir: ${folder}\nsmtp: { listen: [{ port: 2525 }] }\npartners:\n  - ${other}\n`);
    config = await loadConfig(file);
  });
  after(() => rmSync(folder, { recursive: true }));

  const ask = async (name: string, grants: Partial<Grants> = {}) => {
    const [route] = partnerDetailRoutes({ config, queue });
    assert.ok(route);
    const { request, response } = Object.create(null);
    const client = new Client('erp', { ...allGranted, ...grants });
    const answer = await route.handle({
      ...{ client, params: { partner: name }, query: {}, address: '', request, response },
    });
    assert.ok('json' in answer);
    return partnerDetail.parse(answer.json);
  };

  it('has the settings in force, each with file and line, and none of its ways', async () => {
    const { settings } = await ask('ACME');
    const of = (path: string) => settings.find((each) => each.path === path);
    assert.equal(of('require')?.value, '[ signed ]');
    assert.match(of('require')?.origin ?? '', /acme\.yaml:8$/);
    assert.equal(of('policy.shortfall')?.value, 'refuse');
    assert.match(of('policy.shortfall')?.description ?? '', /What to do with a message/);
    // a default
    assert.deepEqual([of('policy.require')?.value, of('policy.require')?.origin], ['[]', null]);
    assert.ok(!JSON.stringify(settings).includes('secret-user'));
    const other = await ask('other');
    const kept = other.settings.find(({ path }) => path === 'keepSubjects');
    assert.match(kept?.origin ?? '', /sealpost\.yaml:\d+$/);
    assert.equal(other.settings.find(({ path }) => path === 'require')?.value, '[]');
  });

  it('has the rules of its profiles that hold today', async () => {
    const { profiles } = await ask('acme');
    assert.deepEqual(
      profiles.map(({ name, use }) => [name, use]),
      [['edi-energy', ['minimum']]],
    );
    const [profile] = profiles;
    assert.ok((profile?.rules.length ?? 0) > 3);
    for (const { says, source, level } of profile?.rules ?? []) {
      assert.ok(says !== '' && source.split(', ').length >= 3, source);
      assert.ok(level === 'must' || level === 'should', level);
    }
    assert.deepEqual((await ask('other')).profiles, []);
  });

  it('has what failed last, newest first, and nothing of what has no failure', async () => {
    const send = async (to: string) => {
      const writer = queue.intake.begin();
      await writer.write(Buffer.from('x'));
      const [sent] = await queue.intake.commitOutbound(writer, [
        {
          ...{ origin: { kind: 'api', detail: {} }, messageId: null, partner: to },
          envelope: { from: 'a@own.example', to: [`edi@${to}.example`] },
        },
      ]);
      return sent?.id ?? '';
    };
    const [first, second, calm, foreign] = [
      await send('acme'),
      await send('acme'),
      await send('acme'),
      await send('other'),
    ];
    const failed = (id: string, at: number, reply: string) =>
      queue.ledger.note(id, { type: 'retried', at, facts: { reason: 'send-failed', attempt: 1, reply } });
    await failed(first, 1_700_000_002_000, '451 later');
    await failed(second, 1_700_000_001_000, '452 full');
    await failed(foreign, 1_700_000_003_000, '550 no');
    const { errors } = await ask('acme');
    assert.deepEqual(
      errors.map(({ id, code, said }) => [id, code, said]),
      [
        [first, 'send-failed', '451 later'],
        [second, 'send-failed', '452 full'],
      ],
    );
    assert.ok(!JSON.stringify(errors).includes(calm));
  });

  it('does not exist for a client that may not see it', async () => {
    const unknown = await ask('nobody').catch((error: Error) => error.message);
    const hidden = await ask('acme', { partners: ['other'] }).catch((error: Error) => error.message);
    assert.equal(unknown, 'there is no partner nobody');
    assert.equal(hidden, 'there is no partner acme');
  });
});
