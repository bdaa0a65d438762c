import { isLoopback } from './hosts.ts';
import type { Report, SettingPath } from './problem.ts';
import type { MailboxConfig } from './schema.ts';

/** A login by bearer token (`mailboxes[].imap.oauth2`, `partners[].route.oauth2`). */
export type OAuth2Config = NonNullable<NonNullable<MailboxConfig['imap']>['oauth2']>;

/** Checks that the settings name one way to a token. */
export function checkOAuth2(oauth2: OAuth2Config, at: SettingPath, report: Report): void {
  const { accessToken, tokenUrl, clientId, clientSecret, refreshToken, serviceAccount, scope } = oauth2;
  const client = [clientId, clientSecret, refreshToken];
  const written = client.some((each) => each !== undefined);
  const ways = [accessToken, serviceAccount, written || undefined].filter((each) => each !== undefined);
  const complete =
    !written ||
    (tokenUrl !== undefined && clientId !== undefined && (clientSecret ?? refreshToken) !== undefined);
  if (ways.length !== 1 || !complete || (accessToken !== undefined && tokenUrl !== undefined))
    report(
      at,
      'needs accessToken, or serviceAccount, or tokenUrl with clientId and clientSecret or refreshToken',
      { hint: 'write one of the three' },
    );
  if (serviceAccount !== undefined && scope === undefined)
    report(at, 'has a serviceAccount without a scope', { hint: 'write scope: https://mail.google.com/' });
  if (tokenUrl?.startsWith('http:') && !isLoopback(new URL(tokenUrl).hostname))
    report([...at, 'tokenUrl'], 'would send the client secret in clear', { hint: 'write https:' });
}
