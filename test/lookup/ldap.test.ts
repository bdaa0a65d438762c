import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { ldap } from '../../src/lookup/ldap.ts';
import { type DirectorySettings, Lookups } from '../../src/lookup/lookups.ts';
import { parseMailbox } from '../../src/message/index.ts';
import { createTestCa } from '../support/ca.ts';
import { type Slapd, skipWithoutSlapd, startSlapd } from '../support/slapd.ts';
import { makeTlsFiles } from '../support/tls.ts';
import { openssl } from '../support/world.ts';
import { rememberedValues } from './remembered.ts';

const ca = createTestCa();
const certificateOf = (email: string) => ca.issue({ email, freshKey: true }).certificate;

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

describe('certificates from a directory over LDAP', { skip: skipWithoutSlapd() }, () => {
  const alice = certificateOf('alice@partner.test');
  const other = certificateOf('other@partner.test');
  const packed = certificateOf('packed@partner.test');
  const strange = certificateOf('a*)(mail=*@partner.test');
  const heard: string[] = [];
  let elsewhere: Server;
  let slapd: Slapd;
  let closed: Slapd;
  before(async () => {
    elsewhere = createServer((socket) => {
      heard.push('referral');
      socket.destroy();
    });
    const port = await listening(elsewhere);
    const folder = mkdtempSync(join(tmpdir(), 'sealpost-lookup-'));
    writeFileSync(join(folder, 'packed.pem'), packed.toPem());
    const p7 = openssl(['crl2pkcs7', '-nocrl', '-certfile', join(folder, 'packed.pem'), '-outform', 'DER']);
    rmSync(folder, { recursive: true });
    slapd = await startSlapd([
      {
        name: 'alice',
        mail: 'alice@partner.test',
        certificates: [alice.der, other.der],
        smime: [Buffer.from('0500', 'hex')],
      },
      { name: 'packed', mail: 'packed@partner.test', smime: [p7] },
      { name: 'mallory', mail: 'mallory@partner.test', certificates: [other.der] },
      { name: 'strange', mail: 'a*)(mail=*@partner.test', certificates: [strange.der] },
      { name: 'away', mail: '', referral: `ldap://127.0.0.1:${port}/cn=away` },
    ]);
    closed = await startSlapd([{ name: 'alice', mail: 'alice@partner.test', certificates: [alice.der] }], {
      anonymous: false,
    });
  });
  after(async () => {
    await slapd?.stop();
    await closed?.stop();
    elsewhere?.close();
  });

  const asking = (
    settings: Partial<Extract<DirectorySettings, { kind: 'ldap' }>>,
    kept = rememberedValues(),
  ) =>
    new Lookups({
      directories: [
        {
          ...{ name: 'directory', kind: 'ldap', url: slapd.url, base: slapd.base, attribute: 'mail' },
          ca: slapd.tls.cert,
          ...settings,
        },
      ],
      ...{ dns: undefined, kept, life: 60_000, now: Date.now },
    });
  const thumbprints = ({ found }: { found: { certificate: { thumbprint: string } }[] }) =>
    found.map(({ certificate }) => certificate.thumbprint);

  it('are found over LDAPS and with StartTLS, and others of the entry are refused', async () => {
    for (const url of [slapd.url, slapd.startTlsUrl]) {
      const asked = await asking({ url }).ask('alice@partner.test', ['directory']);
      assert.deepEqual(thumbprints(asked), [alice.thumbprint]);
      const [garbage = '', foreign = '', ...rest] = asked.refused;
      assert.match(garbage, /^directory: a value that is no certificate: /);
      assert.match(foreign, /^directory: certificate [0-9a-f]{16} does not name the address$/);
      assert.deepEqual(rest, []);
      assert.deepEqual(asked.failed, []);
    }
  });

  it('are found in userSMIMECertificate, and in no other directory than the named ones', async () => {
    const lookups = asking({});
    assert.deepEqual(thumbprints(await lookups.ask('packed@partner.test', ['directory'])), [
      packed.thumbprint,
    ]);
    assert.deepEqual(thumbprints(await lookups.ask('packed@partner.test', [])), []);
  });

  it('a certificate of another address is none', async () => {
    const asked = await asking({}).ask('mallory@partner.test', ['directory']);
    assert.deepEqual(thumbprints(asked), []);
    assert.match(asked.refused[0] ?? '', /does not name the address/);
  });

  it('an address is a value and never a filter', async () => {
    for (const address of ['*@partner.test', 'a*@partner.test', '"alice)(mail=*"@partner.test'])
      assert.deepEqual(thumbprints(await asking({}).ask(address, ['directory'])), [], address);
  });

  it('a referral is not followed', async () => {
    const asked = await asking({ attribute: 'cn' }).ask('away@partner.test', ['directory']);
    assert.deepEqual([thumbprints(asked), heard], [[], []]);
    const all = await asking({ attribute: 'objectClass' }).ask('referral@partner.test', ['directory']);
    assert.deepEqual([thumbprints(all), heard], [[], []]);
  });

  it('a login is used, and a wrong one is said', async () => {
    const file = join(slapd.tls.cert, '..', 'password');
    writeFileSync(file, closed.password, { mode: 0o600 });
    const login = { url: closed.url, ca: closed.tls.cert, user: closed.user, password: { file } };
    const asked = await asking(login).ask('alice@partner.test', ['directory']);
    assert.deepEqual(thumbprints(asked), [alice.thumbprint]);
    const anonymous = await asking({ url: closed.url, ca: closed.tls.cert }).ask('alice@partner.test', [
      'directory',
    ]);
    assert.deepEqual([anonymous.found.length, anonymous.failed[0]?.error.code], [0, 'lookup-failed']);
    writeFileSync(file, 'wrong');
    const wrong = await asking(login).ask('alice@partner.test', ['directory']);
    assert.match(wrong.failed[0]?.error.message ?? '', /127\.0\.0\.1: .*redential/i);
  });

  it('a server that is not the one of the certificate is refused before anything is said', async () => {
    for (const url of [slapd.url, slapd.startTlsUrl]) {
      const asked = await asking({ url, serverName: 'other.test' }).ask('alice@partner.test', ['directory']);
      assert.deepEqual([asked.found.length, asked.failed[0]?.error.code], [0, 'lookup-failed'], url);
    }
  });

  it('a server without StartTLS gets no password and no question', async () => {
    const said: Buffer[] = [];
    const refusal = [0x78, 0x07, 0x0a, 0x01, 52, 0x04, 0, 0x04, 0];
    const plain = createServer((socket: Socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (octets) => {
        said.push(octets);
        // an extended response that refuses (RFC 4511 section 4.12): unavailable
        socket.write(Buffer.from([0x30, 0x0c, 0x02, 0x01, octets[4] ?? 1, ...refusal]));
      });
    });
    const port = await listening(plain);
    const file = join(slapd.tls.cert, '..', 'secret');
    writeFileSync(file, 'the password', { mode: 0o600 });
    try {
      const asked = await asking({
        ...{ url: `ldap://127.0.0.1:${port}`, user: 'cn=x', password: { file } },
      }).ask('alice@partner.test', ['directory']);
      assert.equal(asked.failed[0]?.error.code, 'lookup-failed');
      const all = Buffer.concat(said).toString('latin1');
      assert.ok(all.includes('1.3.6.1.4.1.1466.20037'));
      assert.ok(!all.includes('the password') && !all.includes('alice'));
    } finally {
      plain.close();
    }
  });

  it('a server that closes after StartTLS is not asked again in clear text', async () => {
    const connections: Buffer[][] = [];
    const success = [0x61, 0x07, 0x0a, 0x01, 0, 0x04, 0, 0x04, 0];
    const files = await makeTlsFiles('IP:127.0.0.1');
    const plain = createServer((socket: Socket) => {
      const said: Buffer[] = [];
      connections.push(said);
      socket.on('error', () => undefined);
      socket.once('data', (octets) => {
        said.push(octets);
        const id = octets[4] ?? 1;
        socket.write(Buffer.from([0x30, 0x0c, 0x02, 0x01, id, 0x78, 0x07, 0x0a, 0x01, 0, 0x04, 0, 0x04, 0]));
        const tls = createTlsServer({ cert: files.pem, key: readFileSync(files.key) });
        tls.on('secureConnection', (secure) => {
          secure.on('error', () => undefined);
          // the login succeeds, and then the connection is over
          secure.once('data', (login) =>
            secure.end(Buffer.from([0x30, 0x0c, 0x02, 0x01, login[4] ?? 2, ...success])),
          );
        });
        tls.on('tlsClientError', () => undefined);
        tls.emit('connection', socket);
      });
    });
    const port = await listening(plain);
    const file = join(slapd.tls.cert, '..', 'secret');
    writeFileSync(file, 'the password', { mode: 0o600 });
    try {
      const settings = { name: 'x', kind: 'ldap', attribute: 'mail', base: slapd.base } as const;
      const login = { user: 'cn=x', password: { file }, ca: files.cert };
      const directory = ldap({ ...settings, ...login, url: `ldap://127.0.0.1:${port}` }, 500);
      const asked = directory.find(parseMailbox('alice@partner.test'), AbortSignal.timeout(5000));
      await assert.rejects(asked, { code: 'lookup-failed' });
      const said = connections.flat();
      assert.ok(!said.some((octets) => octets.includes('the password') || octets.includes('alice')));
      assert.equal(connections.length, 1);
    } finally {
      plain.close();
      files.remove();
    }
  });

  it('an endless answer ends at its limit', async () => {
    const files = await makeTlsFiles('IP:127.0.0.1');
    let sent = 0;
    const endless = createTlsServer({ cert: files.pem, key: readFileSync(files.key) }, (socket) => {
      socket.on('error', () => undefined);
      const piece = Buffer.alloc(64 * 1024);
      // a message of 2 GB begins
      socket.write(Buffer.from('30847fffffff', 'hex'));
      const more = () => {
        while (!socket.destroyed && socket.write(piece)) sent += piece.length;
        if (!socket.destroyed) socket.once('drain', more);
      };
      more();
    });
    const port = await listening(endless);
    try {
      const asked = await asking({ url: `ldaps://127.0.0.1:${port}`, ca: files.cert }).ask(
        'alice@partner.test',
        ['directory'],
      );
      assert.match(asked.failed[0]?.error.message ?? '', /its answer is too large/);
      assert.ok(sent < 32 * 1024 * 1024, `${sent} octets were taken`);
    } finally {
      endless.close();
      files.remove();
    }
  });

  it('an answer is remembered for its time, and other settings are another question', async () => {
    const kept = rememberedValues();
    const first = await asking({}, kept).ask('alice@partner.test', ['directory']);
    assert.equal(first.found.length, 1);
    const again = await asking({}, kept).ask('alice@partner.test', ['directory']);
    assert.deepEqual([again.found.length, again.at], [1, first.at]);
    assert.equal(kept.puts, 1);
    await asking({}, kept).ask('alice@partner.test', ['directory'], { fresh: true });
    await asking({ attribute: 'cn' }, kept).ask('alice@partner.test', ['directory']);
    assert.equal(kept.puts, 3);
  });
});
