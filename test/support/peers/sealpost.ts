/**
 * Our own codec behind the interface of a peer. It writes whole mails with `encode`; what only the CMS layer has an
 * option for (key identifiers, labels) it writes as bare CMS.
 */
import { createPrivateKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CompressedDataWriter,
  ContentDigests,
  encodeDetachedSignature,
  encodeEnvelopedData,
  encodeSignedData,
  type RecipientOptions,
  type SignedDataOptions,
  signingDigests,
} from '../../../src/cms/index.ts';
import { SealpostError } from '../../../src/errors.ts';
import { BufferSink } from '../../../src/message/index.ts';
import {
  createIdentity,
  type Identity as Own,
  parseCertificate,
  readCertificates,
} from '../../../src/pki/index.ts';
import { encodeSync } from '../../../src/smime/encode/encode.ts';
import type { EncodeOptions } from '../../../src/smime/encode/options.ts';
import type { KeyTransport } from '../../../src/smime/encode/presets.ts';
import { decode } from '../../../src/smime/index.ts';
import type { Verdict } from '../../../src/smime/verdict/verdict-schema.ts';
import { asMail, bareCms } from './artefact.ts';
import { cipherName, difference, digestName, wrapName } from './facts.ts';
import { caFileName, type Identity, identityOf } from './identities.ts';
import { decryptShared, encryptShared, isShared } from './shared-secrets.ts';
import {
  type Artefact,
  type EncryptionCase,
  type InteropCase,
  type KeyManagement,
  NotYetError,
  type Peer,
  PeerError,
  type Role,
  type SignatureCase,
} from './types.ts';

const head = 'From: us@example.com\r\nTo: peer@example.com\r\nSubject: interop\r\nMIME-Version: 1.0\r\n';

/** Codes by which the codec says that it has no such algorithm, in distinction to "this message is broken". */
const notYetCodes = ['cms-unsupported', 'encode-recipient', 'encode-signer'];
/** The same for one signer. */
const notYetReasons = ['digest-unsupported', 'signature-unsupported'];

/** What the codec threw, in the terms of the matrix. */
function refusal(error: unknown): Error {
  if (!(error instanceof SealpostError)) return error instanceof Error ? error : new Error(String(error));
  const text = `${error.code}: ${error.message}`;
  return notYetCodes.includes(error.code) ? new NotYetError(text) : new PeerError(text);
}

/** Throws when the verdict is not what a message of the case deserves. */
function judge(each: InteropCase, verdict: Verdict): void {
  if (verdict.error !== null) {
    const text = `${verdict.error.code}: ${verdict.error.message}`;
    throw notYetCodes.includes(verdict.error.code) ? new NotYetError(text) : new PeerError(text);
  }
  if (each.type === 'encryption' && !verdict.encrypted) throw new PeerError('the verdict is not "encrypted"');
  if (each.type !== 'signature' || verdict.signature === 'valid') {
    const unlike = difference(each, verdict);
    if (unlike !== undefined) throw new PeerError(`the verdict says ${unlike}`);
    return;
  }
  const signers = verdict.layers.flatMap((layer) => ('signers' in layer ? layer.signers : []));
  const said = signers.map(({ reason, message }) => `${reason}: ${message}`).join('; ');
  const text = `signature ${verdict.signature}: ${said}`;
  const unsupported = signers.some(({ reason }) => notYetReasons.includes(reason ?? ''));
  throw unsupported ? new NotYetError(text) : new PeerError(text);
}

/** As from a network: chunks of changing size. */
function* pieces(octets: Buffer): Iterable<Buffer> {
  let size = 1;
  for (let at = 0; at < octets.length; at += size) {
    size = ((size * 7 + 3) % 211) + 1;
    yield octets.subarray(at, at + size);
  }
}

class Sealpost implements Peer {
  readonly name = 'Sealpost';
  readonly version: string;
  readonly #identities: Map<string, Identity>;
  readonly #ca: Buffer;
  readonly #own = new Map<string, Own>();

  constructor(version: string, identities: Map<string, Identity>, ca: Buffer) {
    this.version = version;
    this.#identities = identities;
    this.#ca = ca;
  }

  /** What the interface has no word for, in the direction asked. The codec is asked for all the rest. */
  can(each: InteropCase, role: Role): true | string {
    if (each.type === 'compression') return true;
    if (each.type === 'signature') {
      if (role === 'write' && !each.attributes) return 'always writes signed attributes';
      return true;
    }
    const how = each.keyManagement;
    if (role === 'read') return true;
    if (how.kind === 'kek' && how.wrap === '3DES') return 'wraps with AES for shared keys';
    if (how.kind === 'rsa-oaep' && how.mgf !== how.digest) return 'writes MGF1 with the digest of OAEP';
    if (how.kind === 'dh' && how.static) return 'no option for static-static agreement';
    if (how.kind === 'ecdh' && how.cofactor) return 'no option for cofactor agreement';
    return true;
  }

  async write(each: InteropCase, content: Buffer): Promise<Artefact> {
    let made: Artefact;
    try {
      made = this.#make(each, content);
    } catch (error) {
      throw refusal(error);
    }
    // peers read whatever it is: that it is the case's algorithm is for us to see
    await this.read(each, made);
    return made;
  }

