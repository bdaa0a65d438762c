/**
 * The peer NSS (Debian's libnss3-tools): `cmsutil` over a private database. It chooses the content cipher itself from
 * the certificates, so what it wrote is looked at.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bareCms } from './artefact.ts';
import { caFileName, type Identity, identityOf, p12Password } from './identities.ts';
import { findProgram, run, runOk } from './run.ts';
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

const digestOptions: Partial<Record<Digest, string>> = {
  MD5: 'MD5',
  'SHA-1': 'SHA1',
  'SHA-256': 'SHA256',
  'SHA-384': 'SHA384',
  'SHA-512': 'SHA512',
};

/** The DER of the object identifiers of the ciphers that NSS may choose. */
const cipherOids: Partial<Record<ContentCipher, string>> = {
  '3DES': '06082a864886f70d0307',
  'AES-128-CBC': '0609608648016503040102',
  'AES-192-CBC': '0609608648016503040116',
  'AES-256-CBC': '060960864801650304012a',
};

class Nss implements Peer {
  readonly name = 'NSS';
  readonly version: string;
  readonly #identities: Map<string, Identity>;
  readonly #imported: Map<string, true | string>;
  readonly #folder: string;
  #files = 0;

  constructor(
    version: string,
    identities: Map<string, Identity>,
    imported: Map<string, true | string>,
    folder: string,
  ) {
    this.version = version;
    this.#identities = identities;
    this.#imported = imported;
    this.#folder = folder;
  }

  can(each: InteropCase, role: Role): true | string {
    if (each.type === 'compression') return 'no CompressedData';
    if (each.type === 'encryption') {
      const { kind } = each.keyManagement;
      if (kind === 'kek' || kind === 'password') return `no recipient of the kind ${kind}`;
      if (role === 'write') {
        if (each.byKeyId) return 'no option for the key identifier';
        if (kind === 'rsa-oaep') return 'no option for OAEP';
        if (cipherOids[each.cipher] === undefined) return 'never chooses that cipher';
      }
      return this.#has(each.recipient);
    }
    if (role === 'read') return true;
    if (!each.attributes) return 'no option to leave out the signed attributes';
    if (each.byKeyId) return 'no option for the key identifier';
    if (each.scheme === 'pss') return 'no option for PSS';
    if (digestOptions[each.digest] === undefined) return `no option for ${each.digest}`;
    return this.#has(each.signer);
  }

  async write(each: InteropCase, content: Buffer): Promise<Artefact> {
    if (each.type === 'encryption') {
      const { email } = identityOf(this.#identities, each.recipient);
      const octets = await this.#cmsutil(['-E', '-r', email], content);
      if (!octets.includes(Buffer.from(cipherOids[each.cipher] ?? '', 'hex')))
        throw new PeerError('chose another content cipher');
      return { form: 'cms', octets };
    }
    if (each.type !== 'signature') throw new PeerError('no CompressedData');
    const args = ['-S', '-G', '-P', '-N', each.signer, '-H', digestOptions[each.digest] ?? ''];
    if (each.form === 'opaque') return { form: 'cms', octets: await this.#cmsutil(args, content) };
    return { form: 'cms', octets: await this.#cmsutil([...args, '-T'], content), content };
  }

  async read(_each: InteropCase, message: Artefact): Promise<Buffer> {
    const { octets, content } = bareCms(message);
    if (content === undefined) return await this.#cmsutil(['-D'], octets);
    const file = this.#file('content');
    await writeFile(file, content);
    await this.#cmsutil(['-D', '-c', file], octets);
    return content;
  }

  async close(): Promise<void> {}

  #has(name: string | undefined): true | string {
    return this.#imported.get(name ?? '') ?? 'no such key in its database';
  }

  #file(kind: string): string {
    return join(this.#folder, `${kind}-${this.#files++}`);
  }

  async #cmsutil(args: string[], input: Buffer): Promise<Buffer> {
    const from = this.#file('in');
    const to = this.#file('out');
    await writeFile(from, input);
    try {
      const files = ['-d', `sql:${this.#folder}`, '-i', from, '-o', to];
      await runOk('cmsutil', [...args, ...files]);
      return await readFile(to);
    } finally {
      await rm(from, { force: true });
      await rm(to, { force: true });
    }
  }
}

async function version(): Promise<string> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a field of dpkg-query
  const ran = await run('dpkg-query', ['-W', '-f', '${source:Upstream-Version}', 'libnss3']).catch(
    () => undefined,
  );
  return ran?.code === 0 ? ran.stdout.toString() : 'version unknown';
}

/** The peer, or that it is not installed. `folder` is where the identities lie; its database goes below. */
export async function startNss(identities: Map<string, Identity>, folder: string): Promise<Peer | Absent> {
  for (const program of ['cmsutil', 'certutil', 'pk12util'])
    if (findProgram(program) === undefined)
      return { name: 'NSS', missing: `${program} (libnss3-tools) is not installed` };
  const base = join(folder, 'nss');
  await mkdir(base);
  const db = ['-d', `sql:${base}`];
  await runOk('certutil', ['-N', ...db, '--empty-password']);
  await runOk('certutil', ['-A', ...db, '-n', 'ca', '-t', 'CT,C,C', '-a', '-i', join(folder, caFileName)]);
  const imported = new Map<string, true | string>();
  for (const identity of identities.values()) {
    if (identity.p12File === '') continue;
    const ran = await run('pk12util', ['-i', identity.p12File, ...db, '-W', p12Password, '-K', '']);
    imported.set(identity.name, ran.code === 0 ? true : 'its database does not take that kind of key');
  }
  return new Nss(await version(), identities, imported, base);
}
