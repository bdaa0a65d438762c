import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { oids } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { encodeSignedData } from '../../src/cms/index.ts';
import { createRevocationFetcher, type FetcherSettings } from '../../src/partner/authorities.ts';
import { RevocationCache } from '../../src/pki/index.ts';
import { decode, type Signer, type Verdict } from '../../src/smime/index.ts';
import { verdictSchema } from '../../src/smime/verdict/verdict-schema.ts';
import { createTestCa, type Issued, type TestExtension } from '../support/ca.ts';

const folder = mkdtempSync(join(tmpdir(), 'sealpost-revocation-'));
after(() => rmSync(folder, { recursive: true }));

type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;
const handlers = new Map<string, Handler>();
const asked: string[] = [];
const server = createServer((request, response) => {
  asked.push(request.url ?? '');
  const handler = handlers.get(request.url ?? '');
  if (handler === undefined) response.writeHead(404).end();
  else void handler(request, response);
});
let host = '';
before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  host = `127.0.0.1:${port}`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

const settings = (change: Partial<FetcherSettings> = {}): FetcherSettings => ({
  hosts: [host],
  timeout: 30_000,
  maxSize: 1 << 20,
  allowPrivate: true,
  ...change,
});

const root = createTestCa('Root');
const uri = (url: string) => der.implicit(6, false, Buffer.from(url));
const listAt = (url: string): TestExtension => ({
  oid: oids.cRLDistributionPoints,
  value: der.sequence(der.sequence(der.explicit(0, der.implicit(0, true, uri(url))))),
});
const responderAt = (url: string): TestExtension => ({
  oid: oids.authorityInfoAccess,
  value: der.sequence(der.sequence(der.oid(oids.ocsp), uri(url))),
});

function signer(...extensions: TestExtension[]): Issued {
  return root.issue({ commonName: 'Signer', email: 'signer@example.com', extensions });
}

async function judged(
  { certificate, identity }: Issued,
  mode: 'soft' | 'hard',
  change: Partial<FetcherSettings> = {},
): Promise<{ verdict: Verdict; signer: Signer }> {
  const message = encodeSignedData(Buffer.from('Content-Type: text/plain\r\n\r\nx'), {
    signers: [{ certificate, privateKey: identity.privateKey }],
  });
  const now = new Date();
  const { verdict } = await decode(message, {
    identities: [],
    at: now,
    trust: {
      anchors: [root.certificate],
      revocationCheck: {
        mode,
        fetch: createRevocationFetcher(settings(change)),
        cache: new RevocationCache(),
        now,
      },
    },
  });
  verdictSchema.parse(verdict);
  const [first] = verdict.layers.flatMap((layer) => ('signers' in layer ? layer.signers : []));
  assert.ok(first);
  return { verdict, signer: first };
}

/** A responder that has openssl answer about one certificate. */
function responder(path: string, { certificate }: Issued, revoked: boolean): void {
  handlers.set(path, async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const serial = certificate.serialHex.toUpperCase();
    const line = revoked
      ? `R\t400101000000Z\t260101000000Z,keyCompromise\t${serial}\tunknown\t/CN=x\n`
      : `V\t400101000000Z\t\t${serial}\tunknown\t/CN=x\n`;
    const write = (name: string, data: string | Buffer) => writeFileSync(join(folder, name), data);
    write('index.txt', line);
    write('ca.pem', root.certPem);
    write('ca.key', root.keyPem);
    write('request.der', Buffer.concat(chunks));
    const files = ['-index', 'index.txt', '-CA', 'ca.pem', '-rsigner', 'ca.pem', '-rkey', 'ca.key'];
    execFileSync(
      'openssl',
      ['ocsp', ...files, '-reqin', 'request.der', '-respout', 'answer.der', '-ndays', '1'],
      {
        cwd: folder,
        stdio: 'ignore',
      },
    );
    response.writeHead(200, { 'Content-Type': 'application/ocsp-response' });
    response.end(readFileSync(join(folder, 'answer.der')));
  });
}

