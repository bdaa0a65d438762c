/** Whole mails with more than one layer, recipient or signer, large ones, and changed ones, against the real peers. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { encodeSync } from '../../src/smime/encode/encode.ts';
import { asMail } from '../support/peers/artefact.ts';
import { missingOpenssl } from '../support/peers/identities.ts';
import { type Artefact, type EncryptionCase, PeerError, type SignatureCase } from '../support/peers/types.ts';
import { content, head, mail, Setting } from './setting.ts';

/** Above the limit up to which our encoder writes definite lengths; base64, so that it is signed unchanged. */
const large = Buffer.from(
  'Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n' +
    `${'QWxsIHdvcmsgYW5kIG5vIHBsYXkgbWFrZXMgSmFjayBhIGR1bGwgYm95LiBBbGwgd29yayBh\r\n'.repeat(25_000)}`,
);

function encryptionTo(recipient: string): EncryptionCase {
  const keyManagement = { kind: 'rsa-pkcs1' } as const;
  return { type: 'encryption', id: '', stage: 'issue2', keyManagement, recipient, cipher: 'AES-256-CBC' };
}

/** NSS 3.87 chooses AES-128 for everybody. */
function encryptionBy(peer: string): EncryptionCase {
  const each = encryptionTo('rsa-2048');
  return peer === 'NSS' ? { ...each, cipher: 'AES-128-CBC' } : each;
}

function signatureOf(form: 'opaque' | 'detached'): SignatureCase {
  const base = { type: 'signature', id: '', stage: 'issue2', signer: 'rsa-2048', scheme: 'pkcs1' } as const;
  return { ...base, digest: 'SHA-256', form, attributes: true };
}

