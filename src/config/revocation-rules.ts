/** Whether certificates that mail is encrypted for were revoked: who is asked, and who cannot be. */
import { type Certificate, isSelfSigned, nameOf, validatePath, whyNotInForce } from '../pki/index.ts';
import type { LoadedKeys } from './keys.ts';
import type { Report } from './problem.ts';
import { revocationModeOf } from './revocation-mode.ts';
import type { Config } from './schema.ts';

/** Warns of certificates that no authority can be asked about: with `hard`, no mail leaves for them. */
export function checkRevocable(
  { partners, trust }: Config,
  keys: Pick<LoadedKeys, 'anchors' | 'intermediates' | 'partners' | 'approvalAnchors'>,
  now: Date,
  report: Report,
): void {
  partners.forEach((partner, index) => {
    const mode = revocationModeOf(partner, trust);
    if (mode === 'off') return;
    const anchors = [
      ...keys.anchors,
      ...keys.intermediates,
      ...(keys.approvalAnchors.get(partner.name) ?? []),
    ];
    for (const each of keys.partners.get(partner.name) ?? []) {
      if (whyNotInForce(each, 'encrypt', now) !== undefined) continue;
      const why = whyNotAsked(each.certificate, anchors, trust.aia.fetch, now);
      if (why !== undefined)
        report(
          ['partners', index, 'certificates', each.entry],
          `nobody can be asked whether ${nameOf(each.certificate)} was revoked: ${why}`,
          {
            severity: 'warning',
            hint:
              mode === 'hard'
                ? 'mail for it does not leave; write its issuer in trust.intermediates, or revocation: soft for the partner'
                : 'it is used unless you revoke it yourself: sealpost certs revoke',
          },
        );
    }
  });
}

function whyNotAsked(
  certificate: Certificate,
  anchors: readonly Certificate[],
  fetches: boolean,
  at: Date,
): string | undefined {
  if (isSelfSigned(certificate)) return undefined;
  try {
    const { ocsp } = certificate.authorityInfoAccess;
    if (ocsp.length === 0 && (certificate.crlDistributionPoints ?? []).length === 0)
      return 'it names no list and no responder';
    if (fetches || validatePath(certificate, { anchors, at, purpose: 'any' }).trusted) return undefined;
    return 'its issuer is not among trust.anchors and trust.intermediates';
  } catch {
    return 'it cannot be read';
  }
}
