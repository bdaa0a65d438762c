/** The certificates of the configuration, own and partners', with what each may be used for. */
import type { LoadedKeys, TlsSpans } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { type Certificate, parseCertificate, type Term } from '../pki/index.ts';
import type { SealedValues } from '../redis/index.ts';
import { type CertificateFacts, type Configured, isFitFor } from './known.ts';
import { certificateUses, type KnownUse } from './words.ts';

/** Those of the uses that the certificate itself allows. */
export function usesOf<Use extends KnownUse>(
  of: Pick<CertificateFacts, 'certificate' | 'fits'>,
  uses: readonly Use[],
): Use[] {
  return uses.filter((use) => isFitFor(of, use));
}

export function configuredCertificates(keys: Pick<LoadedKeys, 'identities' | 'partners'>): Configured[] {
  const own = keys.identities.map(
    ({ name, certificate, use, ...term }): Configured => ({
      ...{ of: factsOf(certificate), partner: null, identity: name },
      ...{ uses: usesOf({ certificate }, inOrder(use)), ...termOf(term) },
    }),
  );
  const others = [...keys.partners].flatMap(([partner, certificates]) =>
    certificates.map(
      (of): Configured => ({
        ...{ of, partner, identity: null },
        ...{ uses: usesOf(of, inOrder(of.use)), ...termOf(of) },
      }),
    ),
  );
  return [...own, ...others];
}

/** Our own certificates for TLS: of listeners, routes and destinations, as `knownTls` has them. */
export function tlsCertificates(tls: readonly TlsSpans[]): Configured[] {
  return tls.flatMap(({ setting, spans }) =>
    spans.flatMap(({ der, term }): Configured[] => {
      try {
        const of = factsOf(parseCertificate(der));
        return [{ of, partner: null, identity: setting, uses: ['tls'], ...termOf(term) }];
      } catch (error) {
        if (error instanceof SealpostError) return [];
        throw error;
      }
    }),
  );
}

/** Milliseconds that what decrypt knows of our own certificates is kept: it says it again at each start. */
const ownKept = 400 * 86_400_000;
const ownName = 'own';

/** Says which own certificates there are, without their keys, for processes that have none. */
export async function publishOwn(values: SealedValues, keys: Pick<LoadedKeys, 'identities'>): Promise<void> {
  const base64 = ({ der }: Certificate) => der.toString('base64');
  const own = configuredCertificates({ ...keys, partners: new Map() }).map(({ of, ...facts }, index) => ({
    ...facts,
    der: base64(of.certificate),
    chain: (keys.identities[index]?.chain ?? []).map(base64),
  }));
  await values.put(ownName, own, ownKept);
}

/** One of our own certificates, with its issuers, nearest first, as far as they were given. */
export interface OwnCertificate extends Configured {
  chain: Certificate[];
}

/** What `publishOwn` said; nothing if no decrypt has run so far. */
export async function readOwn(values: SealedValues): Promise<OwnCertificate[]> {
  const own = await values.get(ownName);
  if (!Array.isArray(own)) return [];
  const parsed = (base64: string) => parseCertificate(Buffer.from(base64, 'base64'));
  // an older decrypt said nothing of issuers
  return own.map(({ der, chain = [], ...facts }) => ({
    ...facts,
    of: factsOf(parsed(der)),
    chain: chain.map(parsed),
  }));
}

const factsOf = (certificate: Certificate): CertificateFacts => ({
  certificate,
  thumbprint: certificate.thumbprint,
});

/** As they are shown, however they are written. */
const inOrder = (use: readonly KnownUse[]) => certificateUses.filter((each) => use.includes(each));

function termOf({ from, until }: Term): Pick<Configured, 'from' | 'until'> {
  return { from: from?.getTime() ?? null, until: until?.getTime() ?? null };
}
