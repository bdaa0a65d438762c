/** The peer gpgsm (GnuPG): a private home with its own agent, no CRLs, no network. */
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bareCms } from './artefact.ts';
import { caFileName, type Identity, identityOf, p12Password } from './identities.ts';
import { findProgram, lastLine, run, runOk } from './run.ts';
import {
  type Absent,
  type Artefact,
  type ContentCipher,
  type Digest,
  type InteropCase,
  type Peer,
  PeerError,
  type Role,
} from './types.ts';

/** Names for --cipher-algo; names that gpgsm refuses are included, so that it is tried. */
const cipherOptions: Partial<Record<ContentCipher, string>> = {
  DES: 'DES',
  '3DES': '3DES',
  'RC2-128': 'RFC2268_128',
  'AES-128-CBC': 'AES128',
  'AES-192-CBC': 'AES192',
  'AES-256-CBC': 'AES256',
  'Camellia-128': 'CAMELLIA128',
  'Camellia-192': 'CAMELLIA192',
  'Camellia-256': 'CAMELLIA256',
  'AES-256-GCM': 'AES256.GCM',
};

/** The DER of the object identifiers: gpgsm chooses another digest if it considers the requested one too weak. */
const digestOids: Partial<Record<Digest, string>> = {
  MD5: '06082a864886f70d0205',
  'SHA-1': '06052b0e03021a',
  'SHA-224': '0609608648016503040204',
  'SHA-256': '0609608648016503040201',
  'SHA-384': '0609608648016503040202',
  'SHA-512': '0609608648016503040203',
};

const base = ['--batch', '--no-tty', '--pinentry-mode', 'loopback', '--passphrase-fd', '0'];

function digestName(digest: Digest): string {
  return digest.replace(/^SHA-/, 'SHA');
}

class Gpgsm implements Peer {
  readonly name = 'gpgsm';
  readonly version: string;
  readonly #identities: Map<string, Identity>;
  readonly #imported: Map<string, true | string>;
  readonly #home: string;
  #files = 0;

  constructor(
    version: string,
    identities: Map<string, Identity>,
    imported: Map<string, true | string>,
    home: string,
  ) {
    this.version = version;
    this.#identities = identities;
    this.#imported = imported;
    this.#home = home;
  }

  can(each: InteropCase, role: Role): true | string {
    if (each.type === 'compression') return 'no CompressedData';
    if (each.type === 'encryption') {
      const { kind } = each.keyManagement;
      if (kind === 'kek' || kind === 'password') return `no recipient of the kind ${kind}`;
      if (role === 'write') {
        if (each.byKeyId) return 'no option for the key identifier';
        if (kind === 'rsa-oaep') return 'no option for OAEP';
        if (kind === 'ecdh' && each.keyManagement.cofactor) return 'no option for cofactor agreement';
        if (cipherOptions[each.cipher] === undefined) return 'no such cipher name';
      }
      return this.#has(each.recipient);
    }
    if (role === 'read') return true;
    if (!each.attributes) return 'no option to leave out the signed attributes';
    if (each.byKeyId) return 'no option for the key identifier';
    if (each.scheme === 'pss') return 'no option for PSS';
    return this.#has(each.signer);
  }

