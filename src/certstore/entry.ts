/** A certificate as the store keeps it: what it is, whose, and what was decided about it. */
import { createHash } from 'node:crypto';
import type { PartnerConfig } from '../config/index.ts';
import { type StoredState, type StoredUse, storedStates } from './words.ts';

/** The rules that may approve a certificate without a person. */
export type RuleName = PartnerConfig['approval']['rules'][number];

/** Where a certificate came from. */
export const sources = ['traffic', 'operator', 'ldap', 'dns', 'folder'] as const;
export type Source = (typeof sources)[number];

export interface StoredCertificate {
  /** SHA-256 in hex: its name. */
  thumbprint: string;
  /** Of the key alone, whatever algorithm identifier is before it: SHA-256 in hex. */
  key: string;
  /** As configured; '' for a certificate that is revoked and is no partner's. */
  partner: string;
  state: StoredState;
  /** DER in base64. */
  der: string;
  uses: StoredUse[];
  /** Milliseconds since the epoch: the window in which it is used, inside its own validity; null for no limit. */
  from: number | null;
  until: number | null;
  source: Source;
  /** When it came into the store, in milliseconds since the epoch. */
  addedAt: number;
  /** Goes up with each change of this entry. A decision names the one that was compared. */
  version: number;
  /** What was found when it came: why it waits. Lines for a person, in words of ours. */
  findings: string[];
  /** Thumbprint of the certificate whose mail named it under the signature; null for none. */
  announcedBy: string | null;
  /** Id of the message that brought it; null for none. */
  message: string | null;
  /** True if anybody may have made it, for a key of the partner that was seen. */
  unproven?: boolean;
  /** The rule that approves it, and when; null if a person must. */
  rule: { name: RuleName; due: number } | null;
  /** Addresses of the partner for which it was approved (`binding.ts`); entries of older versions have none. */
  addresses?: string[];
  /** Who decided, when, and why; null while it waits. */
  decided: { by: string; at: number; why: string } | null;
}

/** A name for people: long enough to be unique, short enough to type. */
export function idOf({ thumbprint }: Pick<StoredCertificate, 'thumbprint'>): string {
  return thumbprint.slice(0, 16);
}

/** The part of the document that has the certificates of a partner. */
export function partOf(partner: string): string {
  return createHash('sha256').update(partner.toLowerCase()).digest('hex').slice(0, 2);
}

/** Entries of a part. They were sealed by us, so only what another version may have written otherwise is looked at. */
export function readEntries(value: unknown): StoredCertificate[] {
  return Array.isArray(value) ? value.filter(isEntry) : [];
}

function isEntry(value: unknown): value is StoredCertificate {
  if (typeof value !== 'object' || value === null) return false;
  const { thumbprint, key, partner, der, state } = { ...emptyFields, ...value };
  return (
    [thumbprint, key, partner, der].every((each) => typeof each === 'string') &&
    storedStates.some((each) => each === state)
  );
}

const emptyFields: Record<'thumbprint' | 'key' | 'partner' | 'der' | 'state', unknown> = {
  thumbprint: undefined,
  key: undefined,
  partner: undefined,
  der: undefined,
  state: undefined,
};
