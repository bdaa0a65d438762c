import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { peakMegabytes, startDaemon, type TestDaemon } from '../support/daemon.ts';
import { crlf, makeWorld, openssl, partnerHeader, skipWithout, textEntity } from '../support/world.ts';

const marker = `marker-${randomBytes(12).toString('hex')}`;
const folded = (base64: string) => base64.replace(/(.{76})/g, '$1\r\n');

/** A mail around a CMS object, as a mail program would write it. */
function cmsMail(der: Buffer, smimeType = 'enveloped-data'): Buffer {
  return Buffer.from(
    `${partnerHeader()}MIME-Version: 1.0\r\n` +
      `Content-Type: application/pkcs7-mime; smime-type=${smimeType}; name="smime.p7m"\r\n` +
      `Content-Transfer-Encoding: base64\r\n\r\n${folded(der.toString('base64'))}\r\n`,
  );
}

function nested(depth: number): string {
  let inner = textEntity('the innermost part');
  for (let level = 0; level < depth; level++)
    inner = `Content-Type: multipart/mixed; boundary="b${level}"\r\n\r\n--b${level}\r\n${inner}\r\n--b${level}--\r\n`;
  return inner;
}

function manyParts(count: number): string {
  return `Content-Type: multipart/mixed; boundary="parts"\r\n\r\n${`--parts\r\n${textEntity('part')}`.repeat(count)}--parts--\r\n`;
}

