/** Who a message is from, as its verdict says. The verdict comes from the spool, perhaps from another version. */
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

/** The partner for places that are the partner's own, such as a recipient or a folder: in a conflict there is none. */
export function ownPartnerOf(verdict: JsonValue): string | null {
  const { partner, partnerBy } = partyOf(verdict);
  return partnerBy === 'conflict' ? null : partner;
}

function objectOf(value: JsonValue | undefined): { [key: string]: JsonValue | undefined } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}
