/** What the settings of partners make of outbound mail, in the running daemon. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type DecodeResult, decode } from '../../src/smime/index.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { type Sink, skipWithoutPostfix, startSink } from '../support/postfix.ts';
import { makeWorld, openssl, skipWithout, type World } from '../support/world.ts';

const skip = skipWithout('openssl') || skipWithoutPostfix();

/** An X9.42 Diffie-Hellman certificate, which openssl alone issues; both files. */
function diffieHellman(world: World): { cert: string; key: string } {
  const path = (name: string) => join(world.folder, name);
  const [key, cert, pub] = [path('dh.key'), path('dh.pem'), path('dh.pub')];
  openssl(['genpkey', '-algorithm', 'DHX', '-pkeyopt', 'dh_rfc5114:3', '-out', key]);
  openssl(['pkey', '-in', key, '-pubout', '-out', pub]);
  world.file('dh.ext', 'keyUsage = critical, keyAgreement\nsubjectAltName = email:edi@dh.example\n');
  const issuer = ['-CA', world.anchorFile, '-CAkey', world.file('root.key', world.ca.keyPem)];
  const rest = ['-days', '30', '-set_serial', '77', '-extfile', path('dh.ext'), '-out', cert];
  openssl(['x509', '-new', '-force_pubkey', pub, '-subj', '/CN=edi@dh.example', ...issuer, ...rest]);
  return { cert, key };
}

describe('settings for protection', { skip }, () => {
  let world: World;
  let daemon: TestDaemon;
  let sink: Sink;
  let dh: { cert: string; key: string };
  before(async () => {
    world = makeWorld();
    dh = diffieHellman(world);
    sink = await startSink();
    const second = world.party('second@own.example', { key: 'p256' });
    const common = {
      certificates: [world.partner.certFile],
      identity: 'own',
      from: 'orders@own.example',
      route: { host: '127.0.0.1', port: sink.port, tls: 'none' },
    };
    const partner = (name: string, more: object) => ({
      name,
      addresses: [`edi@${name}.example`],
      ...common,
      ...more,
    });
    daemon = await startDaemon(world, {
      config: {
        identities: [
          { name: 'own', certificate: world.own.certFile, key: world.own.keyFile },
          { name: 'second', certificate: second.certFile, key: second.keyFile },
        ],
        partners: [
          partner('kim', { preset: 'kim', headerProtection: true }),
          partner('wrapped', {
            tripleWrap: true,
            compress: 'after-signing',
            sign: 'detached',
            digest: 'sha512',
          }),
          partner('both', { coSigners: ['second'], encryptionIdentity: 'own', encrypt: false }),
          partner('dh', { certificates: [dh.cert], contentEncryption: 'des-ede3-cbc' }),
          partner('bsi', { preset: 'bsi-tr-03116-4' }),
          partner('plain', { encrypt: false, sign: 'none' }),
          partner('opaque', { sign: 'opaque' }),
        ],
      },
    });
  });
  after(async () => {
    await daemon?.stop();
    await sink?.stop();
    world?.remove();
  });

  async function send(partner: string, entity = `\r\nfor ${partner}\r\n`): Promise<string> {
    const file = world.file(
      'out.eml',
      `From: orders@own.example\r\nTo: edi@${partner}.example\r\nSubject: secret of ${partner}\r\n${entity}`,
    );
    const { code, stdout, stderr } = await daemon.command(['send', '--partner', partner, file]);
    assert.equal(code, 0, stderr);
    return stdout.toString().trim();
  }

  async function arrived(partner: string): Promise<Buffer> {
    await daemon.reaches(await send(partner), 'sent');
    const found = (await sink.messages()).find((mail) => mail.includes(`To: edi@${partner}.example`));
    assert.ok(found, `no mail for ${partner}`);
    return found;
  }

  const read = (mail: Buffer): Promise<DecodeResult> =>
    decode(mail, {
      identities: [world.partner.identity],
      trust: { anchors: [world.ca.certificate] },
      at: new Date(),
    });
  const typesOf = ({ verdict }: DecodeResult) => verdict.layers.map(({ type }) => type);

  it('take a preset, and a single setting beside it', async () => {
    const mail = await arrived('kim');
    assert.match(mail.toString('latin1'), /^Subject: \[\.\.\.\]\r?$/m);
    assert.match(mail.toString('latin1'), /smime-type=authenticated-enveloped-data/);
    const found = await read(mail);
    assert.deepEqual(typesOf(found), ['auth-enveloped-data', 'signed-data']);
    assert.equal(found.verdict.signature, 'valid');
    assert.match(found.content?.toString() ?? '', /^Subject: secret of kim\r$/m);
  });

  it('wrap and compress', async () => {
    const found = await read(await arrived('wrapped'));
    assert.deepEqual(typesOf(found), [
      'multipart/signed',
      'enveloped-data',
      'compressed-data',
      'multipart/signed',
    ]);
    assert.equal(found.verdict.signature, 'valid');
  });

  it('let several identities sign', async () => {
    const mail = await arrived('both');
    const [layer] = (await read(mail)).verdict.layers;
    const signers = layer !== undefined && 'signers' in layer ? layer.signers : [];
    assert.deepEqual(
      signers.map(({ signatureAlgorithm, valid, trusted }) => [signatureAlgorithm, valid, trusted]).sort(),
      [
        ['ecdsaWithSha256', true, true],
        ['rsaEncryption', true, true],
      ],
    );
    openssl(['cms', '-verify', '-CAfile', world.anchorFile], mail);
  });

  it('encrypt for a Diffie-Hellman certificate, which openssl decrypts', async () => {
    const mail = await arrived('dh');
    const signed = openssl(['cms', '-decrypt', '-recip', dh.cert, '-inkey', dh.key], mail);
    assert.match(openssl(['cms', '-verify', '-CAfile', world.anchorFile], signed).toString(), /for dh/);
  });

  it('suspend where a key is weaker than the preset wants, and say which', async () => {
    const record = await daemon.reaches(await send('bsi'), 'suspended');
    assert.equal(record.reason, 'encode-signer');
    assert.match(JSON.stringify(record.events), /own\.example.*2048 bits; at least 3072/);
  });

  it('suspend a message that turns out on the wire to be one that cannot be encoded, and say why', async () => {
    const line = `${'7bit '.repeat(12)}\r\n`;
    // what is made before anybody is connected to is less than the first part
    const large = line.repeat(Math.ceil((3 * 1024 * 1024) / line.length));
    const parts = [large, ...Array<string>(1500).fill('small\r\n')];
    const body = parts.map((part) => `--b\r\n\r\n${part}`).join('');
    const id = await send('opaque', `Content-Type: multipart/mixed; boundary=b\r\n\r\n${body}--b--\r\n`);
    const record = await daemon.reaches(id, 'suspended', 'sent');
    assert.equal(record.reason, 'mime-limit');
    assert.match(JSON.stringify(record.events), /parts/);
  });

  it('send unprotected mail unchanged', async () => {
    const mail = (await arrived('plain')).toString('latin1');
    assert.match(mail, /^Subject: secret of plain\r?$/m);
    assert.match(mail, /\r?\n\r?\nfor plain\r?\n/);
  });
});
