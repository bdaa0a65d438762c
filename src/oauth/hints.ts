/** Which settings to look at, by what a token endpoint or a mail server said. Pure. */

export interface EndpointRefusal {
  /** Host of the token endpoint. */
  host: string;
  /** `grant_type`. */
  type: string;
  /** Error code of RFC 6749 section 5.2, and Entra's own number. */
  code: string | undefined;
  number: string | undefined;
  status: number;
}

/** Entra's numbers, which name the setting. */
const entra: Record<string, string> = {
  AADSTS7000215: 'the client secret is wrong: write the value of the secret, not its id',
  AADSTS7000222: 'the client secret has expired: make a new one in the app registration',
  AADSTS700016: 'the tenant knows no such app: check clientId, and the tenant in tokenUrl',
  AADSTS90002: 'there is no such tenant: check the tenant in tokenUrl',
  AADSTS900023: 'there is no such tenant: check the tenant in tokenUrl',
  AADSTS70011: 'the scope is wrong: for a client secret write https://outlook.office365.com/.default',
  AADSTS1002012: 'the scope is wrong: for a client secret write https://outlook.office365.com/.default',
  AADSTS65001: 'nobody has consented: grant admin consent to the app in the tenant',
  AADSTS700082: 'the refresh token was not used for too long: log in again and write the new one',
  AADSTS70008: 'the refresh token has expired: log in again and write the new one',
  AADSTS50173:
    'the refresh token was revoked, as after a changed password: log in again and write the new one',
  AADSTS50076: 'conditional access asks for a second factor: use the client credentials of an app',
  AADSTS53003: 'conditional access blocks it: exempt the app in the tenant',
};

/** What to look at after a refusal of the token endpoint. */
export function endpointHint({ host, type, code, number, status }: EndpointRefusal): string {
  const known = number === undefined ? undefined : entra[number];
  if (known !== undefined) return known;
  const google = /(?:^|\.)google(?:apis)?\.com$/.test(host.replace(/:\d+$/, ''));
  const service = type.endsWith('jwt-bearer');
  if (service && code === 'unauthorized_client')
    return 'grant the service account domain-wide delegation with the scope https://mail.google.com/ in the Google admin console';
  if (service && code === 'invalid_grant')
    return "check that the login name is a user of the domain, the service account's key is not revoked, and the clock is right";
  if (type === 'refresh_token' && code === 'invalid_grant')
    return `the refresh token has expired or was revoked: log in again and write the new one${google ? '; an app in testing loses it after 7 days' : ''}`;
  switch (code) {
    case 'invalid_client':
      return 'check oauth2: clientId and clientSecret; the secret may have expired';
    case 'unauthorized_client':
      return 'the app may not use this grant: check its permissions and the admin consent';
    case 'invalid_scope':
      return `check oauth2: scope${google ? ', which is https://mail.google.com/ for mail' : ''}`;
    default:
      return status >= 500 || status === 429
        ? 'nothing to do: it is asked again, less and less often'
        : 'check oauth2: tokenUrl, clientId, clientSecret and scope';
  }
}

/** A login that a mail server refused. */
export interface LoginRefusal {
  protocol: 'smtp' | 'imap';
  host: string;
  /** Its last words. */
  words: string;
  /** Whether the login was by bearer token. */
  bearer: boolean;
  /** What the server said in JSON about the token (the challenge of XOAUTH2). */
  challenge?: Challenge | undefined;
}

export interface Challenge {
  status?: string;
  scope?: string;
}

/** What to look at after a refused login; undefined if nothing is known. */
export function loginHint(refusal: LoginRefusal): string | undefined {
  const { protocol, host, words, bearer, challenge } = refusal;
  // Exchange Online's own codes, wherever it runs
  if (/SmtpClientAuthentication is disabled/i.test(words))
    return /for the mailbox/i.test(words)
      ? 'allow it: Set-CASMailbox USER -SmtpClientAuthenticationDisabled $false'
      : 'SMTP AUTH is off in the tenant: Set-CASMailbox USER -SmtpClientAuthenticationDisabled $false allows it for this mailbox, even with security defaults';
  if (/\b5\.7\.30\b/.test(words) || /basic authentication is (?:disabled|not supported)/i.test(words))
    return 'Exchange Online takes no passwords here any more: use oauth2';
  const exchange =
    /(?:^|\.)(?:office365|outlook|office)\.com$/i.test(host) || /\b5\.7\.(?:139|3)\b/.test(words);
  if (exchange && !bearer) return 'Exchange Online switches passwords off: use oauth2';
  if (exchange && /\b5\.7\.139\b/.test(words))
    return 'a policy of the tenant blocks the login: look at security defaults, conditional access and authentication policies';
  if (exchange)
    return protocol === 'smtp'
      ? 'check in the tenant: application permission SMTP.SendAsApp with admin consent, New-ServicePrincipal, Add-MailboxPermission for it; scope https://outlook.office365.com/.default; user is a licensed mailbox, not a shared one'
      : 'check in the tenant: application permission IMAP.AccessAsApp with admin consent, New-ServicePrincipal, Add-MailboxPermission FullAccess for it; scope https://outlook.office365.com/.default; IMAP is on for the mailbox';
  const gmail = /(?:^|\.)(?:gmail|googlemail|google)\.com$/i.test(host) || challenge?.scope === googleScope;
  if (gmail && bearer)
    return `check the scope ${googleScope}, that the token is of this user, and for a service account its domain-wide delegation`;
  if (gmail) return 'Google takes no passwords of accounts: use oauth2, or an app password';
  if (!bearer) return undefined;
  if (challenge?.scope !== undefined && challenge.scope !== '')
    return `the server asks for the scope ${challenge.scope}`;
  return 'check that user and scope of oauth2 are what the server expects';
}

const googleScope = 'https://mail.google.com/';

/**
 * Reads the challenge of a refused XOAUTH2 or OAUTHBEARER login (RFC 7628 section 3.2.2): JSON in base64, of which only
 * status and scope are kept. Undefined if it is something else.
 */
export function readChallenge(base64: string): Challenge | undefined {
  if (base64.length === 0 || base64.length > 4096) return undefined;
  try {
    return challengeOf(JSON.parse(Buffer.from(base64, 'base64').toString()));
  } catch {
    return undefined;
  }
}

/** As `readChallenge`, of the JSON itself. */
export function challengeOf(json: unknown): Challenge | undefined {
  if (typeof json !== 'object' || json === null) return undefined;
  const found: Challenge = {};
  for (const name of ['status', 'scope'] as const) {
    const value: unknown = Reflect.get(json, name);
    if (typeof value === 'string' && /^[\x20-\x7e]{1,200}$/.test(value)) found[name] = value;
  }
  return found;
}
