import type { Config, PartnerConfig } from './schema.ts';

/** Whether authorities are asked about certificates that mail for a partner is encrypted for. */
export function revocationModeOf(
  { encrypt, revocation }: Pick<PartnerConfig, 'encrypt' | 'revocation'>,
  trust: Config['trust'],
): 'off' | 'soft' | 'hard' {
  return encrypt ? (revocation ?? trust.revocation.mode) : 'off';
}
