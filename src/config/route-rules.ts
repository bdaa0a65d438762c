/**
 * What a schema cannot express about the route to a mail server (a partner's, or that of a destination), and about its
 * login.
 */
import { isLoopback } from './hosts.ts';
import type { Report, SettingPath } from './problem.ts';
import type { MailboxConfig, PartnerConfig } from './schema.ts';

type Route = PartnerConfig['route'];

/** A route, or the part of a mail destination that is like one. */
export type ServerRoute = Omit<Route, 'port' | 'folder' | 'mtaSts'> &
  Partial<Pick<Route, 'mtaSts' | 'folder'>>;

/**
 * @param readable the mail is not protected by itself, so it must never cross a network in clear text
 * @param dns whether there is a resolver that validates DNSSEC
 */
export function checkServerRoute(
  route: ServerRoute,
  at: SettingPath,
  { readable, dns }: { readable: boolean; dns: boolean },
  report: Report,
): void {
  if (route.folder !== undefined) {
    checkFolderRoute(route, at, report);
    return;
  }
  checkLogin(route, at, report);
  checkTls(route, at, readable, report);
  checkPublished(route, at, dns, report);
}

/** A folder has no server. */
function checkFolderRoute(route: ServerRoute, at: SettingPath, report: Report): void {
  const { host, ca, clientCertificate, user, password, oauth2, pins, mtaSts } = route;
  const others = { host, ca, clientCertificate, user, password, oauth2 };
  const written = Object.entries(others).filter(([, value]) => value !== undefined);
  if (pins.length > 0) written.push(['pins', '']);
  if (mtaSts) written.push(['mtaSts', '']);
  for (const [name] of written)
    report([...at, name], 'is about a server, and folder replaces it', { hint: 'remove one of them' });
  checkRate(route, at, report);
}

function checkRate({ rate }: Pick<Route, 'rate'>, at: SettingPath, report: Report): void {
  if (rate !== undefined && rate.messages === undefined && rate.octets === undefined)
    report([...at, 'rate'], 'limits nothing', { hint: 'write messages or octets' });
}

function checkLogin(route: ServerRoute, at: SettingPath, report: Report): void {
  const { host, tls, user, password, oauth2 } = route;
  checkRate(route, at, report);
  if (user !== undefined && password === undefined && oauth2 === undefined)
    report([...at, 'user'], 'is set without a password', {
      hint: 'write password or oauth2, or remove user',
    });
  for (const name of ['password', 'oauth2'] as const)
    if (route[name] !== undefined && user === undefined)
      report([...at, name], 'is set without a user', { hint: `write user, or remove ${name}` });
  if (password !== undefined && oauth2 !== undefined)
    report([...at, 'oauth2'], 'is set together with password', { hint: 'keep one of them' });
  if (oauth2 !== undefined) checkOAuth2(oauth2, [...at, 'oauth2'], report);
  if (user !== undefined && host === undefined)
    report([...at, 'user'], 'would log in to any server that the MX records name', {
      hint: 'write host, or remove user and password or oauth2',
    });
  if (
    user !== undefined &&
    host !== undefined &&
    !isLoopback(host) &&
    (tls === 'none' || tls === 'opportunistic')
  )
    report([...at, 'tls'], `${tls} would send the ${oauth2 === undefined ? 'password' : 'token'} in clear`, {
      hint: 'write required or implicit',
    });
}

function checkTls({ host, tls }: ServerRoute, at: SettingPath, readable: boolean, report: Report): void {
  const isNear = host !== undefined && isLoopback(host);
  if (tls === 'implicit' && host === undefined)
    report([...at, 'tls'], 'implicit is not supported by servers in MX records', {
      hint: 'write host, or required',
    });
  if (readable && (tls === 'none' || tls === 'opportunistic') && !isNear)
    report([...at, 'tls'], `${tls} is allowed only on loopback: decrypted content would be sent in clear`, {
      hint: 'write required or implicit',
    });
  else if (tls === 'none' && host !== undefined && !isNear)
    report([...at, 'tls'], 'none: addresses and header fields are sent in clear', {
      severity: 'warning',
      hint: 'write required if the server supports TLS',
    });
}

/** What decides which server is the right one: the operator, or what the partner publishes. */
function checkPublished(
  { host, tls, ca, pins, clientCertificate, dane, mtaSts = false }: ServerRoute,
  at: SettingPath,
  dns: boolean,
  report: Report,
): void {
  const verifies = tls === 'required' || tls === 'implicit';
  if (pins.length > 0 && !verifies)
    report([...at, 'pins'], `are not compared with tls: ${tls} as long as the server offers no TLS`, {
      hint: 'write required or implicit',
    });
  if (pins.length > 0 && ca !== undefined)
    report([...at, 'ca'], 'is not used together with pins', { hint: 'write one of them' });
  if (pins.length > 0 && host === undefined)
    report([...at, 'pins'], 'would have to match every server that the MX records name', {
      severity: 'warning',
      hint: 'write host, or the pins of all of them',
    });
  if (tls === 'none' && clientCertificate !== undefined)
    report([...at, 'clientCertificate'], 'is not used without TLS', { hint: 'write tls: required' });
  if (dane === 'required') {
    if (!dns)
      report([...at, 'dane'], 'required needs a resolver that validates DNSSEC', {
        hint: 'write dns.resolver',
      });
    if (tls === 'none' || pins.length > 0 || ca !== undefined)
      report([...at, 'dane'], 'required conflicts with tls: none, pins and ca', {
        hint: 'write tls: required without pins and ca, or remove dane',
      });
  }
  if (mtaSts && host !== undefined)
    report([...at, 'mtaSts'], 'is about MX records, and host replaces them', { hint: 'remove one of them' });
  if (mtaSts && (tls === 'none' || pins.length > 0 || ca !== undefined))
    report([...at, 'mtaSts'], 'conflicts with tls: none, pins and ca', {
      hint: 'write tls: required without pins and ca, or remove mtaSts',
    });
}

/** A login by bearer token (`mailboxes[].imap.oauth2`, `partners[].route.oauth2`). */
export type OAuth2Config = NonNullable<NonNullable<MailboxConfig['imap']>['oauth2']>;

/** Checks that the settings name exactly one way to get a token. */
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
