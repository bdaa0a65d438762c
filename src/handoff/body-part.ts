import type { MailboxConfig } from '../config/index.ts';
import type { PartFacts } from './walk.ts';

type Candidate = Pick<PartFacts, 'number' | 'contentType' | 'description'>;

/**
 * Chooses the body part as BizTalk's MIME/SMIME decoder does: by the configured content type or index, otherwise the
 * part with Content-Description "body", then text/xml, then text/*, then the first. If the configured part is missing,
 * the same order applies. `index` counts leaf parts from 1; 0 turns it off.
 *
 * Returns the number of the part; undefined if there is none.
 */
export function chooseBodyPart(
  parts: readonly Candidate[],
  config: MailboxConfig['bodyPart'],
): number | undefined {
  const wanted = config.contentType?.trim().toLowerCase();
  const choice =
    (wanted === undefined ? undefined : parts.find((part) => part.contentType === wanted)) ??
    (config.index > 0 ? parts[config.index - 1] : undefined) ??
    parts.find((part) => part.description.trim().toLowerCase() === 'body') ??
    parts.find((part) => part.contentType === 'text/xml') ??
    parts.find((part) => part.contentType.startsWith('text/')) ??
    parts[0];
  return choice?.number;
}
