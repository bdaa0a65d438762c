import { contentCipherOf } from '../cms/algorithms.ts';
import { digestByName } from '../pki/algorithms.ts';
import { protectionOf } from '../smime/encode/presets.ts';
import { parseAddressEntry } from './addresses.ts';
import { checkAddresses, knownNames } from './mailbox-rules.ts';
import { checkNames, type Report, type SettingPath } from './problem.ts';
import { checkServerRoute } from './route-rules.ts';
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
    const { revocation } = partner;
    if (revocation !== undefined && revocation !== 'off' && config.trust.revocation.hosts.length === 0)
      report([...at, 'revocation'], `is ${revocation}, but no host may be contacted`, {
        hint: 'write trust.revocation.hosts',
      });
    const how = { readable: false, dns: dns !== undefined };
    checkServerRoute(partner.route, [...at, 'route'], how, report);
    if (partner.backup) {
      checkServerRoute(partner.backup.route, [...at, 'backup', 'route'], how, report);
      checkBackup(partner.route, partner.backup.route, [...at, 'backup', 'route'], report);
    }
    checkReadable(partner, at, report);
    checkWindows(partner, [...at, 'windows'], report);
    if (partner.from !== undefined && parseAddressEntry(partner.from)?.kind !== 'address')
      report([...at, 'from'], 'is not an address', { hint: 'write user@example.com' });
  });
}

/** A name leads to one partner for ever: what was kept under it must not become another partner's. */
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
    report(at, 'has no certificates to encrypt with: mail to it waits until one is approved or configured', {
      severity: 'warning',
      hint: "write certificates with the partner's certificate, approve one (sealpost certs), or write encrypt: false",
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
  { approval: { rules, anchors }, trust: own }: PartnerConfig,
  { trust, log }: Pick<Config, 'trust' | 'log'>,
  at: SettingPath,
  report: Report,
): void {
  if (own?.by === 'pins' && own.anchors.length > 0)
    report([...at.slice(0, -1), 'trust', 'anchors'], 'have no effect with by: pins', {
      hint: 'leave them out, or write by: both',
    });
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

type Route = PartnerConfig['route'];

/** A folder is not reached over a network, so nobody on the way gains anything by making the first route fail. */
function checkBackup(first: Route, second: Route, at: SettingPath, report: Report): void {
  if (first.folder !== undefined && second.folder === first.folder)
    report([...at, 'folder'], 'is the folder of route', { hint: 'name another one' });
  if (first.folder === undefined && second.folder === undefined && isWeaker(second, first))
    report(at, 'has weaker TLS than route', {
      hint: 'give it host, tls, ca, pins, dane and mtaSts that demand as much as those of route',
    });
}

/** Unencrypted mail in a folder can be read by whoever may read the folder. */
function checkReadable({ encrypt, route, backup }: PartnerConfig, at: SettingPath, report: Report): void {
  if (encrypt) return;
  const routes: [string[], Route | undefined][] = [
    [['route'], route],
    [['backup', 'route'], backup?.route],
  ];
  for (const [where, each] of routes)
    if (each?.folder !== undefined)
      report(
        [...at, ...where, 'folder'],
        'will have readable mail, because mail to the partner is not encrypted',
        {
          severity: 'warning',
          hint: 'write encrypt: true, or see who may read the folder',
        },
      );
}

/**
 * Whether a route demands less of the server than the first one does. Nobody must gain anything by making the first one
 * fail.
 */
function isWeaker(second: Route, first: Route): boolean {
  if (strengthOf(second) < strengthOf(first)) return true;
  // A policy says which servers are right, and that they have TLS. A route that names its server needs only the latter.
  if (first.mtaSts && !second.mtaSts && !namesServer(second) && strengthOf(second) < 5) return true;
  // Whoever forges MX records chooses the name that the certificate is for.
  return namesServer(first) && second.host === undefined && strengthOf(second) < 5;
}

/** The certificate must be for a name that is written down. */
const namesServer = ({ tls, host }: Route) =>
  host !== undefined && (tls === 'required' || tls === 'implicit');

/** What the partner publishes requires TLS even if the route would do without it. */
function strengthOf({ tls, ca, pins, dane }: Route): number {
  if (tls === 'none') return 0;
  if (dane === 'required') return 5;
  const published = dane === 'off' ? 0 : 1;
  if (tls === 'opportunistic') return 1 + published;
  if (pins.length > 0) return 6;
  return ca === undefined ? 3 + published : 5;
}

function checkWindows({ windows }: PartnerConfig, at: SettingPath, report: Report): void {
  windows?.open.forEach(({ days, dates }, index) => {
    if (days !== undefined && dates !== undefined)
      report([...at, 'open', index], 'has both days and dates', { hint: 'write two windows' });
  });
}
