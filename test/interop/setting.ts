/** Keys, our side and the installed peers, ready for use; for the matrix and its tests. */
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  createIdentity,
  type Identity as Own,
  parseCertificate,
  readCertificates,
} from '../../src/pki/index.ts';
import type { EncodeOptions } from '../../src/smime/encode/options.ts';
import { type DecodeResult, decode } from '../../src/smime/index.ts';
import { startBouncyCastle } from '../support/peers/bouncy-castle.ts';
import { startGpgsm } from '../support/peers/gpgsm.ts';
import { caFileName, type Identity, identityOf, makeIdentities } from '../support/peers/identities.ts';
import { startNss } from '../support/peers/nss.ts';
import { startOpenssl } from '../support/peers/openssl.ts';
import { runOk } from '../support/peers/run.ts';
import { startSealpost } from '../support/peers/sealpost.ts';
import { type Absent, isAbsent, type Peer, type StartPeer } from '../support/peers/types.ts';

/** The content of all cases: a MIME entity, canonical, longer than a few blocks of every cipher. */
export const content = Buffer.from(
  'Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n' +
    `${'The quick brown fox jumps over the lazy dog.\r\n'.repeat(40)}The end.\r\n`,
);

/** The header before the content in a mail to encode. */
export const head = Buffer.from('From: us@example.com\r\nTo: peer@example.com\r\nSubject: interop\r\n');

/** The content as a mail that is to be encoded. */
export const mail = Buffer.concat([head, content]);

const starters = {
  openssl: startOpenssl,
  bouncyCastle: startBouncyCastle,
  nss: startNss,
  gpgsm: startGpgsm,
} satisfies Record<string, StartPeer>;

type PeerName = keyof typeof starters;
const allPeers: PeerName[] = ['openssl', 'bouncyCastle', 'nss', 'gpgsm'];

export class Setting {
  readonly us: Peer;
  readonly peers: Peer[];
  readonly absent: Absent[];
  /** Where the identities lie. */
  readonly folder: string;
  readonly #identities: Map<string, Identity>;

  private constructor(
    folder: string,
    identities: Map<string, Identity>,
    us: Peer,
    peers: Peer[],
    absent: Absent[],
  ) {
    this.folder = folder;
    this.#identities = identities;
    this.us = us;
    this.peers = peers;
    this.absent = absent;
  }

  /** Makes keys and starts the peers: all, or those that a test needs. */
  static async start(names: PeerName[] = allPeers): Promise<Setting> {
    const folder = await mkdtemp(join(tmpdir(), 'sealpost-interop-'));
    const started: Peer[] = [];
    try {
      const identities = await makeIdentities(folder);
      const all = await Promise.all(names.map((name) => starters[name](identities, folder)));
      started.push(...all.filter((peer): peer is Peer => !isAbsent(peer)));
      const us = await startSealpost(identities, folder);
      return new Setting(folder, identities, us, started, all.filter(isAbsent));
    } catch (error) {
      await end(folder, started);
      throw error;
    }
  }

  /** Ends what was started and removes the folder. */
  async close(): Promise<void> {
    await end(this.folder, this.peers);
  }

  /** The installed peers; skips if there is none. In CI all must be installed. */
  installed(t: TestContext): Peer[] {
    for (const { name, missing } of this.absent) t.diagnostic(`without ${name}: ${missing}`);
    if (process.env.CI === 'true') assert.deepEqual(this.absent, []);
    if (this.peers.length === 0) t.skip('no peer is installed');
    return this.peers;
  }

  /** File of the CA's certificate. */
  get caFile(): string {
    return join(this.folder, caFileName);
  }

  identity(name: string): Identity {
    return identityOf(this.#identities, name);
  }

  /** The identity as our own code has it. */
  own(name: string): Own {
    const { der, keyPem } = this.identity(name);
    return createIdentity(name, [parseCertificate(der)], createPrivateKey(keyPem));
  }

  /** Decodes with the keys of that name. */
  async read(message: Buffer, ...names: string[]): Promise<DecodeResult> {
    const trust = { anchors: readCertificates(await readFile(this.caFile)) };
    return await decode(message, {
      identities: names.map((name) => this.own(name)),
      trust,
      at: new Date(),
    });
  }

  /** Options of our encoder: encrypt for the certificates of that name. */
  encryptTo(...names: string[]): EncodeOptions {
    return {
      recipients: names.map((name) => this.own(name).certificate),
      contentEncryption: 'aes-256-cbc',
      keyTransport: 'pkcs1',
    };
  }

  /** Options of our encoder: sign as that identity. */
  signAs(name: string, sign: 'opaque' | 'detached'): EncodeOptions {
    return { identity: this.own(name), sign, digest: 'sha256', signatureScheme: 'pkcs1', at: new Date() };
  }

  /** Runs openssl with the octets on standard input. */
  async openssl(args: string[], input: Buffer): Promise<Buffer> {
    return await runOk('openssl', args, { input, cwd: this.folder });
  }

  /** Options of openssl for the key of that name: `-recip` or `-signer`. */
  keyOptions(option: '-recip' | '-signer', name: string): string[] {
    const { certFile, keyFile } = this.identity(name);
    return [option, certFile, '-inkey', keyFile];
  }
}

async function end(folder: string, peers: Peer[]): Promise<void> {
  for (const peer of peers) await peer.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}