  async read(each: InteropCase, message: Artefact): Promise<Buffer> {
    if (each.type === 'encryption' && isShared(each.keyManagement)) {
      try {
        return decryptShared(each, bareCms(message).octets);
      } catch (error) {
        throw refusal(error);
      }
    }
    const at = new Date();
    const trust = { anchors: readCertificates(this.#ca) };
    const recipient = each.type === 'encryption' ? each.recipient : undefined;
    let identities: Own[];
    try {
      identities = recipient === undefined ? [] : [this.#identity(recipient)];
    } catch (error) {
      throw refusal(error);
    }
    // Bouncy Castle 1.72 has ChaCha20-Poly1305 in EnvelopedData only
    const options = { identities, trust, at, aeadInEnvelopedData: true };
    const mail = asMail(message);
    const { verdict, content } = await decode(mail, options);
    judge(each, verdict);
    if (content === undefined) throw new PeerError('there is no content');
    const streamed = await decode(pieces(mail), options);
    judge(each, streamed.verdict);
    if (streamed.content?.equals(content) !== true)
      throw new PeerError('other octets when it comes in pieces');
    return content;
  }

  async close(): Promise<void> {}

  #make(each: InteropCase, content: Buffer): Artefact {
    if (each.type === 'encryption') return this.#encrypt(each, content);
    if (each.type === 'signature') return this.#sign(each, content);
    const output = new BufferSink();
    const writer = new CompressedDataWriter(output);
    writer.write(content);
    writer.end();
    return { form: 'cms', octets: output.toBuffer() };
  }

  #encrypt(each: EncryptionCase, content: Buffer): Artefact {
    const how = each.keyManagement;
    if (isShared(how)) return { form: 'cms', octets: encryptShared(each, content) };
    const certificate = parseCertificate(identityOf(this.#identities, each.recipient).der);
    const contentEncryption = cipherName(each.cipher);
    const digest = how.kind === 'rsa-oaep' ? digestName(how.digest) : undefined;
    const special = recipientOptions(how);
    if (each.byKeyId || special !== undefined) {
      const recipient = { certificate, ...special, bySubjectKeyIdentifier: each.byKeyId ?? false };
      const options = { recipients: [recipient], contentEncryption, allowWeak: true };
      return { form: 'cms', octets: encodeEnvelopedData(content, options) };
    }
    const encrypt: EncodeOptions = {
      recipients: [certificate],
      contentEncryption,
      keyTransport: keyTransport(digest),
      allowWeak: true,
    };
    return { form: 'mail', octets: encodeSync(Buffer.concat([Buffer.from(head), content]), encrypt) };
  }

  #sign(each: SignatureCase, content: Buffer): Artefact {
    const identity = this.#identity(each.signer);
    const digest = digestName(each.digest);
    const at = new Date();
    if (each.byKeyId) {
      const { certificate, privateKey } = identity;
      const signer = { certificate, privateKey, digest, bySubjectKeyIdentifier: true };
      const options: SignedDataOptions = { signers: [signer], signingTime: at, allowWeak: true };
      if (each.form === 'opaque') return { form: 'cms', octets: encodeSignedData(content, options) };
      const digests = new ContentDigests(signingDigests(options), 0);
      digests.write(content);
      digests.end();
      return { form: 'cms', octets: encodeDetachedSignature(digests.result.digests, options), content };
    }
    const signatureScheme = each.scheme === 'pss' ? 'pss' : 'pkcs1';
    const sign = { identity, sign: each.form, digest, signatureScheme, at, allowWeak: true } as const;
    return { form: 'mail', octets: encodeSync(Buffer.concat([Buffer.from(head), content]), sign) };
  }

  #identity(name: string): Own {
    let own = this.#own.get(name);
    if (own === undefined) {
      const { der, keyPem } = identityOf(this.#identities, name);
      own = createIdentity(name, [parseCertificate(der)], createPrivateKey(keyPem));
      this.#own.set(name, own);
    }
    return own;
  }
}

/** What only the CMS layer has options for; undefined when `encode` is enough. */
function recipientOptions(how: KeyManagement): Omit<RecipientOptions, 'certificate'> | undefined {
  switch (how.kind) {
    case 'rsa-oaep': {
      const digest = digestName(how.digest);
      if (how.label === undefined && keyTransport(digest) !== 'pkcs1') return undefined;
      return { oaep: { digest, ...(how.label !== undefined && { label: Buffer.from(how.label) }) } };
    }
    case 'dh':
      return { wrap: wrapName(how.wrap), ...(how.ukm !== undefined && { ukm: Buffer.from(how.ukm, 'hex') }) };
    case 'ecdh':
    case 'xdh': {
      const ukm = 'ukm' in how && how.ukm !== undefined ? { ukm: Buffer.from(how.ukm, 'hex') } : {};
      return { digest: digestName(how.kdf), wrap: wrapName(how.wrap), ...ukm };
    }
    default:
      return undefined;
  }
}

function keyTransport(digest: string | undefined): KeyTransport {
  switch (digest) {
    case 'sha1':
    case 'sha256':
    case 'sha384':
    case 'sha512':
      return `oaep-${digest}`;
    default:
      return 'pkcs1';
  }
}

/** Our side. `folder` is where the identities lie. */
export async function startSealpost(identities: Map<string, Identity>, folder: string): Promise<Peer> {
  const manifest = await readFile(join(import.meta.dirname, '../../../package.json'), 'utf8');
  const version = /"version": "([^"]+)"/.exec(manifest)?.[1] ?? '';
  return new Sealpost(version, identities, await readFile(join(folder, caFileName)));
}
