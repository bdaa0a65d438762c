import { randomBytes as nodeRandomBytes } from 'node:crypto';
import { type Budget, costs } from '../budget.ts';
import { SealpostError } from '../errors.ts';
import { describeIdentifier } from './certificate-identifier.ts';
import { type ContentEncryption, keyLengthFits, keyOctets } from './ciphers.ts';
import type { CmsOptions } from './content-reader.ts';
import type { Opener, Recipient, RecipientReport } from './recipients/recipient.ts';

/** The recipient that one of our keys opens, and what the verdict says about all recipients. */
export interface FoundRecipient {
  opener: Opener | undefined;
  reports: RecipientReport[];
}

/** Chooses the first recipient that names one of our keys. */
export function findRecipient(
  recipients: readonly Recipient[],
  options: CmsOptions,
  budget: Budget,
): FoundRecipient {
  let opener: Opener | undefined;
  const reports = recipients.map((recipient) => {
    budget.spend(costs.attribute(0) + options.identities.length * costs.comparison);
    // trying a password costs a derivation, so this is left out if the message can already be opened
    const settled = opener !== undefined && recipient.report.kind === 'password';
    const found = settled ? undefined : recipient.find(options, budget);
    opener ??= found;
    return {
      ...recipient.report,
      matched: found?.name ?? null,
      matchedCertificate: found?.certificate ?? null,
    };
  });
  return { opener, reports };
}

/**
 * The content encryption key, or a random one. RFC 3218 section 2.3.2: whatever goes wrong with the key transport
 * (padding, length), continue with a random key, so that the failure shows only where a wrong key would show, and in
 * the same way (threats S3).
 */
export function contentKey(
  opener: Opener,
  encryption: ContentEncryption,
  options: CmsOptions,
  budget: Budget,
): Buffer {
  if (opener.refused !== undefined) {
    throw new SealpostError('decrypt-policy', opener.refused, {
      hint: 'ask the partner for the algorithm that the certificate names',
    });
  }
  budget.spend(opener.cost);
  const random = (options.randomBytes ?? pooledRandomBytes)(keyOctets(encryption));
  const key = opener.recover();
  return key !== undefined && keyLengthFits(encryption, key.length) ? key : random;
}

let pool: Buffer = Buffer.alloc(0);
let poolAt = 0;

/** Random octets for keys that are almost never used, drawn for many messages at once because each draw is costly. */
function pooledRandomBytes(size: number): Buffer {
  if (pool.length - poolAt < size) {
    pool = nodeRandomBytes(Math.max(size, 4096));
    poolAt = 0;
  }
  const octets = pool.subarray(poolAt, poolAt + size);
  poolAt += size;
  return octets;
}

/** For EncryptedData, which has no recipients: the first of our content keys that fits the cipher. */
export function contentKeyHere(encryption: ContentEncryption, options: CmsOptions): Opener | undefined {
  const found = options.contentKeys?.find(({ key }) => keyLengthFits(encryption, key.length));
  return found && { name: found.name, cost: 0, recover: () => found.key };
}

/** For the operator: whom the message is for, and which keys there are. */
export function noKey(recipients: readonly Recipient[], options: CmsOptions): SealpostError {
  const wanted = recipients.slice(0, 5).map(({ report }) => describeIdentifier(report.identifier));
  const more = recipients.length > 5 ? ` and ${recipients.length - 5} more` : '';
  const here = options.identities.map(({ name }) => name);
  return new SealpostError(
    'decrypt-no-key',
    `encrypted for ${wanted.join('; ') || 'nobody'}${more}; the keys here are ${here.join(', ') || 'none'}${wrongPasswords(recipients, options)}`,
    { hint: 'load the key of one of these certificates, or send the partner your current certificate' },
  );
}

/** Passwords that were tried and are wrong, according to the checksum (RFC 3211 section 2.3.1). */
function wrongPasswords(recipients: readonly Recipient[], { passwords = [] }: CmsOptions): string {
  if (passwords.length === 0 || !recipients.some(({ report }) => report.kind === 'password')) return '';
  return `; none of the passwords here is the right one: ${passwords.map(({ name }) => name).join(', ')}`;
}

/** The one answer to every failure that depends on the key or the encrypted octets. */
export function decryptFailed(cause?: unknown): SealpostError {
  return new SealpostError('decrypt-failed', 'the message could not be decrypted with the key it names', {
    cause,
  });
}
