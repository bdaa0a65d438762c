/** The certificates of the configuration, own and partners', with what each may be used for. */
import type { LoadedKeys } from '../config/index.ts';
import { type Certificate, unusableFor } from '../pki/index.ts';
import { type Configured, type KnownUse, keyUseOf } from './known.ts';

/** Those of the uses that the certificate itself allows. */
export function usesOf<Use extends KnownUse>(certificate: Certificate, uses: readonly Use[]): Use[] {
  return uses.filter((use) => unusableFor(certificate, keyUseOf[use]) === undefined);
}

export function configuredCertificates(keys: Pick<LoadedKeys, 'identities' | 'partners'>): Configured[] {
  const always = { from: null, until: null };
  const own = keys.identities.map(
    ({ name, certificate }): Configured => ({
      ...{ certificate, partner: null, identity: name },
      ...{ uses: usesOf(certificate, ['sign', 'decrypt']), ...always },
    }),
  );
  const others = [...keys.partners].flatMap(([partner, certificates]) =>
    certificates.map(
      (certificate): Configured => ({
        ...{ certificate, partner, identity: null },
        ...{ uses: usesOf(certificate, ['encrypt', 'verify']), ...always },
      }),
    ),
  );
  return [...own, ...others];
}
