/**
 * The peer OpenSSL: its command `openssl cms`, with the legacy provider for DES and RC2. Writes and reads whole mails.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { caFileName, type Identity, identityOf } from './identities.ts';
import { findProgram, run, runOk } from './run.ts';
import {
  type Absent,
  type Artefact,
  type ContentCipher,
  type Digest,
  type EncryptionCase,
  type InteropCase,
  type Peer,
  PeerError,
  type Role,
  type SignatureCase,
  type Wrap,
} from './types.ts';

const cipherOptions: Partial<Record<ContentCipher, string>> = {
  DES: '-des-cbc',
  '3DES': '-des3',
  'RC2-40': '-rc2-40',
  'RC2-64': '-rc2-64',
  'RC2-128': '-rc2-128',
  'AES-128-CBC': '-aes128',
  'AES-192-CBC': '-aes192',
  'AES-256-CBC': '-aes256',
  'AES-128-GCM': '-aes-128-gcm',
  'AES-192-GCM': '-aes-192-gcm',
  'AES-256-GCM': '-aes-256-gcm',
  'AES-128-CCM': '-aes-128-ccm',
  'AES-256-CCM': '-aes-256-ccm',
  'ChaCha20-Poly1305': '-chacha20-poly1305',
  CAST5: '-cast5-cbc',
  'Camellia-128': '-camellia128',
  'Camellia-192': '-camellia192',
  'Camellia-256': '-camellia256',
};

const wrapOptions: Partial<Record<Wrap, string>> = {
  'AES-128': '-aes128-wrap',
  'AES-192': '-aes192-wrap',
  'AES-256': '-aes256-wrap',
  '3DES': '-des3-wrap',
};

/** The name of a digest as openssl's options have it. */
function md(digest: Digest): string {
  return digest.toLowerCase().replace(/^sha-/, 'sha');
}

function keyOptions(each: EncryptionCase): string[] {
  const how = each.keyManagement;
  switch (how.kind) {
    case 'rsa-oaep': {
      const label =
        how.label === undefined ? [] : [`rsa_oaep_label:${Buffer.from(how.label).toString('hex')}`];
      return [
        'rsa_padding_mode:oaep',
        `rsa_oaep_md:${md(how.digest)}`,
        `rsa_mgf1_md:${md(how.mgf)}`,
        ...label,
      ];
    }
    case 'ecdh':
      return [`ecdh_kdf_md:${md(how.kdf)}`, `ecdh_cofactor_mode:${how.cofactor ? 1 : 0}`];
    default:
      return [];
  }
}

function cannot(each: InteropCase, role: Role): string | undefined {
  if (each.type !== 'encryption' || role === 'read') return undefined;
  const how = each.keyManagement;
  if (cipherOptions[each.cipher] === undefined) return 'no such cipher option';
  if ('wrap' in how && wrapOptions[how.wrap] === undefined) return `no option for ${how.wrap} wrap`;
  if ('ukm' in how && how.ukm !== undefined) return 'no option for user keying material';
  return undefined;
}

const program = ['cms', '-provider', 'default', '-provider', 'legacy'];

class Openssl implements Peer {
  readonly name = 'OpenSSL';
  readonly version: string;
  readonly #identities: Map<string, Identity>;
  readonly #folder: string;
  #files = 0;

  constructor(version: string, identities: Map<string, Identity>, folder: string) {
    this.version = version;
    this.#identities = identities;
    this.#folder = folder;
  }

  can(each: InteropCase, role: Role): true | string {
    return cannot(each, role) ?? true;
  }

  async write(each: InteropCase, content: Buffer): Promise<Artefact> {
    const args = [...this.#writeOptions(each), '-outform', 'SMIME', '-crlfeol'];
    return {
      form: 'mail',
      octets: await runOk('openssl', [...program, '-binary', ...args], { input: content }),
    };
  }

  async read(each: InteropCase, message: Artefact): Promise<Buffer> {
    const args = [...this.#readOptions(each), '-inform', message.form === 'mail' ? 'SMIME' : 'DER'];
    if (message.form === 'cms' && message.content !== undefined) {
      const file = join(this.#folder, `openssl-content-${this.#files++}`);
      await writeFile(file, message.content);
      args.push('-content', file);
    }
    // with -binary it reads the first part of a multipart/signed wrongly; without, it writes LF line ends
    const text = each.type === 'signature' && message.form === 'mail' && each.form === 'detached';
    const out = await runOk('openssl', [...program, ...(text ? ['-crlfeol'] : ['-binary']), ...args], {
      input: message.octets,
    });
    return out;
  }

  async close(): Promise<void> {}

  #writeOptions(each: InteropCase): string[] {
    if (each.type === 'compression') return ['-compress'];
    if (each.type === 'signature') return this.#signOptions(each);
    const how = each.keyManagement;
    const args = ['-encrypt', cipherOptions[each.cipher] ?? ''];
    if ('wrap' in how && how.kind !== 'kek') args.push(wrapOptions[how.wrap] ?? '');
    if (each.byKeyId) args.push('-keyid');
    if (how.kind === 'password') return [...args, '-pwri_password', how.password];
    if (how.kind === 'kek') return [...args, '-secretkey', how.secret, '-secretkeyid', how.id];
    if (how.kind === 'dh' && how.static) {
      const sender = identityOf(this.#identities, 'dh-x942-sender');
      args.push('-originator', sender.certFile, '-inkey', sender.keyFile);
    }
    args.push('-recip', identityOf(this.#identities, each.recipient).certFile);
    for (const option of keyOptions(each)) args.push('-keyopt', option);
    return args;
  }

  #signOptions(each: SignatureCase): string[] {
    const signer = identityOf(this.#identities, each.signer);
    const args = ['-sign', '-signer', signer.certFile, '-inkey', signer.keyFile];
    if (each.scheme !== 'eddsa') args.push('-md', md(each.digest));
    if (each.scheme === 'pss') args.push('-keyopt', 'rsa_padding_mode:pss');
    if (each.form === 'opaque') args.push('-nodetach');
    if (!each.attributes) args.push('-noattr');
    if (each.byKeyId) args.push('-keyid');
    return args;
  }

  #readOptions(each: InteropCase): string[] {
    if (each.type === 'compression') return ['-uncompress'];
    if (each.type === 'signature') return ['-verify', '-CAfile', join(this.#folder, caFileName)];
    const how = each.keyManagement;
    const args = ['-decrypt', '-debug_decrypt'];
    if (how.kind === 'password') return [...args, '-pwri_password', how.password];
    if (how.kind === 'kek') return [...args, '-secretkey', how.secret, '-secretkeyid', how.id];
    if (how.kind === 'dh' && how.static)
      args.push('-originator', identityOf(this.#identities, 'dh-x942-sender').certFile);
    const recipient = identityOf(this.#identities, each.recipient);
    return [...args, '-recip', recipient.certFile, '-inkey', recipient.keyFile];
  }
}

/** The peer, or that it is not installed. `folder` is where the identities lie. */
export async function startOpenssl(
  identities: Map<string, Identity>,
  folder: string,
): Promise<Peer | Absent> {
  if (findProgram('openssl') === undefined) return { name: 'OpenSSL', missing: 'openssl is not installed' };
  const { stdout } = await run('openssl', ['version']);
  const version = stdout.toString().split(' ')[1];
  if (version === undefined) throw new PeerError('openssl does not tell its version');
  return new Openssl(version, identities, folder);
}
