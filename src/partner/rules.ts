/**
 * The rules of `policy` for inbound mail. Each reads what the verdict already has, and says what is missing: to the
 * operator in `message`, to the partner in `demand`, which is made of the configuration alone.
 */
import { signatures } from '../cms/algorithms.ts';
import type { Config, PolicyConfig } from '../config/index.ts';
import type { ErrorCode } from '../errors.ts';
import { isEncryptionLayer, isSignatureLayer, type Verdict } from '../smime/index.ts';
import type { Sender } from './sender.ts';
import { tooSmall, weakness, withoutAead } from './strength.ts';

type Layer = Verdict['layers'][number];

/** A part that a rule about attachments counts. */
export interface AttachmentFacts {
  /** Such as `application/octet-stream`, in lower case. */
  contentType: string;
  /** As the sender wrote it, without folders; '' if it has none, null if it is longer than any rule allows. */
  name: string | null;
}

/** The codes of the rules; `policy-refused` and `policy-profile` are of other settings. */
export type ShortfallCode = Exclude<
  Extract<ErrorCode, `policy-${string}`>,
  'policy-refused' | 'policy-profile'
>;

/** A rule that a message falls short of. */
export interface Shortfall {
  readonly code: ShortfallCode;
  /** For the operator. It names nothing that can be read in the message. */
  readonly message: string;
  /** For the partner: how to mend it. It depends on the configuration alone. */
  readonly demand: string;
  readonly fate: PolicyConfig['shortfall'];
}

type Said = Omit<Shortfall, 'fate'>;

export interface Evidence {
  readonly verdict: Pick<Verdict, 'encrypted' | 'signature' | 'headers'> & {
    readonly layers: readonly Layer[];
  };
  readonly sender: Pick<Sender, 'by'>;
  /** Subject of the message to hand off. */
  readonly subject: string | null;
  /** Attachments in order; undefined if no policy asks for them, or if the parts cannot be read. */
  readonly attachments: readonly AttachmentFacts[] | undefined;
  /** When the message arrived, in milliseconds since the epoch. */
  readonly receivedAt: number;
  readonly strong: Config['strong'];
}

/** What a decoded message falls short of, in the order of the policies and rules. */
export function shortfallsOf(policies: readonly PolicyConfig[], evidence: Evidence): Shortfall[] {
  return policies.flatMap((policy) => {
    const said = [...layerRules(policy, evidence), ...wholeRules(policy, evidence)];
    return said.map((each) => ({ ...each, fate: policy.shortfall }));
  });
}

/** Rules that each layer must meet by itself. */
function layerRules(policy: PolicyConfig, evidence: Evidence): Said[] {
  const { require } = policy;
  const { layers } = evidence.verdict;
  const said: Said[] = [];
  const encryption = layers.filter(isEncryptionLayer);
  const plain = require.includes('aead') && encryption.length > 0 ? withoutAead(layers) : undefined;
  if (plain !== undefined)
    said.push({
      code: 'policy-aead',
      message: `authenticated encryption is required, and ${plain}`,
      demand: 'Encrypt it with an authenticated cipher, such as AES-GCM (AuthEnvelopedData, RFC 5083).',
    });
  const weak = require.includes('strong') ? weakness(layers, evidence.strong) : undefined;
  if (weak !== undefined) {
    const { minimumRsaBits, minimumCurveBits } = evidence.strong;
    said.push({
      code: 'policy-weak',
      message: `strong algorithms and keys are required; ${weak}`,
      demand: `Use no MD5, SHA-1, DES, 3DES, RC2 or CAST5, and keys of at least ${minimumRsaBits} bits (RSA) or ${minimumCurveBits} bits (elliptic curves).`,
    });
  }
  for (const layer of encryption) said.push(...encryptionRules(policy, layer));
  for (const layer of layers.filter(isSignatureLayer)) said.push(...signatureRules(policy, layer, evidence));
  return distinct(said);
}

function encryptionRules(
  { encryption: rules }: PolicyConfig,
  layer: Extract<Layer, { recipients: unknown }>,
): Said[] {
  if (rules === undefined) return [];
  const said: Said[] = [];
  const cipher = layer.contentEncryption?.algorithm ?? 'an unknown one';
  if (rules.ciphers && !rules.ciphers.includes(cipher))
    said.push({
      code: 'policy-algorithm',
      message: `the cipher is ${cipher}, and one of ${rules.ciphers.join(', ')} is required`,
      demand: `Encrypt it with one of these ciphers: ${rules.ciphers.join(', ')}.`,
    });
  for (const { kind, keyEncryption, matched } of layer.recipients) {
    if (matched === null) continue;
    const way = kind === 'key-transport' ? (keyEncryption?.algorithm ?? 'an unknown one') : kind;
    const ways: readonly string[] | undefined = rules.keyEncryption;
    if (ways && !ways.includes(way))
      said.push({
        code: 'policy-algorithm',
        message: `the content key came by ${way}, and one of ${ways.join(', ')} is required`,
        demand: `Encrypt the content key in one of these ways: ${ways.join(', ')}.`,
      });
    const small = tooSmall(matched.key, sizesOf(rules));
    if (small !== undefined)
      said.push({
        code: 'policy-key-size',
        message: `it is encrypted for ${small}`,
        demand: `Encrypt it for a certificate of ours whose key has at least ${wordsOf(rules)}.`,
      });
  }
  return said;
}

