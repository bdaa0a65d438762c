/**
 * What a partner may be told about a message that was refused. An explanation is an answer to whoever sent the message,
 * so it must not help anybody to read or decrypt what is not theirs (RFC 8551, section 6; EFAIL).
 */
import type { PartnerConfig, PolicyConfig } from '../config/index.ts';
import { isEncryptionLayer, isSignatureLayer, type Verdict } from '../smime/index.ts';
import type { PartnerDirectory } from './directory.ts';
import type { Shortfall } from './rules.ts';
import { type Sender, senderOf } from './sender.ts';

/** Who is told, and what. */
export interface Tellable {
  readonly partner: PartnerConfig;
  readonly shortfalls: readonly Shortfall[];
}

/** The policies that count for a message: that of the mailbox, and those of all partners that it claims to be from. */
export function policiesOf(
  { policy }: { policy?: PolicyConfig | undefined },
  { claimed }: Pick<Sender, 'claimed'>,
): PolicyConfig[] {
  return [policy, ...claimed.map((partner) => partner.policy)].filter((each) => each !== undefined);
}

/**
 * Whom to tell what. Only a valid signature proves who it is: a From field never leads to a mail.
 *
 * Of an encrypted message, that signature must be inside all encryption, over the very content. Its author knows the
 * content, and nobody can have changed the ciphertext, whatever the cipher. A signature around the encryption proves
 * neither: a partner may sign the ciphertext of another one, changed or not, and an answer, its text or its absence
 * would tell it what came out. Nothing is told then, not even what could be seen without decryption: if the decryption
 * fails, nobody knows whether the signature around it was valid. With authenticated encryption it is the same, since
 * the partner may wrap what it did not write.
 */
export function tellable(
  directory: PartnerDirectory,
  verdict: Pick<Verdict, 'status' | 'layers'>,
  shortfalls: readonly Shortfall[],
  sender: Sender,
): Tellable | undefined {
  const { partner } = sender;
  const refusing = shortfalls.filter(({ fate }) => fate === 'refuse');
  if (verdict.status !== 'ok' || sender.by !== 'signature' || partner === undefined || refusing.length === 0)
    return undefined;
  const content = verdict.layers.slice(verdict.layers.findLastIndex(isEncryptionLayer) + 1);
  const signers = content.filter(isSignatureLayer).flatMap((layer) => layer.signers);
  const author = senderOf(directory, sender.authors, signers);
  if (author.by !== 'signature' || author.partner !== partner) return undefined;
  return { partner, shortfalls: refusing };
}
