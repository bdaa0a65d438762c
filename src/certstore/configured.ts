/** The certificates of the configuration, own and partners', with what each may be used for. */
import type { LoadedKeys } from '../config/index.ts';
import { type Certificate, type Term, unusableFor } from '../pki/index.ts';
import { type Configured, certificateUses, type KnownUse, keyUseOf } from './known.ts';

/** Those of the uses that the certificate itself allows. */
export function usesOf<Use extends KnownUse>(certificate: Certificate, uses: readonly Use[]): Use[] {
  return uses.filter((use) => unusableFor(certificate, keyUseOf[use]) === undefined);
}

export function configuredCertificates(keys: Pick<LoadedKeys, 'identities' | 'partners'>): Configured[] {
  const own = keys.identities.map(
    ({ name, certificate, use, ...term }): Configured => ({
      ...{ certificate, partner: null, identity: name },
      ...{ uses: usesOf(certificate, inOrder(use)), ...termOf(term) },
    }),
  );
  const others = [...keys.partners].flatMap(([partner, certificates]) =>
    certificates.map(
      ({ certificate, use, ...term }): Configured => ({
        ...{ certificate, partner, identity: null },
        ...{ uses: usesOf(certificate, inOrder(use)), ...termOf(term) },
      }),
    ),
  );
  return [...own, ...others];
}

/** As they are shown, however they are written. */
const inOrder = (use: readonly KnownUse[]) => certificateUses.filter((each) => use.includes(each));

function termOf({ from, until }: Term): Pick<Configured, 'from' | 'until'> {
  return { from: from?.getTime() ?? null, until: until?.getTime() ?? null };
}