function signatureRules(
  { signing: rules, signingTime }: PolicyConfig,
  { signers }: Extract<Layer, { signers: unknown }>,
  { receivedAt }: Evidence,
): Said[] {
  const said: Said[] = [];
  for (const signer of signers.filter(({ valid }) => valid)) {
    if (rules?.digests && !rules.digests.includes(signer.digestAlgorithm))
      said.push({
        code: 'policy-algorithm',
        message: `the digest of a signature is ${signer.digestAlgorithm}, and one of ${rules.digests.join(', ')} is required`,
        demand: `Sign it with one of these digests: ${rules.digests.join(', ')}.`,
      });
    const scheme = schemeOf(signer.signatureAlgorithm);
    if (rules?.schemes && !rules.schemes.some((each) => each === scheme))
      said.push({
        code: 'policy-algorithm',
        message: `a signature is ${scheme}, and one of ${rules.schemes.join(', ')} is required`,
        demand: `Sign it in one of these ways: ${rules.schemes.join(', ')}.`,
      });
    const small = rules && tooSmall(signer.key, sizesOf(rules));
    if (rules && small !== undefined)
      said.push({
        code: 'policy-key-size',
        message: `it is signed by ${small}`,
        demand: `Sign it with a key of at least ${wordsOf(rules)}.`,
      });
    const late = signingTime && wrongTime(signer.signingTime, signingTime, receivedAt);
    if (late !== undefined) said.push({ code: 'policy-signing-time', ...late });
  }
  return said;
}

/** Rules about the message as a whole. */
function wholeRules(policy: PolicyConfig, evidence: Evidence): Said[] {
  const { require, signingTime } = policy;
  const { verdict, sender } = evidence;
  const { signature, headers, encrypted, layers } = verdict;
  const said: Said[] = [];
  if (!encrypted && (require.includes('encrypted') || require.includes('aead')))
    said.push({
      code: require.includes('encrypted') ? 'policy-encrypted' : 'policy-aead',
      message: 'encryption is required, and the message is not encrypted',
      demand: 'Encrypt it for the certificate that we gave you.',
    });
  const isSigned = signature === 'valid' || signature === 'untrusted';
  if (require.includes('signed') && !isSigned)
    said.push({
      code: 'policy-signed',
      message:
        signature === 'none'
          ? 'a signature is required, and the message has none'
          : 'a signature is required, and it is not valid',
      demand: 'Sign it, and do not let a server on its way change it.',
    });
  if (require.includes('trusted') && signature !== 'valid')
    said.push({
      code: 'policy-trusted',
      message: isSigned
        ? 'a trusted signer is required, and the signer is not trusted'
        : 'a trusted signature is required, and the message has none',
      demand: 'Sign it with a certificate that we have agreed on, and that has not expired.',
    });
  if (require.includes('bound') && sender.by !== 'signature')
    said.push({
      code: 'policy-bound',
      message: 'the certificate that signed must be that of the partner in From, and it is not',
      demand: 'Sign it with your own certificate, and write one of your addresses, and no other, in From.',
    });
  if (require.includes('header-protection') && !isHeaderProtected(headers))
    said.push({
      code: 'policy-header-protection',
      message: 'header protection is required, and the header is not protected',
      demand:
        'Protect its header (RFC 9788), or wrap the mail as message/rfc822 before you sign and encrypt it.',
    });
  // without a valid signature there is no signing time at all
  const hasTime = layers.filter(isSignatureLayer).some(({ signers }) => signers.some(({ valid }) => valid));
  if (signingTime && !hasTime) said.push({ code: 'policy-signing-time', ...noTime });
  return [...said, ...attachmentRules(policy, evidence)];
}

function isHeaderProtected({ protection, signed, encrypted }: Verdict['headers']): boolean {
  const marked = protection !== 'none' && protection !== 'unmarked';
  return marked && (signed || encrypted);
}

const noTime = {
  message: 'a signing time is required, and the message has none',
  demand: 'Sign it with the signing time among the signed attributes.',
};

function wrongTime(
  signed: string | null,
  { maxAge, maxFuture }: NonNullable<PolicyConfig['signingTime']>,
  receivedAt: number,
): Pick<Said, 'message' | 'demand'> | undefined {
  const at = signed === null ? Number.NaN : Date.parse(signed);
  if (Number.isNaN(at)) return noTime;
  const demand = `Sign it anew: the signing time may be at most ${seconds(maxAge)} old, and ${seconds(maxFuture)} ahead, when the message arrives.`;
  if (at < receivedAt - maxAge)
    return { message: `it was signed more than ${seconds(maxAge)} before it arrived`, demand };
  if (at > receivedAt + maxFuture)
    return { message: `its signing time is more than ${seconds(maxFuture)} ahead`, demand };
  return undefined;
}

