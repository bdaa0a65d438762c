import type { PartnerConfig, PartnerTrust } from '../config/index.ts';
import type { ErrorCode } from '../errors.ts';
import { type Authors, isKnown } from '../message/index.ts';
import type { PartnerDirectory } from './directory.ts';

/** The part of a signer in the verdict that is needed here. */
export interface SignerReport {
  /** SHA-256 of the certificate, in hexadecimal. */
  readonly thumbprint: string | null;
  /** Mail addresses in the certificate. */
  readonly emails: readonly string[];
  readonly valid: boolean;
  readonly trusted: boolean;
  /** From the certificate to the anchor; the certificate alone if it is pinned. */
  readonly chain?: readonly { readonly thumbprint: string }[];
  /** Why it is not valid or not trusted, such as an expired certificate. */
  readonly message?: string | null;
}

/**
 * How a partner was resolved.
 * - `signature`: one of its certificates signed and is trusted now, or another trusted one that contains its address.
 *   Only this proves anything.
 * - `address`: the From field says so, which anyone can write.
 * - `conflict`: signer, From and Sender do not agree, or cannot be read. The partner is the one whose certificate
 *   signed; without such a signature, or if several have that certificate, there is none.
 */
export type PartyProof = 'signature' | 'address' | 'conflict';

/** Who a message is from: the one answer for policy, ledger and hand-off. */
export interface Sender {
  /** The partner it is from; undefined if unknown, or if it could be more than one. */
  readonly partner: PartnerConfig | undefined;
  /** How it was resolved; undefined if no partner is concerned. */
  readonly by: PartyProof | undefined;
  /** All partners that signed or that From names, rightly or not. The requirements of all of them count. */
  readonly claimed: readonly PartnerConfig[];
  /** Why no sender can be determined, where it matters who it is. */
  readonly fault: { readonly code: ErrorCode; readonly message: string } | undefined;
  readonly authors: Authors;
}

/**
 * Resolves the sender: the one place that does. A signer's certificate says more than an address, so it counts first,
 * as in BizTalk's party resolution. But every address in From must belong to that partner.
 *
 * @param signers all of the verdict, outermost first
 */
export function senderOf(
  directory: PartnerDirectory,
  authors: Authors,
  signers: readonly SignerReport[],
): Sender {
  const named = authors.from.map((address) => ownerOf(directory, address));
  const pinned = signers.map(({ valid, thumbprint }) =>
    valid && thumbprint !== null ? directory.bySigner(thumbprint) : [],
  );
  const first = pinned.find((owners) => owners.length > 0) ?? [];
  // Several entries may have the same certificate: the address then decides, or nobody knows which of them signed.
  const possible = first.length < 2 ? first : distinct(named).filter((each) => first.includes(each));
  const signing = possible.length === 1 ? possible[0] : undefined;
  const undecided = signing === undefined ? first : [];
  const certified = signers.map(({ valid, trusted, emails }) =>
    valid && trusted ? distinct(emails.map((email) => directory.byAddress(email))) : [],
  );
  const fault = faultOf({
    ...{ authors, named, signing, undecided, directory },
    signers: [...pinned, ...certified],
  });
  // an address proves nothing: if anything is wrong, it names nobody
  const partner = signing ?? (fault === undefined ? named[0] : undefined);
  const claimed = distinct([signing, ...undecided, ...named]);
  // a certificate that has ended, or may not be used any more, still says whose it is, and proves nothing
  const isSigned = signers.some((signer, at) => {
    const isOwn = partner !== undefined && pinned[at]?.includes(partner) === true;
    const isNamed = partner !== undefined && certified[at]?.includes(partner) === true;
    return signer.trusted && (isOwn || isNamed) && isProof(directory.trustOf(partner), signer, isOwn);
  });
  const by = partner === undefined ? undefined : isSigned ? 'signature' : 'address';
  const isConcerned = claimed.length > 0 || authors.sender.addresses.some((each) => ownerOf(directory, each));
  return {
    partner,
    by: fault !== undefined && isConcerned ? 'conflict' : by,
    claimed,
    fault,
    authors,
  };
}

interface Found {
  authors: Authors;
  /** The partner of each From address. */
  named: readonly (PartnerConfig | undefined)[];
  /** The partner whose pinned certificate signed. */
  signing: PartnerConfig | undefined;
  /** The partners whose certificate signed, if they share it and From does not say which it is. */
  undecided: readonly PartnerConfig[];
  /** For each signer, the partners it may speak for: by its certificate, or by the addresses in it. */
  signers: readonly (readonly PartnerConfig[])[];
  directory: PartnerDirectory;
}

function faultOf({ authors, named, signing, undecided, signers, directory }: Found): Sender['fault'] {
  const invalid = (message: string) => ({ code: 'sender-invalid', message }) as const;
  const refused = (message: string) => ({ code: 'policy-refused', message }) as const;
  if (authors.fault !== undefined) return invalid(authors.fault);
  if (authors.sender.fault !== undefined) return invalid(authors.sender.fault);
  const addressed = distinct(named);
  const partner = signing ?? addressed[0];
  const names = (list: readonly PartnerConfig[]) => list.map(({ name }) => name).join(' and ');

  if (undecided.length > 0)
    return refused(
      `the certificate that signed the message is one of partners ${names(undecided)}, and its From field does not say which`,
    );
  const foreign = addressed.filter((each) => each !== partner);
  if (signing !== undefined && foreign.length > 0)
    return refused(
      `the message is signed by partner ${signing.name}, and its From field names partner ${names(foreign)}`,
    );
  if (foreign.length > 0) return refused(`the From field names partners ${names(addressed)}`);
  if (partner !== undefined) {
    if (named.includes(undefined))
      return refused(
        `the From field names an address that is none of partner ${partner.name}; if it is, add it to its addresses`,
      );
    const other = signers.find((each) => each.length > 0 && !each.includes(partner));
    if (other !== undefined)
      return refused(`the message is from partner ${partner.name}, and partner ${names(other)} signed it`);
  }
  for (const address of authors.sender.addresses) {
    const sender = ownerOf(directory, address);
    if (sender !== undefined && sender !== partner)
      return refused(
        `the Sender field names partner ${sender.name}, and the message is from ${partner === undefined ? 'nobody known' : `partner ${partner.name}`}`,
      );
  }
  return undefined;
}

/** Whether a trusted signer proves whose mail it is, as `partners[].trust` says. */
function isProof(trust: PartnerTrust | undefined, { chain = [] }: SignerReport, isOwn: boolean): boolean {
  if (trust === undefined) return true;
  const isPinned = chain.length <= 1;
  if (isPinned) return isOwn && trust.by !== 'anchors';
  const root = chain.at(-1)?.thumbprint ?? '';
  return trust.by !== 'pins' && (trust.anchors.size === 0 || trust.anchors.has(root));
}

function ownerOf(directory: PartnerDirectory, address: Authors['from'][number]): PartnerConfig | undefined {
  return isKnown(address) ? directory.find(address) : undefined;
}

function distinct<T>(list: readonly (T | undefined)[]): T[] {
  return [...new Set(list)].filter((each) => each !== undefined);
}
