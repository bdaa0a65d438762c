/**
 * Rules about partners and certificates: who a sender is, which certificates are in force, how mail for a partner is
 * protected, and whether what a verdict says is accepted. Begin with `policy.ts` (inbound) and `outbound.ts`.
 */
export { type Authorities, authoritiesOf } from './authorities.ts';
export { PartnerDirectory } from './directory.ts';
export { outboundProtection, tryProtection } from './outbound.ts';
export { judge } from './policy.ts';
export { type Sender, senderOf } from './sender.ts';