const seconds = (milliseconds: number) => `${Math.round(milliseconds / 1000)} seconds`;

function attachmentRules({ attachments: rules }: PolicyConfig, evidence: Evidence): Said[] {
  if (rules === undefined) return [];
  const { attachments, subject } = evidence;
  const { minimum = 0, maximum = Number.POSITIVE_INFINITY, types, names, subjectIsName } = rules;
  const lacks = (message: string, demand: string): Said => ({ code: 'policy-attachments', message, demand });
  if (attachments === undefined)
    return [lacks('the parts of the message cannot be read', 'Send it as a well-formed MIME message.')];
  const said: Said[] = [];
  const count = attachments.length;
  if (count < minimum || count > maximum)
    said.push(lacks(`it has ${count} attachments`, `Send it ${countOf(minimum, rules.maximum)}.`));
  const wrongType = types ? attachments.findIndex(({ contentType }) => !types.some(isOf(contentType))) : -1;
  if (types && wrongType >= 0)
    said.push(
      lacks(
        `attachment ${wrongType + 1} has a content type that is not allowed`,
        `Give each attachment one of these content types: ${types.join(', ')}.`,
      ),
    );
  const isNamed = ({ name }: AttachmentFacts) =>
    name !== null && names?.some((pattern) => matchesPattern(name, pattern));
  const wrongName = names ? attachments.findIndex((each) => !isNamed(each)) : -1;
  if (names && wrongName >= 0)
    said.push(
      lacks(
        `attachment ${wrongName + 1} has a name that is not allowed`,
        `Name each file by one of these patterns: ${names.join(', ')}.`,
      ),
    );
  const [{ name } = { name: null }] = attachments;
  if (subjectIsName && (count !== 1 || name === null || name === '' || name !== subject))
    said.push(
      lacks(
        'the subject is not the file name of the one attachment',
        'Send one attachment, and write its file name as the subject.',
      ),
    );
  return said;
}

/** Whether a content type is of a pattern such as `text/*`. */
const isOf = (contentType: string) => (wanted: string) => {
  const pattern = wanted.toLowerCase();
  return pattern.endsWith('/*') ? contentType.startsWith(pattern.slice(0, -1)) : contentType === pattern;
};

function countOf(minimum: number, maximum: number | undefined): string {
  if (maximum === 0) return 'without attachments';
  if (maximum === undefined) return `with at least ${minimum} attachments`;
  if (minimum === maximum)
    return minimum === 1 ? 'with exactly one attachment' : `with exactly ${minimum} attachments`;
  return minimum === 0 ? `with at most ${maximum} attachments` : `with ${minimum} to ${maximum} attachments`;
}

interface Sizes {
  readonly minimumRsaBits?: number | undefined;
  readonly minimumCurveBits?: number | undefined;
}

function sizesOf({ minimumRsaBits = 0, minimumCurveBits = 0 }: Sizes): Config['strong'] {
  return { minimumRsaBits, minimumCurveBits };
}

function wordsOf({ minimumRsaBits, minimumCurveBits }: Sizes): string {
  const sizes = [
    ...(minimumRsaBits === undefined ? [] : [`${minimumRsaBits} bits (RSA)`]),
    ...(minimumCurveBits === undefined ? [] : [`${minimumCurveBits} bits (elliptic curves)`]),
  ];
  return sizes.join(' or ');
}

const schemes = new Map(signatures.map(({ name, scheme }) => [name, scheme]));
const schemeOf = (algorithm: string): string => schemes.get(algorithm) ?? algorithm;

/** Each once, although several signers or recipients fall short alike. */
function distinct(said: readonly Said[]): Said[] {
  return said.filter((each, at) => said.findIndex(({ message }) => message === each.message) === at);
}

/**
 * Whether a name matches a pattern: `*` is any characters, `?` one, `#` a digit. The partner chose the name: the time
 * is bounded by the product of both lengths, whatever the pattern is.
 */
export function matchesPattern(name: string, pattern: string): boolean {
  const text = [...name];
  const wanted = [...pattern];
  let at = 0;
  let next = 0;
  let star = -1;
  let mark = 0;
  while (at < text.length) {
    const each = wanted[next];
    const char = text[at];
    if (each === '*') {
      star = next++;
      mark = at;
    } else if (each !== undefined && char !== undefined && fits(char, each)) {
      at++;
      next++;
    } else if (star >= 0) {
      next = star + 1;
      at = ++mark;
    } else return false;
  }
  while (wanted[next] === '*') next++;
  return next === wanted.length;
}

function fits(char: string, each: string): boolean {
  if (each === '?') return true;
  if (each === '#') return char >= '0' && char <= '9';
  return char === each;
}
