/**
 * A job that runs again after its work was done (its process lost the lock, or died before it could say so) does
 * nothing.
 */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { Queue } from 'bullmq';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { type Hook, startHook } from '../support/hook.ts';
import { makeWorld, skipWithout, textEntity } from '../support/world.ts';

describe('a job that runs again', { skip: skipWithout('openssl') }, () => {
  const world = makeWorld();
  let daemon: TestDaemon;
  let hook: Hook;
  /** The partner's server, which refuses every recipient. */
  let refused = 0;
  const partner = createServer((socket) => {
    socket.on('error', () => {});
    socket.write('220 partner\r\n');
    let buffer = '';
    socket.on('data', (chunk) => {
      buffer += chunk.toString('latin1');
      for (let end = buffer.indexOf('\r\n'); end >= 0; end = buffer.indexOf('\r\n')) {
        const isRecipient = buffer.startsWith('RCPT');
        buffer = buffer.slice(end + 2);
        if (isRecipient) refused++;
        socket.write(isRecipient ? '550 5.1.1 unknown\r\n' : '250 ok\r\n');
      }
    });
  });

  before(async () => {
    hook = await startHook();
    await new Promise<void>((resolve) => partner.listen(0, '127.0.0.1', resolve));
    const address = partner.address();
    assert.ok(typeof address === 'object' && address !== null);
    daemon = await startDaemon(world, {
      config: {
        retry: { attempts: 1000, firstDelay: '500ms', maxDelay: '1s' },
        mailboxes: [
          {
            name: 'orders',
            addresses: ['orders@own.example'],
            require: ['signed'],
            destinations: [
              {
                type: 'webhook',
                url: hook.url,
                secret: { file: world.file('hook.secret', 'a secret of the web hook') },
                allowPrivate: true,
              },
            ],
          },
        ],
        partners: [
          {
            name: 'partner',
            addresses: ['edi@partner.example'],
            certificates: [world.partner.certFile],
            identity: 'own',
            from: world.own.email,
            route: { host: '127.0.0.1', port: address.port, tls: 'none' },
          },
        ],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    hook?.close();
    partner.close();
    world.remove();
  });

  /** Puts the job there once more and waits until it is gone; what the daemon logs of it and its message meanwhile. */
  async function again(queue: string, data: string, id: string): Promise<string> {
    const before = daemon.log().length;
    const jobId = `again-${queue}`;
    const jobs = new Queue(queue, {
      connection: daemon.queue.redis,
      prefix: daemon.queue.prefix,
      skipMetasUpdate: true,
    });
    const options = { jobId, attempts: 1_000_000, removeOnComplete: true, backoff: { type: 'custom' } };
    await jobs.add(queue, JSON.parse(data), options);
    await daemon.waitFor('the job is gone', async () => {
      const left = await daemon.queue.redis.hget(`${daemon.queue.prefix}:${queue}:${jobId}`, 'atm');
      assert.ok(Number(left ?? 0) < 3, 'it was done at once');
      return (await daemon.queue.redis.exists(`${daemon.queue.prefix}:${queue}:${jobId}`)) === 0;
    });
    // Alerts and routes that are down or work again come when they come.
    const lines = daemon.log().slice(before).split('\n');
    return lines.filter((line) => line.includes(id) || line.includes(jobId)).join('\n');
  }

  /** Waits until a message is suspended, and its line is in the log. */
  async function suspended(id: string): Promise<void> {
    await daemon.reaches(id, 'suspended');
    const isSaid = (line: string) => line.includes(id) && line.includes('a message is suspended');
    await daemon.waitFor('its line is in the log', async () => daemon.log().split('\n').some(isSaid));
  }

  const eventsOf = async (id: string) => (await daemon.queue.ledger.get(id))?.events.map(({ type }) => type);
  /** The job of a suspended message, as `resume` takes it. */
  async function kept(id: string, work: string): Promise<string> {
    const text = await daemon.queue.redis.hget(`${daemon.queue.prefix}:m:${id}`, `w:${work}`);
    return text?.slice(text.indexOf('\n') + 1) ?? '';
  }
  const quiet = (log: string) =>
    assert.doesNotMatch(log, /"level":[456]0/, 'it is done, and not an error of the message');

  it('decodes and judges nothing that waits for a person', async () => {
    const id = await daemon.accept(world.mail(textEntity('not signed'), { signer: false }));
    await suspended(id);
    const events = await eventsOf(id);
    quiet(await again('inbound', await kept(id, 'inbound'), id));
    assert.deepEqual(await eventsOf(id), events);
  });

  it('hands nothing off that was delivered', async () => {
    // As often as it takes to find it between two attempts.
    hook.answers.push(...Array.from({ length: 10_000 }, () => 503));
    const id = await daemon.accept(world.mail(textEntity('signed')));
    const data = await daemon.waitFor('the hand-off waits', async () => {
      const [job] = await daemon.queue.redis.zrange(`${daemon.queue.prefix}:handoff:delayed`, 0, '0');
      const found = await daemon.queue.redis.hget(`${daemon.queue.prefix}:handoff:${job}`, 'data');
      return found ?? undefined;
    });
    hook.answers.length = 0;
    await daemon.reaches(id, 'delivered');
    const [posted, events] = [hook.posted.length, await eventsOf(id)];
    quiet(await again('handoff', data, id));
    assert.deepEqual([hook.posted.length, await eventsOf(id)], [posted, events]);
  });

  it('sends nothing to a partner who has refused it', async () => {
    const file = world.file('out.edi', 'an order');
    const { code, stdout, stderr } = await daemon.command(['send', '--partner', 'partner', file]);
    assert.equal(code, 0, stderr);
    const id = stdout.toString().trim();
    await suspended(id);
    const [before, events] = [refused, await eventsOf(id)];
    assert.ok(before > 0);
    quiet(await again('outbound', await kept(id, 'outbound'), id));
    assert.deepEqual([refused, await eventsOf(id)], [before, events]);
  });
});
