/**
 * Our CMS layer with keys and passwords that both sides have: mail has no use for them, so `decode` does not take them.
 */
import { CmsReader, encodeEnvelopedData, type RecipientOptions } from '../../../src/cms/index.ts';
import { BufferSink } from '../../../src/message/index.ts';
import { cipherName } from './facts.ts';
import { type EncryptionCase, type KeyManagement, PeerError } from './types.ts';

/** True where the recipient is a shared secret. */
export function isShared({ kind }: KeyManagement): boolean {
  return kind === 'kek' || kind === 'password';
}

function secretOf(
  how: KeyManagement,
): Extract<RecipientOptions, { password: Buffer }> | ReturnType<typeof kek> {
  if (how.kind === 'kek') return kek(how.id, how.secret);
  if (how.kind === 'password') return { password: Buffer.from(how.password) };
  throw new Error(`${how.kind} is no shared secret`);
}

function kek(id: string, secret: string) {
  const key = { name: 'shared', keyIdentifier: Buffer.from(id, 'hex'), key: Buffer.from(secret, 'hex') };
  return { keyEncryptionKey: key };
}

export function encryptShared(each: EncryptionCase, content: Buffer): Buffer {
  const recipients = [secretOf(each.keyManagement)];
  return encodeEnvelopedData(content, {
    recipients,
    contentEncryption: cipherName(each.cipher),
    allowWeak: true,
  });
}

/** Throws SealpostError as the reader does, and PeerError where the algorithms are not those of the case. */
export function decryptShared(each: EncryptionCase, octets: Buffer): Buffer {
  const secret = secretOf(each.keyManagement);
  const output = new BufferSink();
  const facts: string[] = [];
  const reader = new CmsReader(
    {
      onHead: (head) => {
        if ('encryption' in head)
          facts.push(head.encryption.name, ...head.recipients.map(({ kind }) => kind));
        return output;
      },
      onTail: () => {},
    },
    {
      identities: [],
      ...('password' in secret
        ? { passwords: [{ name: 'shared', password: secret.password }] }
        : { keyEncryptionKeys: [secret.keyEncryptionKey] }),
    },
  );
  reader.write(octets);
  reader.end();
  const wanted = [cipherName(each.cipher), each.keyManagement.kind];
  if (facts.join() !== wanted.join()) throw new PeerError(`${facts.join()} instead of ${wanted.join()}`);
  return output.toBuffer();
}
