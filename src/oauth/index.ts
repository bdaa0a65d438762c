/**
 * Bearer tokens for logins at mail servers (RFC 6749): where they come from, how long they are kept, and what to look
 * at when they are refused. The same for SMTP and IMAP. It knows no protocol of mail. Begin with `tokens.ts`.
 */
export { boundedFetch } from './endpoint.ts';
export { type Challenge, challengeOf, loginHint, readChallenge } from './hints.ts';
export { createRefreshTokens } from './refresh-tokens.ts';
export { type RefreshTokens, type TokenSource, Tokens } from './tokens.ts';
