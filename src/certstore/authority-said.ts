/** What authorities said last of the certificates of partners, as `outbound` asked them (`revocation.ts`). */
import { type Config, revocationModeOf } from '../config/index.ts';
import { type RevocationState, readRevocationState } from '../partner/index.ts';
import { type SealedValuesParts, sealedValues } from '../redis/index.ts';

/** Values that are read at the same time. */
const together = 500;

/**
 * Puts it where `KnownCertificate` reads it, by SHA-256; nothing of a certificate that nobody was asked about. Errors:
 * `redis-unreachable`.
 *
 * @param certificates those that are shown; those of partners whose revocation is off are not looked for
 */
export async function hearAuthorities(
  said: Map<string, RevocationState>,
  queue: SealedValuesParts,
  { partners, trust }: Pick<Config, 'partners' | 'trust'>,
  certificates: readonly { readonly partner: string | null; readonly thumbprint: string }[],
): Promise<void> {
  const asked = new Set(
    partners.filter((each) => revocationModeOf(each, trust) !== 'off').map(({ name }) => name),
  );
  const wanted = certificates.filter(({ partner }) => partner !== null && asked.has(partner));
  const thumbprints = [...new Set(wanted.map(({ thumbprint }) => thumbprint))];
  const values = sealedValues(queue, 'revocation');
  for (let at = 0; at < thumbprints.length; at += together)
    await Promise.all(
      thumbprints.slice(at, at + together).map(async (thumbprint) => {
        const state = readRevocationState(await values.get(thumbprint));
        if (state !== undefined) said.set(thumbprint, state);
      }),
    );
}
