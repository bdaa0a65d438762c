/** The certificates of the configuration, own and partners', with what each may be used for. */
import type { LoadedKeys } from '../config/index.ts';
import { type Certificate, parseCertificate, type Term, unusableFor } from '../pki/index.ts';
import type { SealedValues } from '../redis/index.ts';
import { type Configured, keyUseOf } from './known.ts';
import { certificateUses, type KnownUse } from './words.ts';

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

/** Milliseconds that what decrypt knows of our own certificates is kept: it says it again at each start. */
const ownKept = 400 * 86_400_000;
const ownName = 'own';

/** Says which own certificates there are, without their keys, for processes that have none. */
export async function publishOwn(values: SealedValues, keys: Pick<LoadedKeys, 'identities'>): Promise<void> {
  const own = configuredCertificates({ ...keys, partners: new Map() }).map(({ certificate, ...facts }) => ({
    ...facts,
    der: certificate.der.toString('base64'),
  }));
  await values.put(ownName, own, ownKept);
}

/** What `publishOwn` said; nothing if no decrypt has run so far. */
export async function readOwn(values: SealedValues): Promise<Configured[]> {
  const own = await values.get(ownName);
  if (!Array.isArray(own)) return [];
  return own.map(({ der, ...facts }) => ({
    ...facts,
    certificate: parseCertificate(Buffer.from(der, 'base64')),
  }));
}

/** As they are shown, however they are written. */
const inOrder = (use: readonly KnownUse[]) => certificateUses.filter((each) => use.includes(each));

function termOf({ from, until }: Term): Pick<Configured, 'from' | 'until'> {
  return { from: from?.getTime() ?? null, until: until?.getTime() ?? null };
}