describe('revocation over HTTP', () => {
  for (const revoked of [false, true]) {
    it(`takes the word of a list: ${revoked ? 'revoked' : 'good'}`, async () => {
      const issued = signer(listAt(`http://${host}/list-${revoked}.crl`));
      const thisUpdate = new Date(Date.now() - 3_600_000);
      const list = root.crl({ revoked: revoked ? [issued.certificate] : [], thisUpdate });
      handlers.set(`/list-${revoked}.crl`, (_, response) => void response.end(list));
      const { verdict, signer: found } = await judged(issued, 'soft');
      assert.equal(found.revocation.status, revoked ? 'revoked' : 'good');
      assert.equal(found.revocation.source, 'crl');
      assert.ok((found.revocation.ageSeconds ?? 0) >= 3599);
      assert.equal(verdict.signature, revoked ? 'untrusted' : 'valid');
      assert.equal(verdict.integrity, revoked ? 'none' : 'signed');
      assert.equal(found.reason, revoked ? 'revoked' : null);
      assert.equal(found.chain.length, revoked ? 0 : 2);
    });

    it(`takes the word of openssl's responder: ${revoked ? 'revoked' : 'good'}`, async () => {
      const issued = signer(responderAt(`http://${host}/ocsp-${revoked}`));
      responder(`/ocsp-${revoked}`, issued, revoked);
      const { verdict, signer: found } = await judged(issued, 'hard');
      assert.deepEqual(
        [found.revocation.status, found.revocation.source, verdict.signature],
        revoked ? ['revoked', 'ocsp', 'untrusted'] : ['good', 'ocsp', 'valid'],
      );
    });
  }

  it('leaves the unknown trusted when soft, says why, and refuses it when hard', async () => {
    const issued = signer(listAt(`http://${host}/nothing.crl`));
    const soft = await judged(issued, 'soft');
    assert.deepEqual([soft.verdict.signature, soft.signer.revocation.status], ['valid', 'unknown']);
    assert.match(soft.signer.revocation.message ?? '', /nothing\.crl: the answer was 404/);
    const hard = await judged(issued, 'hard');
    assert.deepEqual([hard.verdict.signature, hard.signer.reason], ['untrusted', 'revocation-unknown']);
  });

  it('does not take a list that another authority signed', async () => {
    const issued = signer(listAt(`http://${host}/forged.crl`));
    const forged = createTestCa('Root', { freshKey: true }).crl({ revoked: [issued.certificate] });
    handlers.set('/forged.crl', (_, response) => void response.end(forged));
    assert.equal((await judged(issued, 'soft')).signer.revocation.status, 'unknown');
  });
});

describe('what S9 forbids to ask', () => {
  const fetcher = (change: Partial<FetcherSettings> = {}) => createRevocationFetcher(settings(change));
  const get = (url: string, change: Partial<FetcherSettings> = {}) =>
    fetcher(change)({ kind: 'crl', url, maxLength: 1 << 26 });

  for (const url of ['ldap://pki.example.com/cn=x', 'file:///etc/passwd', 'ftp://pki.example.com/x']) {
    it(`${url} is no address of the web`, async () => {
      await assert.rejects(get(url, { hosts: ['pki.example.com', ''] }), /only http and https/);
    });
  }

  it('hosts that the operator does not name, and what only looks like them', async () => {
    const hosts = ['pki.example.com', '*.crl.example.net'];
    for (const url of [
      'http://169.254.169.254/latest/meta-data',
      'http://example.com/x.crl',
      'http://pki.example.com.evil.example/x.crl',
      'http://pki.example.com@evil.example/x.crl',
      'http://user@pki.example.com/x.crl',
      'http://user:password@pki.example.com/x.crl',
      'http://:password@pki.example.com/x.crl',
      'http://pki.example.com:8080/x.crl',
      'http://evilcrl.example.net/x.crl',
    ]) {
      await assert.rejects(get(url, { hosts }), /trust\.revocation\.hosts/, url);
    }
  });

  it('private addresses, also behind a name, unless they are allowed', async () => {
    const before = asked.length;
    const { port } = server.address() as AddressInfo;
    for (const name of ['127.0.0.1', 'localhost', '[::1]', '2130706433', '0x7f.1', '[::ffff:127.0.0.1]']) {
      const target = new URL(`http://${name}:${port}/x.crl`);
      await assert.rejects(
        get(target.href, { hosts: [target.host], allowPrivate: false }),
        /not public/,
        name,
      );
    }
    assert.equal(asked.length, before, 'nobody was asked');
  });

  it('redirects, wherever they lead', async () => {
    handlers.set('/moved.crl', (_, response) => {
      response.writeHead(302, { Location: `http://${host}/list-false.crl` }).end();
    });
    const before = asked.length;
    await assert.rejects(get(`http://${host}/moved.crl`), /the answer was 302/);
    assert.deepEqual(asked.slice(before), ['/moved.crl']);
  });

  it('answers without an end, by size', async () => {
    let sent = 0;
    handlers.set('/endless.crl', async (_, response) => {
      const piece = Buffer.alloc(65_536);
      while (!response.destroyed) {
        sent += piece.length;
        if (!response.write(piece)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
      }
    });
    await assert.rejects(get(`http://${host}/endless.crl`), /more than 1048576 octets/);
    assert.ok(sent < 64 << 20);
  });

  it('answers that do not come, by time', async () => {
    handlers.set('/silent.crl', () => {});
    handlers.set('/slow.crl', (_, response) => {
      response.writeHead(200);
      response.write('x');
    });
    await assert.rejects(get(`http://${host}/silent.crl`, { timeout: 200 }), /no answer within 200 ms/);
    await assert.rejects(get(`http://${host}/slow.crl`, { timeout: 200 }), /no answer within 200 ms/);
  });
});
