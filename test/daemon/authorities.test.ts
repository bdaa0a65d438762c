/** Asking authorities about signers, and for their issuers, in the running daemon. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { MessageRecord } from '../../src/queue/index.ts';
import { isSignatureLayer, type Signer, type Verdict } from '../../src/smime/index.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { type OpensslCertificate, opensslAnswer, opensslIssue, opensslList } from '../support/openssl-ca.ts';
import { startWeb, type Web } from '../support/web.ts';
import { makeWorld, skipWithout, textEntity, type World } from '../support/world.ts';

const skip = skipWithout('openssl');

for (const [index, mode] of (['soft', 'hard'] as const).entries()) {
  describe(`authorities are asked by the running daemon, ${mode}`, { skip }, () => {
    let world: World;
    let web: Web;
    let daemon: TestDaemon;
    let root: OpensslCertificate;
    let middle: OpensslCertificate;
    let nobody = '';

    before(async () => {
      world = makeWorld();
      web = await startWeb();
      const gone = await startWeb();
      nobody = gone.host;
      gone.close();
      root = opensslIssue(world.folder, 'Root');
      middle = opensslIssue(world.folder, 'Middle', { issuer: root, crl: web.url('/root.crl') });
      web.answers.set('/middle.cer', middle.certificate.der);
      web.answers.set('/root.crl', () => opensslList(world.folder, root));
      const asked = { hosts: [web.host, nobody], allowPrivate: true, timeout: '30s' };
      daemon = await startDaemon(world, {
        config: {
          trust: {
            anchors: [root.certFile],
            revocation: { mode, ...asked },
            aia: { fetch: true, ...asked, hosts: [web.host] },
          },
          mailboxes: [
            {
              name: 'orders',
              addresses: ['orders@own.example'],
              require: ['encrypted', 'signed'],
              destinations: [{ type: 'directory', path: join(world.folder, `daemon${index + 1}`, 'inbox') }],
            },
          ],
        },
      });
    });
    after(async () => {
      await daemon?.stop();
      web?.close();
      world?.remove();
    });

    const issue = (options: { issuer?: OpensslCertificate; access?: string[]; crl?: string }) =>
      opensslIssue(world.folder, 'Signer', { issuer: root, email: 'edi@partner.example', ...options });

    /** Sends the signed mail; returns the final record, and the signer in the handed-off verdict. */
    async function judged(
      signer: OpensslCertificate,
      text = 'by whom?',
    ): Promise<{ record: MessageRecord; why: string; signer: Signer | undefined }> {
      const id = await daemon.accept(world.mail(textEntity(text), { signer }));
      const record = await daemon.reaches(id, 'delivered', 'suspended');
      const why = JSON.stringify(record.events);
      if (record.state === 'suspended') return { record, why, signer: undefined };
      const document = JSON.parse(readFileSync(join(daemon.delivered(id), 'verdict.json'), 'utf8'));
      const verdict: Verdict = document.verdict ?? document;
      const found = verdict.layers.filter(isSignatureLayer).flatMap(({ signers }) => signers);
      return { record, why, signer: found[0] };
    }

    for (const [size, text] of [
      ['small', 'a line\r\n'],
      ['large', 'a line of a large message\r\n'.repeat(15_000)],
    ] as const) {
      it(`takes a signer whom openssl's responder calls good, and no revoked one (${size})`, async () => {
        const [good, revoked] = ['/good', '/revoked'].map((path) =>
          issue({ access: [`OCSP;URI:${web.url(path)}`] }),
        );
        assert.ok(good && revoked);
        for (const path of ['/good', '/revoked'])
          web.answers.set(path, (body) =>
            opensslAnswer(world.folder, body, root, { good: [good], revoked: [revoked] }),
          );
        const first = await judged(good, text);
        assert.equal(first.record.state, 'delivered', first.why);
        assert.deepEqual(
          [first.signer?.revocation.status, first.signer?.revocation.source],
          ['good', 'ocsp'],
        );
        const second = await judged(revoked, text);
        assert.deepEqual([second.record.state, second.record.reason], ['suspended', 'policy-refused']);
        assert.match(second.why, /the signer is not trusted: .*revoked since 2026-01-01.*keyCompromise/);
      });
    }

    it('takes the word of a list', async () => {
      const signer = issue({ crl: web.url('/signers.crl') });
      web.answers.set('/signers.crl', () => opensslList(world.folder, root, [signer]));
      const { record, why } = await judged(signer);
      assert.deepEqual([record.state, record.reason], ['suspended', 'policy-refused'], why);
      assert.match(why, /revoked since/);
    });

    it(`${mode === 'soft' ? 'delivers' : 'suspends'} when the responder cannot be reached`, async () => {
      const { record, why, signer } = await judged(issue({ access: [`OCSP;URI:http://${nobody}/`] }));
      if (mode === 'soft') {
        assert.equal(record.state, 'delivered', why);
        assert.deepEqual([signer?.trusted, signer?.revocation.status], [true, 'unknown']);
        assert.match(signer?.revocation.message ?? '', /ECONNREFUSED/);
      } else {
        assert.deepEqual([record.state, record.reason], ['suspended', 'policy-refused']);
        assert.match(why, /no list or answer in force says whether it was revoked/);
      }
    });

    it('fetches an issuer that the message does not bring along, and asks about both', async () => {
      const path = '/below-middle';
      const access = [`caIssuers;URI:${web.url('/middle.cer')}`, `OCSP;URI:${web.url(path)}`];
      const lonely = issue({ issuer: middle, access });
      web.answers.set(path, (body) => opensslAnswer(world.folder, body, middle, { good: [lonely] }));
      const { record, why, signer } = await judged(lonely);
      assert.equal(record.state, 'delivered', why);
      assert.deepEqual(
        signer?.chain.map(({ subject }) => subject),
        ['CN=Signer', 'CN=Middle', 'CN=Root'],
      );
      assert.equal(signer?.revocation.status, 'good');
    });

    it('tells the operator which issuer is missing, and why it was not fetched', async () => {
      const url = `http://${nobody}/middle.cer`;
      const { record, why } = await judged(issue({ issuer: middle, access: [`caIssuers;URI:${url}`] }));
      assert.deepEqual([record.state, record.reason], ['suspended', 'policy-refused']);
      assert.ok(why.includes('its issuer is \\"CN=Middle\\"'), why);
      assert.ok(why.includes(`AIA address ${url} not used: its host is not in trust.aia.hosts`), why);
    });
  });
}
