import type { PathResult } from '../../pki/index.ts';
import type { SignerRevocation } from './verdict.ts';

export const notChecked: SignerRevocation = {
  status: 'not-checked',
  source: null,
  thisUpdate: null,
  ageSeconds: null,
  message: null,
};

/** What the revocation of a path is worth: the worst of its certificates, with the age of what is said of the signer. */
export function revocationOf(
  { revocation }: Pick<PathResult, 'revocation'>,
  now: Date,
  message: string | null = null,
): SignerRevocation {
  const worst = (['revoked', 'unknown', 'good'] as const).find((word) =>
    revocation.some(({ status }) => status === word),
  );
  if (worst === undefined) return notChecked;
  const { source, thisUpdate } = revocation.find(({ status }) => status === worst) ?? {};
  return {
    status: worst,
    source: source ?? null,
    thisUpdate: thisUpdate?.toISOString() ?? null,
    ageSeconds: thisUpdate === undefined ? null : Math.round((now.getTime() - thisUpdate.getTime()) / 1000),
    message,
  };
}
