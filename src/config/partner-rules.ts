import { contentCipherOf } from '../cms/algorithms.ts';
import { digestByName } from '../pki/algorithms.ts';
import { protectionOf } from '../smime/encode/presets.ts';
import { parseAddressEntry } from './addresses.ts';
import { isLoopback } from './hosts.ts';
import { checkAddresses, knownNames } from './mailbox-rules.ts';
import { checkOAuth2 } from './oauth2-rules.ts';
import { checkNames, type Report, type SettingPath } from './problem.ts';
import type { Config, PartnerConfig } from './schema.ts';

export function checkPartners(config: Config, report: Report): void {
  const { partners, identities, dns } = config;
  checkNames(partners, ['partners'], 'a partner', report);
  checkFormerNames(partners, report);
  checkAddresses(partners, 'partners', report);
  const known = identities.map(({ name }) => name);
  partners.forEach((partner, index) => {
    const at: SettingPath = ['partners', index];
    checkProtection(partner, at, known, report);
    checkApproval(partner, config, [...at, 'approval'], report);
    checkRoute(partner, [...at, 'route'], report);
    checkPublished(partner, [...at, 'route'], dns !== undefined, report);
    if (partner.backup)
      checkBackup(partner.route, partner.backup, [...at, 'backup'], dns !== undefined, report);
    checkWindows(partner, [...at, 'windows'], report);
    if (partner.from !== undefined && parseAddressEntry(partner.from)?.kind !== 'address')
      report([...at, 'from'], 'is not an address', { hint: 'write user@example.com' });
  });
}

/** A name leads to one partner, whenever it was its name: what was kept under it must not become another's. */
function checkFormerNames(partners: readonly PartnerConfig[], report: Report): void {
  const owners = new Map(partners.map(({ name }) => [name.toLowerCase(), name]));
  partners.forEach(({ name, formerNames }, index) => {
    formerNames.forEach((former, entry) => {
      const owner = owners.get(former.toLowerCase());
      // it may have got its first name back, under which its mail is kept
      if (owner === name && entry === 0) return;
      if (owner !== undefined)
        report(
          ['partners', index, 'formerNames', entry],
          `${former} is ${owner === name ? 'written twice' : `a name of partner ${owner}`}`,
          { hint: 'keep one of them' },
        );
      owners.set(former.toLowerCase(), name);
    });
  });
}

function checkProtection(partner: PartnerConfig, at: SettingPath, known: readonly string[], report: Report) {
  const { encrypt, identity, certificates, allowWeak, preset, coSigners, encryptionIdentity } = partner;
  const { sign, contentEncryption, digest, tripleWrap, headerProtection, legacyDisplay } = protectionOf(
    preset,
    partner,
  );
  const by = (name: 'contentEncryption' | 'digest') => (partner[name] === undefined ? 'preset' : name);
  if (encrypt && certificates.length === 0)
    report(at, 'has no certificates to encrypt with', {
      hint: "write certificates with the partner's certificate, or encrypt: false",
    });
  if (sign !== 'none' && identity === undefined)
    report(at, 'has no identity that signs', {
      hint: `write identity, or sign: none; ${knownNames(known)}`,
    });
  for (const [name, value] of Object.entries({ identity, encryptionIdentity }))
    if (value !== undefined && !known.includes(value))
      report([...at, name], `there is no identity ${value}`, { hint: knownNames(known) });
  coSigners.forEach((value, index) => {
    if (!known.includes(value))
      report([...at, 'coSigners', index], `there is no identity ${value}`, { hint: knownNames(known) });
  });
  if (!encrypt && sign === 'none')
    report(at, 'mail to it is neither encrypted nor signed', { severity: 'warning' });
  if (tripleWrap && (!encrypt || sign === 'none'))
    report([...at, 'tripleWrap'], 'has no effect unless mail is both signed and encrypted', {
      severity: 'warning',
    });
  if (legacyDisplay && !(encrypt && headerProtection))
    report([...at, 'legacyDisplay'], 'has no effect unless mail is encrypted with headerProtection', {
      severity: 'warning',
    });
  if (encrypt && !allowWeak && contentCipherOf(contentEncryption)?.strength === 'weak')
    report([...at, by('contentEncryption')], `${contentEncryption} can be broken by anyone`, {
      hint: 'write aes-256-cbc; if the partner supports nothing better, allowWeak: true',
    });
  if (sign !== 'none' && !allowWeak && digestByName.get(digest)?.weak !== undefined)
    report([...at, by('digest')], `${digest} no longer protects a signature`, {
      hint: 'write digest: sha256; if the partner supports nothing better, allowWeak: true',
    });
}

