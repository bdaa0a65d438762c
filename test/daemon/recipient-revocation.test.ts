/** Mail for certificates that were revoked, in the running daemon, with openssl's responder. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { until } from '../support/net.ts';
import { type OpensslCertificate, opensslAnswer, opensslIssue } from '../support/openssl-ca.ts';
import { type Sink, skipWithoutPostfix, startSink } from '../support/postfix.ts';
import { startWeb, type Web } from '../support/web.ts';
import { makeWorld, skipWithout, type World } from '../support/world.ts';

const skip = skipWithout('openssl') || skipWithoutPostfix();

describe('certificates of partners that were revoked, in the running daemon', { skip }, () => {
  let world: World;
  let web: Web;
  let sink: Sink;
  let daemon: TestDaemon;

  before(async () => {
    world = makeWorld();
    web = await startWeb();
    sink = await startSink();
    const root = opensslIssue(world.folder, 'Root');
    const issue = (path: string): OpensslCertificate =>
      opensslIssue(world.folder, 'Partner', {
        ...{ issuer: root, email: 'edi@partner.example', usage: 'digitalSignature,keyAgreement' },
        access: [`OCSP;URI:${web.url(path)}`],
      });
    const [good, stolen, silent] = [issue('/ocsp'), issue('/ocsp'), issue('/silent')] as const;
    web.answers.set('/ocsp', (body) =>
      opensslAnswer(world.folder, body, root, { good: [good], revoked: [stolen] }),
    );
    const partner = (name: string, { certFile }: OpensslCertificate, revocation?: string) => ({
      ...{ name, addresses: [`edi@${name}.example`], certificates: [certFile], identity: 'own', revocation },
      ...{ from: 'orders@own.example', route: { host: '127.0.0.1', port: sink.port, tls: 'none' } },
    });
    daemon = await startDaemon(world, {
      config: {
        trust: {
          anchors: [root.certFile],
          revocation: { mode: 'hard', hosts: [web.host], allowPrivate: true, timeout: '30s' },
        },
        retry: { attempts: 2, firstDelay: '100ms', maxDelay: '200ms' },
        identities: [{ name: 'own', certificate: world.own.certFile, key: world.own.keyFile }],
        partners: [
          partner('good', good),
          partner('stolen', stolen),
          partner('silent', silent),
          partner('soft', silent, 'soft'),
        ],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    await sink?.stop();
    web?.close();
    world?.remove();
  });

  async function outcome(partner: string) {
    const text = `From: orders@own.example\r\nTo: edi@${partner}.example\r\nSubject: x\r\n\r\nfor ${partner}\r\n`;
    const file = world.file(`${partner}.eml`, text);
    const { code, stdout, stderr } = await daemon.command(['send', '--partner', partner, file]);
    assert.equal(code, 0, stderr);
    const { state, reason, events } = await daemon.reaches(stdout.toString().trim(), 'sent', 'suspended');
    return { state, reason, types: events.map(({ type }) => type), why: JSON.stringify(events) };
  }

  it('does not leave for a revoked one, and says so in health; for another partner it does', async () => {
    const stolen = await outcome('stolen');
    assert.deepEqual([stolen.state, stolen.reason], ['suspended', 'encode-recipient']);
    assert.ok(!stolen.types.includes('retried'), 'it is not tried again');
    assert.match(stolen.why, /was revoked .*keyCompromise/);
    const good = await outcome('good');
    assert.deepEqual([good.state, good.reason], ['sent', null], good.why);
    const replay = ['messages', 'replay', '--dry-run', '--partner', 'stolen'];
    await until('the preview says the same', async () => {
      const { stdout } = await daemon.command(replay);
      return /encode-recipient {2}stolen {2}waits: .*was revoked \(.*keyCompromise/.test(stdout.toString());
    });
    await until('health names it', async () => {
      const { stdout } = await daemon.command(['health']);
      return /partner stolen.*revoked since/.test(stdout.toString());
    });
  });

  it('is shown by certs list, with what the authority said last', async () => {
    const of = async (partner: string) => {
      const ran = await daemon.command(['certs', 'list', '--partner', partner, '--json']);
      const [certificate] = JSON.parse(ran.stdout.toString());
      return certificate;
    };
    await until(
      'both are known',
      async () => (await of('stolen')).revocation && (await of('good')).revocation,
    );
    const stolen = await of('stolen');
    assert.deepEqual([stolen.state, stolen.revocation.status], ['revoked', 'revoked']);
    assert.match(stolen.reason, /^its authority says: .*keyCompromise/);
    const good = await of('good');
    assert.deepEqual([good.state, good.reason, good.revocation.status], ['in-force', null, 'good']);
    const { stdout } = await daemon.command(['certs', 'show', stolen.id]);
    assert.match(stdout.toString(), /^state {7}revoked: its authority says/m);
    assert.match(stdout.toString(), /^authority {3}revoked, asked \d{4}-/m);
  });

  it('hard tries again while the authority is silent, then suspends it; soft sends', async () => {
    const silent = await outcome('silent');
    assert.deepEqual([silent.state, silent.reason], ['suspended', 'attempts-exhausted']);
    assert.match(silent.why, /encode-revocation.*it is not known whether .* the answer was 404/);
    const soft = await outcome('soft');
    assert.deepEqual([soft.state, soft.reason], ['sent', null], soft.why);
  });
});