describe('whole mails', { skip: missingOpenssl() }, () => {
  let setting: Setting;

  before(async () => {
    setting = await Setting.start();
  });
  after(() => setting.close());

  const openssl = (args: string[], input: Buffer) => setting.openssl(['cms', ...args], input);

  for (const form of ['opaque', 'detached'] as const) {
    it(`every peer opens what we signed (${form}) and encrypted`, async (t) => {
      const sign = setting.signAs('rsa-2048', form);
      const octets = encodeSync(mail, { ...sign, ...setting.encryptTo('rsa-3072') });
      for (const peer of setting.installed(t)) {
        const inner = await peer.read(encryptionTo('rsa-3072'), { form: 'mail', octets });
        assert.deepEqual(
          await peer.read(signatureOf(form), { form: 'mail', octets: inner }),
          content,
          peer.name,
        );
      }
    });

    it(`we open what every peer signed (${form}) and encrypted`, async (t) => {
      for (const peer of setting.installed(t)) {
        const inner = asMail(await peer.write(signatureOf(form), content));
        const found = await setting.read(
          asMail(await peer.write(encryptionBy(peer.name), inner)),
          'rsa-2048',
        );
        assert.deepEqual(found.content, content, peer.name);
        assert.equal(found.verdict.signature, 'valid', peer.name);
        assert.equal(found.verdict.encrypted, true);
      }
    });

    it(`we open what openssl signed (${form}), encrypted and signed again`, async () => {
      const { certFile, keyFile } = setting.identity('ec-p256');
      const signer = ['-sign', '-binary', '-crlfeol', '-signer', certFile, '-inkey', keyFile];
      const how = form === 'opaque' ? ['-nodetach'] : [];
      const inner = await openssl([...signer, ...how], content);
      const to = setting.identity('rsa-3072').certFile;
      const middle = await openssl(['-encrypt', '-binary', '-crlfeol', '-aes256', '-recip', to], inner);
      // openssl leaves LF in base64, and its own reader then fails on what it has signed
      const canonical = Buffer.from(middle.toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1');
      const outer = await openssl([...signer, ...how], canonical);
      const found = await setting.read(outer, 'rsa-3072');
      assert.equal(found.verdict.error, null);
      assert.deepEqual(found.content, content);
      assert.equal(found.verdict.signature, 'valid');
      assert.equal(found.verdict.layers.length, 3);
      assert.equal(found.verdict.layers[1]?.type, 'enveloped-data');
    });
  }

  it('each recipient of several opens it, in both directions', async (t) => {
    const names = ['rsa-2048', 'rsa-3072', 'rsa-4096'];
    const ours = encodeSync(mail, setting.encryptTo(...names));
    const files = names.flatMap((name) => ['-recip', setting.identity(name).certFile]);
    const theirs = await openssl(['-encrypt', '-binary', '-aes128', ...files], content);
    for (const name of names) {
      const found = await setting.read(theirs, name);
      assert.deepEqual(found.content, content, name);
      for (const peer of setting.installed(t)) {
        const each = encryptionTo(name);
        if (peer.can(each, 'read') !== true) continue;
        assert.deepEqual(
          await peer.read(each, { form: 'mail', octets: ours }),
          content,
          `${peer.name}, ${name}`,
        );
      }
    }
  });

  it('several signers are each verified', async () => {
    const signers = ['rsa-2048', 'ec-p256', 'ec-p521'].flatMap((name) => [
      '-signer',
      setting.identity(name).certFile,
      '-inkey',
      setting.identity(name).keyFile,
    ]);
    for (const how of [['-nodetach'], []]) {
      const found = await setting.read(
        await openssl(['-sign', '-binary', '-crlfeol', ...how, ...signers], content),
      );
      assert.equal(found.verdict.signature, 'valid');
      const [layer] = found.verdict.layers;
      assert.equal(layer !== undefined && 'signers' in layer ? layer.signers.length : 0, 3);
    }
  });

  it('every peer reads our large mails, which have indefinite lengths', async (t) => {
    const whole = Buffer.concat([head, large]);
    const encrypted: Artefact = {
      form: 'mail',
      octets: encodeSync(whole, setting.encryptTo('rsa-2048')),
    };
    const opaque: Artefact = {
      form: 'mail',
      octets: encodeSync(whole, setting.signAs('rsa-2048', 'opaque')),
    };
    const detached: Artefact = {
      form: 'mail',
      octets: encodeSync(whole, setting.signAs('rsa-2048', 'detached')),
    };
    for (const peer of setting.installed(t)) {
      const readAll = async (each: EncryptionCase | SignatureCase, message: Artefact) =>
        assert.ok((await peer.read(each, message)).equals(large), `${peer.name}: ${each.type}`);
      await readAll(encryptionTo('rsa-2048'), encrypted);
      await readAll(signatureOf('opaque'), opaque);
      await readAll(signatureOf('detached'), detached);
    }
  });

  it("we read every peer's large messages, streamed by openssl as well", async (t) => {
    for (const peer of setting.installed(t)) {
      for (const each of [encryptionBy(peer.name), signatureOf('opaque'), signatureOf('detached')]) {
        const found = await setting.read(asMail(await peer.write(each, large)), 'rsa-2048');
        assert.equal(found.verdict.error, null, peer.name);
        assert.ok(found.content?.equals(large), `${peer.name}: ${each.type}`);
      }
    }
    const { certFile } = setting.identity('rsa-2048');
    const streamed = await openssl(['-encrypt', '-stream', '-binary', '-aes256', '-recip', certFile], large);
    assert.ok((await setting.read(streamed, 'rsa-2048')).content?.equals(large));
  });

  it('a changed octet is noticed by us and by every peer', async (t) => {
    for (const form of ['opaque', 'detached'] as const) {
      // in detached form the content is readable in the mail, in opaque form inside the base64 of the CMS object
      const message = encodeSync(mail, setting.signAs('rsa-2048', form));
      const changed = form === 'detached' ? changeText(message) : changeBase64(message);
      const found = await setting.read(changed);
      assert.equal(found.verdict.signature, 'invalid');
      for (const peer of setting.installed(t)) {
        const artefact: Artefact = { form: 'mail', octets: changed };
        await assert.rejects(peer.read(signatureOf(form), artefact), PeerError, `${peer.name}, ${form}`);
      }
    }
  });

  it('openssl reads the mail as a file with LF line ends too', async () => {
    const message = encodeSync(mail, {
      ...setting.signAs('rsa-2048', 'detached'),
      ...setting.encryptTo('rsa-2048'),
    });
    const file = join(setting.folder, 'lf.eml');
    await writeFile(file, message.toString('latin1').replaceAll('\r\n', '\n'), 'latin1');
    const { certFile, keyFile } = setting.identity('rsa-2048');
    const inner = await openssl(
      ['-decrypt', '-binary', '-in', file, '-recip', certFile, '-inkey', keyFile],
      Buffer.alloc(0),
    );
    assert.deepEqual(await openssl(['-verify', '-crlfeol', '-CAfile', setting.caFile], inner), content);
    const found = await setting.read(await readFile(file), 'rsa-2048');
    assert.equal(found.verdict.signature, 'valid');
  });
});

function changeText(message: Buffer): Buffer {
  return Buffer.from(message.toString('latin1').replace('lazy dog', 'lazy cat'), 'latin1');
}

/** Changes the content inside the CMS object of an opaque signature. */
function changeBase64(message: Buffer): Buffer {
  const text = message.toString('latin1');
  const at = text.indexOf('\r\n\r\n') + 4;
  const cms = Buffer.from(text.slice(at), 'base64').toString('latin1').replace('lazy dog', 'lazy cat');
  const encoded = Buffer.from(cms, 'latin1').toString('base64').replace(/.{76}/g, '$&\r\n');
  return Buffer.from(`${text.slice(0, at)}${encoded}\r\n`, 'latin1');
}