/** A rule that nobody can stop, or that does not ask whether a key was stolen, is worse than none. */
function checkApproval(
  { approval: { rules, anchors } }: PartnerConfig,
  { trust, log }: Pick<Config, 'trust' | 'log'>,
  at: SettingPath,
  report: Report,
): void {
  if (rules.includes('private-anchor') !== anchors.length > 0)
    report([...at, 'anchors'], 'and the rule private-anchor belong together', {
      hint: 'write both or none of them',
    });
  if (rules.length === 0) return;
  if (trust.revocation.mode !== 'hard')
    report(
      [...at, 'rules'],
      `need hard revocation checks, and trust.revocation.mode is ${trust.revocation.mode}`,
      {
        hint: 'write trust.revocation.mode: hard, or approve certificates with sealpost certs approve',
      },
    );
  if (['fatal', 'error', 'silent'].includes(log.level))
    report([...at, 'rules'], `alert you with a warning in the log, and log.level is ${log.level}`, {
      hint: 'write log.level: warn or info',
    });
}

function checkRoute({ route }: Pick<PartnerConfig, 'route'>, at: SettingPath, report: Report): void {
  const { host, tls, user, password, oauth2, rate } = route;
  if (rate !== undefined && rate.messages === undefined && rate.octets === undefined)
    report([...at, 'rate'], 'limits nothing', { hint: 'write messages or octets' });
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
  if (tls === 'implicit' && host === undefined)
    report([...at, 'tls'], 'implicit is not supported by servers in MX records', {
      hint: 'write host, or required',
    });
  if (tls === 'none' && host !== undefined && !isLoopback(host))
    report([...at, 'tls'], 'none: addresses and header fields are sent in clear', {
      severity: 'warning',
      hint: 'write required if the server supports TLS',
    });
}

/** What says which server is the right one: the operator, or what the partner publishes. */
function checkPublished(
  { route }: Pick<PartnerConfig, 'route'>,
  at: SettingPath,
  dns: boolean,
  report: Report,
): void {
  const { host, tls, ca, pins, clientCertificate, dane, mtaSts } = route;
  const verifies = tls === 'required' || tls === 'implicit';
  if (pins.length > 0 && !verifies)
    report([...at, 'pins'], `are not compared with tls: ${tls} as long as the server offers no TLS`, {
      hint: 'write required or implicit',
    });
  if (pins.length > 0 && ca !== undefined)
    report([...at, 'ca'], 'is not used beside pins', { hint: 'write one of them' });
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

type Route = PartnerConfig['route'];

function checkBackup(
  first: Route,
  backup: NonNullable<PartnerConfig['backup']>,
  at: SettingPath,
  dns: boolean,
  report: Report,
): void {
  checkRoute(backup, [...at, 'route'], report);
  checkPublished(backup, [...at, 'route'], dns, report);
  if (strengthOf(backup.route) < strengthOf(first))
    report([...at, 'route'], 'has weaker TLS than route', {
      hint: 'give it tls, ca, pins and dane that demand as much as those of route',
    });
}

/** How much a route demands of the server, to compare two of them. Whoever makes the first one fail must gain nothing. */
export function strengthOf({ tls, ca, pins, dane }: Route): number {
  if (tls === 'none') return 0;
  if (tls === 'opportunistic') return 1;
  if (pins.length > 0) return 5;
  if (ca !== undefined || dane === 'required') return 4;
  return dane === 'off' ? 2 : 3;
}

function checkWindows({ windows }: PartnerConfig, at: SettingPath, report: Report): void {
  windows?.open.forEach(({ days, dates }, index) => {
    if (days !== undefined && dates !== undefined)
      report([...at, 'open', index], 'has both days and dates', { hint: 'write two windows' });
  });
}
