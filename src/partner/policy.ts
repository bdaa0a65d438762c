import type { Config, MailboxConfig } from '../config/index.ts';
import type { ErrorCode } from '../errors.ts';
import { caselessAddress, caselessKey, isKnown } from '../message/index.ts';
import type { PartnerDirectory } from './directory.ts';
import type { Sender, SignerReport } from './sender.ts';
import { type LayerStrength, weakness, withoutAead } from './strength.ts';

/** The part of a verdict that the policy needs; the verdict of `smime` has this shape. */
export interface VerdictFacts {
  readonly status: 'ok' | 'failed';
  readonly error: { readonly code: ErrorCode; readonly message: string } | null;
  readonly encrypted: boolean;
  readonly signature: 'none' | 'valid' | 'untrusted' | 'invalid';
  readonly layers: readonly (LayerStrength & { readonly signers?: readonly SignerReport[] })[];
}

/** `suspend` is the reason code; the message is for the operator. */
export type Judgement = { readonly accept: true } | { readonly suspend: ErrorCode; readonly message: string };

export type Requirements = Pick<MailboxConfig, 'require' | 'notSmime'> & {
  readonly strong: Config['strong'];
};

/** What the verdict says about the first untrusted signer. */
function whyUntrusted(layers: VerdictFacts['layers']): string {
  const signers = layers.flatMap((layer) => layer.signers ?? []);
  const message = signers.find((signer) => signer.valid && !signer.trusted)?.message;
  return message ? `: ${message}` : '';
}

const refused = (message: string): Judgement => ({ suspend: 'policy-refused', message });

/**
 * Decides whether a decoded message is handed off or suspended, by the policy of its mailbox and of each partner that
 * it claims to be from. A wrong signature alone does not suspend a message; it does with `require: [signed]`.
 */
export function judge(
  verdict: VerdictFacts,
  policy: Requirements,
  sender: Sender,
  directory: Pick<PartnerDirectory, 'anyRequires'>,
): Judgement {
  const { status, error, encrypted, signature, layers } = verdict;
  if (status === 'failed' && error?.code !== 'not-smime')
    return {
      suspend: error?.code ?? 'internal',
      message: error?.message ?? 'the message could not be decoded',
    };

  const { notSmime, strong } = policy;
  const require: readonly string[] = [
    ...policy.require,
    ...sender.claimed.flatMap((partner) => partner.require),
  ];
  if (require.includes('encrypted') && !encrypted)
    return refused('encryption is required, but the message is not encrypted');
  if (require.includes('signed')) {
    if (signature === 'invalid')
      return {
        suspend: 'signature-invalid',
        message: 'a signature is required, but it is not valid',
      };
    if (signature === 'untrusted')
      return refused(`a trusted signature is required, but the signer is not trusted${whyUntrusted(layers)}`);
    if (signature === 'none') return refused('a signature is required, but the message has none');
  }
  if ((require.includes('signed') || require.includes('partner')) && sender.fault !== undefined)
    return { suspend: sender.fault.code, message: sender.fault.message };
  // another reader could see a partner in it, whose requirements would then be evaded
  const { fault } = sender.authors;
  if (fault !== undefined && directory.anyRequires)
    return { suspend: 'sender-invalid', message: `${fault}, and what is required depends on the partner` };
  if (require.includes('signed')) {
    const wrong = wrongSigner(verdict, sender);
    if (wrong !== undefined) return refused(wrong);
  }
  if (require.includes('partner') && sender.partner === undefined)
    return { suspend: 'partner-unknown', message: 'the sender is not a configured partner' };
  const plain = require.includes('aead') ? withoutAead(layers) : undefined;
  if (plain !== undefined)
    return { suspend: 'policy-aead', message: `authenticated encryption is required, and ${plain}` };
  const weak = require.includes('strong') ? weakness(layers, strong) : undefined;
  if (weak !== undefined)
    return { suspend: 'policy-weak', message: `strong algorithms and keys are required; ${weak}` };
  if (layers.length === 0 && notSmime === 'suspend')
    return { suspend: 'not-smime', message: 'the message is neither signed nor encrypted' };
  return { accept: true };
}

/**
 * A trusted signature is worth nothing if it is somebody else's. The operator vouches for a partner's configured
 * certificates. Any other certificate that leads to an anchor must contain the sender's address, if it has addresses
 * (RFC 8550 section 3). One without addresses could be anybody's under that anchor, so it never speaks for a configured
 * partner.
 */
function wrongSigner({ layers }: VerdictFacts, { partner, by, authors }: Sender): string | undefined {
  if (by === 'signature') return undefined;
  const signers = layers.flatMap((layer) => layer.signers ?? []).filter((each) => each.valid && each.trusted);
  const emails = signers.flatMap((signer) => signer.emails);
  if (partner?.trust !== undefined)
    return `the signer's certificate is none that proves mail of partner ${partner.name} (partners[].trust)`;
  if (partner !== undefined)
    return `the signer's certificate names no address of partner ${partner.name}; if it is the partner's, add it to its certificates`;
  if (signers.some((signer) => signer.emails.length === 0)) return undefined;
  const named = new Set(emails.map(caselessAddress));
  return authors.from.every((address) => isKnown(address) && named.has(caselessKey(address)))
    ? undefined
    : "the signer's certificate does not name the address in the From field";
}