describe('bad input', { skip: skipWithout('openssl') }, () => {
  const world = makeWorld();
  const stranger = world.party('stranger@example.net', { freshKey: true });
  const { own } = world;
  let daemon: TestDaemon;
  let pids: string;

  before(async () => {
    const inbox = join(world.folder, 'daemon1', 'inbox');
    const destinations = [{ type: 'directory', path: inbox }];
    daemon = await startDaemon(world, {
      config: {
        mailboxes: [
          { name: 'orders', addresses: ['orders@own.example'], destinations },
          { name: 'open', addresses: ['open@own.example'], notSmime: 'pass', destinations },
        ],
        // Fewer would be refused before the message got here.
        limits: { parts: 20, depth: 10, layers: 5, headerSize: '16KiB' },
        retry: { attempts: 3, firstDelay: '100ms', maxDelay: '100ms' },
        log: { level: 'trace' },
      },
    });
    pids = JSON.stringify(daemon.roles());
  });
  after(async () => {
    await daemon?.stop();
    world.remove();
  });

  const encryptDer = (content: string | Buffer) =>
    openssl(['cms', '-encrypt', '-binary', '-aes256', '-outform', 'DER', own.certFile], content);
  const der = encryptDer(textEntity(`body ${marker}`));
  const header = () => partnerHeader();

  interface Case {
    name: string;
    mail: () => Buffer;
    /** Reason code of the suspension, or `delivered`. */
    ends: string;
    to?: string;
    from?: string;
    /** Error code in the ledger's facts or in verdict.json when it is delivered. */
    verdict?: RegExp;
    /** What the ledger alone says of it. */
    detail?: RegExp;
  }
  /** Mail that is not S/MIME, at a mailbox that accepts it. */
  const open = 'open@own.example';
  const cases: Case[] = [
    {
      name: 'a header block with a line that is no field',
      mail: () => Buffer.from(`From: x@example.net\r\nthis is no field\r\n${textEntity('x')}`),
      ends: 'not-smime',
    },
    {
      name: 'a header block beyond the limit',
      mail: () => Buffer.from(`${header()}X-Long: ${'x'.repeat(900)}\r\n`.repeat(20) + textEntity('x')),
      ends: 'mime-limit',
    },
    {
      name: 'a header that never ends',
      mail: () => Buffer.from(`Subject: x\r\n${` folded ${'x'.repeat(900)}\r\n`.repeat(400)}`),
      ends: 'mime-limit',
    },
    ...[10, 100, 300, der.length - 40, der.length - 1].map((at) => ({
      name: `CMS that ends after ${at} of ${der.length} octets`,
      mail: () => cmsMail(der.subarray(0, at)),
      ends: 'asn1-truncated',
    })),
    {
      name: 'garbage for CMS',
      mail: () => cmsMail(Buffer.from('garbage '.repeat(100))),
      ends: 'cms-malformed',
    },
    { name: 'no octets for CMS', mail: () => cmsMail(Buffer.alloc(0)), ends: 'asn1-truncated' },
    {
      name: 'BER that is no CMS',
      mail: () => cmsMail(openssl(['x509', '-in', own.certFile, '-outform', 'DER'])),
      ends: 'cms-malformed',
    },
    {
      name: 'a damaged last block',
      mail: () => {
        const damaged = Buffer.from(der);
        damaged.set([(damaged.at(-1) ?? 0) ^ 1], damaged.length - 1);
        return cmsMail(damaged);
      },
      ends: 'decrypt-failed',
      detail: /the padding of the last block is wrong/,
    },
    {
      name: 'a message for another key',
      mail: () => world.mail(textEntity(`body ${marker}`), { to: stranger }),
      ends: 'decrypt-no-key',
    },
    {
      name: 'base64 with junk in it',
      mail: () => {
        const text = cmsMail(der).toString('latin1');
        const at = text.indexOf('\r\n\r\n') + 100;
        return Buffer.from(`${text.slice(0, at)}\x01\xff*!${text.slice(at)}`, 'latin1');
      },
      // RFC 2045 section 6.8: characters outside of the alphabet are ignored
      ends: 'delivered',
    },
    {
      name: 'base64 that ends in the middle of a group',
      mail: () =>
        Buffer.from(
          cmsMail(der)
            .toString()
            .replace(/=*\r\n$/, '')
            .slice(0, -5),
        ),
      ends: 'asn1-truncated',
    },
    {
      name: 'too many parts inside of the encryption',
      mail: () => world.mail(manyParts(30), { signer: false }),
      ends: 'mime-limit',
    },
    {
      name: 'nesting of parts beyond the limit inside of the encryption',
      mail: () => world.mail(nested(30), { signer: false }),
      ends: 'mime-limit',
    },
    {
      name: 'more layers than the limit',
      mail: () => {
        let object: Buffer = Buffer.from(textEntity('the core'));
        for (let layer = 0; layer < 7; layer++) object = cmsMail(encryptDer(object));
        return object;
      },
      ends: 'layer-limit',
    },
    {
      name: 'no signature below multipart/signed',
      mail: () =>
        Buffer.from(
          `${header()}Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary="s"\r\n\r\n--s\r\n${textEntity('x')}--s--\r\n`,
        ),
      ends: 'mime-malformed',
    },
    {
      name: 'a changed text below multipart/signed',
      mail: () =>
        Buffer.from(
          world
            .mail(textEntity('one thousand'), { to: false })
            .toString('latin1')
            .replace('one thousand', 'two thousand'),
          'latin1',
        ),
      ends: 'delivered',
      verdict: /"signature":\s*"invalid"/,
    },
    {
      name: 'a null sender',
      mail: () => world.mail(textEntity('from nobody')),
      from: '',
      ends: 'delivered',
      verdict: /"signature":\s*"valid"/,
    },
    { name: 'a message without a body', mail: () => Buffer.from(header()), ends: 'not-smime' },
    {
      name: 'a message without a body, at an open mailbox',
      mail: () => Buffer.from(header()),
      to: open,
      ends: 'delivered',
    },
    {
      name: 'encryption without a body',
      mail: () =>
        Buffer.from(
          `${header()}Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: base64\r\n\r\n`,
        ),
      ends: 'asn1-truncated',
    },
    {
      name: 'mail that is not S/MIME',
      mail: () => Buffer.from(header() + textEntity('plain')),
      ends: 'not-smime',
    },
    {
      name: 'mail that is not S/MIME, at an open mailbox',
      mail: () => Buffer.from(header() + textEntity('plain')),
      to: open,
      ends: 'delivered',
      verdict: /"layers":\s*\[\]/,
    },
    {
      name: 'too many parts of plain mail, at an open mailbox',
      mail: () => Buffer.from(header() + manyParts(30)),
      to: open,
      ends: 'mime-limit',
    },
    {
      name: 'octets that are no text at all',
      mail: () =>
        Buffer.from(
          randomBytes(20_000)
            .toString('latin1')
            .replace(/[\r\n]/g, 'x'),
          'latin1',
        ),
      ends: 'mime-limit',
    },
    {
      name: 'an attachment name that climbs out of its folder',
      mail: () =>
        world.mail(
          'Content-Type: application/octet-stream; name="../../../escaped"\r\nContent-Disposition: attachment; filename="../../../escaped"\r\n\r\nx\r\n',
        ),
      ends: 'delivered',
    },
  ];

  const good = async () => {
    const id = await daemon.accept(world.mail(textEntity('the next good one')));
    const record = await daemon.reaches(id, 'delivered', 'suspended');
    assert.equal(record.state, 'delivered', `the next good message is ${record.reason}`);
  };
  const stillUp = () => assert.equal(JSON.stringify(daemon.roles()), pids, 'a process was started again');

  for (const { name, mail, ends, to = 'orders@own.example', from, verdict, detail } of cases) {
    it(`${name}: ${ends}`, async () => {
      const id = await daemon.accept(mail(), { to: [to], ...(from === undefined ? {} : { from }) });
      const record = await daemon.reaches(id, 'delivered', 'suspended');
      assert.equal(record.reason ?? record.state, ends, JSON.stringify(record.events));
      if (detail !== undefined) {
        assert.match(String(record.events.at(-1)?.facts.detail), detail);
        assert.doesNotMatch(daemon.log(), detail);
      }
      if (record.state === 'delivered') {
        const text = readFileSync(join(daemon.delivered(id), 'verdict.json'), 'utf8');
        assert.match(text, verdict ?? /"status":\s*"ok"/);
      }
      stillUp();
      await good();
    });
  }

  it('refuses at the door: no recipient, an unknown one, an empty message, a bare LF', async () => {
    const mail = Buffer.from(header() + textEntity('x'));
    assert.match(await daemon.send(mail, { to: [] }), /^503 /);
    assert.match(await daemon.send(mail, { to: ['nobody@own.example'] }), /^550 5\.1\.1 /);
    assert.match(await daemon.send(Buffer.alloc(0)), /^554 5\.6\.0 /);
    assert.match(await daemon.send(Buffer.from('Subject: x\n\nx\r\n')), /^550 5\.6\.0 /);
    assert.match(await daemon.send(mail, { from: 'a b@x' }), /^(501|553) /);
    stillUp();
    await good();
  });

  it('hands a duplicate off once', async () => {
    const mail = world.mail(textEntity('once only'));
    const id = await daemon.accept(mail);
    await daemon.reaches(id, 'delivered');
    assert.equal(await daemon.accept(mail), id);
    const record = await daemon.queue.ledger.get(id);
    const types = record?.events.map(({ type }) => type) ?? [];
    assert.equal(types.filter((type) => type === 'duplicate').length, 1);
    assert.equal(types.filter((type) => type === 'handed-off').length, 1);
    await good();
  });

  it('a message of 100 MB goes through in bounded memory', async (context) => {
    const octets = 100 * 1024 * 1024;
    const head = 'Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n';
    const large = encryptDer(
      Buffer.concat([Buffer.from(head), Buffer.alloc(octets, 'large content of a message ')]),
    );
    function* pieces(): Generator<Buffer> {
      yield cmsMail(Buffer.alloc(0)).subarray(0, -2);
      const size = 57 * 1024;
      for (let at = 0; at < large.length; at += size) {
        const lines = large
          .subarray(at, at + size)
          .toString('base64')
          .replace(/(.{76})/g, '$1\r\n');
        yield Buffer.from(lines.endsWith('\r\n') ? lines : `${lines}\r\n`);
      }
    }
    const id = await daemon.accept(pieces());
    const record = await daemon.reaches(id, 'delivered', 'suspended');
    assert.equal(record.state, 'delivered', JSON.stringify(record.events));
    for (const { role, pid } of daemon.roles()) {
      const peak = peakMegabytes(pid);
      context.diagnostic(`peak memory of ${role} after 100 MB: ${peak.toFixed(0)} MB`);
      assert.ok(peak < 300, `${role} took ${peak} MB`);
    }
    stillUp();
    await good();
  });

  describe('nothing readable at rest (S18)', () => {
    /** Every file below the data folder, with its current content. */
    function atRest(folder = daemon.dataDir): string[] {
      return readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name));
    }

    it('the content of suspended and waiting messages is in no file and no log line', async () => {
      // Large enough for the spool folder, and readable as it comes.
      const plain = Buffer.from(header() + textEntity(`${marker} and more\r\n`.repeat(20_000)));
      const id = await daemon.accept(plain);
      const { reason } = await daemon.reaches(id, 'suspended');
      assert.equal(reason, 'not-smime');
      const small = await daemon.accept(Buffer.from(header() + textEntity(marker)));
      await daemon.reaches(small, 'suspended');
      assert.ok(existsSync(join(daemon.dataDir, 'spool')));
      const files = atRest();
      assert.ok(
        files.some((file) => file.includes('/spool/')) && files.some((file) => file.endsWith('.aof')),
        files.join(),
      );
      const needles = [
        marker,
        Buffer.from(marker).toString('base64').slice(2, 20),
        Buffer.from(marker).toString('hex'),
      ];
      for (const file of files) {
        const text = readFileSync(file, 'latin1');
        for (const needle of needles)
          assert.equal(text.includes(needle), false, `${file} holds readable content`);
      }
      assert.equal(daemon.log().includes(marker), false, 'the log holds readable content');
      // It would be found in an allowed place.
      assert.match(crlf(plain).toString('latin1'), new RegExp(marker));
    });
  });
});
