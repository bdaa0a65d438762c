/**
 * Who a message is from, according to its verdict. The verdict comes from the spool, so another version may have
 * written it.
 */
import type { Attribution, PartnerBy } from '../queue/index.ts';
import type { JsonValue } from './types.ts';

const proofs: readonly PartnerBy[] = ['signature', 'address', 'conflict'];

/** The partner that the verdict names, and how it was resolved. */
export function partyOf(verdict: JsonValue): Attribution {
  const { partner, by } = objectOf(objectOf(verdict).sender);
  return {
    partner: typeof partner === 'string' ? partner : null,
    partnerBy: proofs.find((each) => each === by) ?? null,
  };
}

/**
 * The partner, for places that belong to the partner, such as a recipient or a folder. If there is a conflict, there is
 * none.
 */
export function ownPartnerOf(verdict: JsonValue): string | null {
  const { partner, partnerBy } = partyOf(verdict);
  return partnerBy === 'conflict' ? null : partner;
}

function objectOf(value: JsonValue | undefined): { [key: string]: JsonValue | undefined } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}