  async write(each: InteropCase, content: Buffer): Promise<Artefact> {
    if (each.type === 'encryption') {
      const cipher = ['--cipher-algo', cipherOptions[each.cipher] ?? ''];
      const recipient = ['-r', this.#fingerprint(each.recipient)];
      return { form: 'cms', octets: await this.#gpgsm([...cipher, ...recipient, '-e'], content) };
    }
    if (each.type !== 'signature') throw new PeerError('no CompressedData');
    const args = ['--digest-algo', digestName(each.digest), '-u', this.#fingerprint(each.signer)];
    const octets = await this.#gpgsm([...args, each.form === 'opaque' ? '--sign' : '--detach-sign'], content);
    if (!octets.includes(Buffer.from(digestOids[each.digest] ?? '', 'hex')))
      throw new PeerError('chose another digest');
    return each.form === 'opaque' ? { form: 'cms', octets } : { form: 'cms', octets, content };
  }

  async read(each: InteropCase, message: Artefact): Promise<Buffer> {
    const { octets, content } = bareCms(message);
    if (each.type === 'encryption') return await this.#gpgsm(['-d'], octets);
    if (content === undefined) return await this.#gpgsm(['--verify'], octets);
    const file = join(this.#home, `content-${this.#files++}`);
    await writeFile(file, content);
    await this.#gpgsm(['--verify'], octets, file);
    return content;
  }

  async close(): Promise<void> {
    const asked = await run('gpg-connect-agent', ['--no-autostart', 'GETINFO pid', '/bye'], {
      env: { GNUPGHOME: this.#home },
    }).catch(() => undefined);
    const pid = Number(/^D (\d+)/m.exec(asked?.stdout.toString() ?? '')?.[1]);
    try {
      if (pid > 1) process.kill(pid, 'SIGTERM');
    } catch {} // it has ended by itself
    await rm(this.#home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }

  #has(name: string | undefined): true | string {
    return this.#imported.get(name ?? '') ?? 'no such key in its home';
  }

  #fingerprint(name: string | undefined): string {
    const { der } = identityOf(this.#identities, name);
    return new X509Certificate(der).fingerprint.replaceAll(':', '');
  }

  async #gpgsm(args: string[], input: Buffer, signed?: string): Promise<Buffer> {
    const from = join(this.#home, `in-${this.#files++}`);
    const to = join(this.#home, `out-${this.#files++}`);
    await writeFile(from, input);
    try {
      const files = signed === undefined ? [from] : [from, signed];
      const env = { GNUPGHOME: this.#home };
      const ran = await run('gpgsm', [...base, '--yes', '-o', to, ...args, ...files], {
        env,
        input: 'test\n',
      });
      if (ran.code !== 0) throw new PeerError(lastLine(ran.stderr));
      return signed === undefined ? await readFile(to) : Buffer.alloc(0);
    } finally {
      await rm(from, { force: true });
      await rm(to, { force: true });
    }
  }
}

async function importP12(home: string, identity: Identity): Promise<string | undefined> {
  const options = { env: { GNUPGHOME: home }, input: `${p12Password}\n` };
  const ran = await run('gpgsm', [...base, '--import', identity.p12File], options);
  return ran.code === 0 ? undefined : lastLine(ran.stderr);
}

/** gpgsm 2.2 crashes on elliptic curve keys in PKCS#12: its agent gets the key as the S-expression that it keeps. */
async function placeKey(home: string, identity: Identity): Promise<string | undefined> {
  const env = { GNUPGHOME: home };
  const ran = await run('gpgsm', [...base, '--import', identity.certFile], { env });
  if (ran.code !== 0) return lastLine(ran.stderr);
  const listed = await run('gpgsm', [...base, '--with-colons', '--with-keygrip', '-k', identity.email], {
    env,
  });
  const grip = /^grp:+([0-9A-F]{40}):/m.exec(listed.stdout.toString())?.[1];
  if (grip === undefined) return 'it tells no keygrip';
  const secret = createPrivateKey(identity.keyPem).export({ type: 'sec1', format: 'der' });
  // ECPrivateKey (RFC 5915): version 1, then the OCTET STRING of the key; shorter than 128 octets
  const at = secret.indexOf(Buffer.from('02010104', 'hex')) + 4;
  const d = secret.subarray(at + 1, at + 1 + (secret[at] ?? 0));
  const point = createPublicKey(identity.certPem).export({ type: 'spki', format: 'der' });
  const q = point.subarray(point.length - 1 - 2 * d.length);
  const atom = (octets: Buffer) => Buffer.concat([Buffer.from(`${octets.length}:`), octets]);
  const key = [
    Buffer.from('(11:private-key(3:ecc(5:curve'),
    atom(Buffer.from(identity.curve ?? '')),
    Buffer.from(')(1:q'),
    atom(q),
    Buffer.from(')(1:d'),
    atom(d),
    Buffer.from(')))'),
  ];
  await writeFile(join(home, 'private-keys-v1.d', `${grip}.key`), Buffer.concat(key), { mode: 0o600 });
  return undefined;
}

/** The peer, or that it is not installed. Its home is a folder of its own: paths of agent sockets must be short. */
export async function startGpgsm(identities: Map<string, Identity>, folder: string): Promise<Peer | Absent> {
  for (const program of ['gpgsm', 'gpg-agent', 'gpg-connect-agent'])
    if (findProgram(program) === undefined) return { name: 'gpgsm', missing: `${program} is not installed` };
  const home = await mkdtemp(join(tmpdir(), 'gsm-'));
  const env = { GNUPGHOME: home };
  const quiet = 'disable-dirmngr\ndisable-crl-checks\ndisable-policy-checks\nno-secmem-warning\n';
  await writeFile(join(home, 'gpgsm.conf'), quiet);
  await writeFile(join(home, 'gpg-agent.conf'), 'disable-scdaemon\nallow-loopback-pinentry\n');
  const ca = await readFile(join(folder, caFileName));
  const root = new X509Certificate(ca).fingerprint.replaceAll(':', '');
  await writeFile(join(home, 'trustlist.txt'), `${root} S relax\n`);
  await runOk('gpgsm', [...base, '--import', join(folder, caFileName)], { env });
  await mkdir(join(home, 'private-keys-v1.d'), { mode: 0o700 });
  const imported = new Map<string, true | string>();
  for (const identity of identities.values()) {
    if (identity.p12File === '') continue;
    const refused =
      identity.curve === undefined ? await importP12(home, identity) : await placeKey(home, identity);
    imported.set(identity.name, refused === undefined ? true : `does not import that key: ${refused}`);
  }
  const { stdout } = await run('gpgsm', ['--version']);
  const version = /\d+\.\d+\.\d+/.exec(stdout.toString())?.[0] ?? 'version unknown';
  return new Gpgsm(version, identities, imported, home);
}
