/** All rules that a schema cannot express. Those of identities and directories are in this file. */
import type { ProfileBook } from '../profile/profiles.ts';
import { checkAlerts } from './alert-rules.ts';
import { checkDkim } from './dkim-rules.ts';
import { checkDropFolders } from './folder-rules.ts';
import { checkMailboxes } from './mailbox-rules.ts';
import { checkPartners } from './partner-rules.ts';
import { checkPolicies } from './policy-rules.ts';
import type { Places, Problem, Report, SettingPath } from './problem.ts';
import { checkProfiles } from './profile-rules.ts';
import type { Config } from './schema.ts';
import { checkServers } from './server-rules.ts';

/** The rules that a schema cannot express: settings that must fit together. */
export function checkRules(config: Config, source: Places, book: ProfileBook): Problem[] {
  const problems: Problem[] = [];
  const report: Report = (path, message, extra) => problems.push(source.problem(path, message, extra));
  checkIdentities(config, report);
  checkMailboxes(config, report);
  checkPartners(config, report);
  checkDkim(config, report);
  checkPolicies(config, report);
  checkServers(config, report);
  checkDropFolders(config, report);
  checkLookup(config, report);
  checkProfiles(config, book, report);
  checkAlerts(config, report);
  return problems;
}

function checkIdentities({ identities }: Config, report: Report): void {
  identities.forEach(({ name, certificate, key, pkcs12 }, index) => {
    const at: SettingPath = ['identities', index];
    // entries with the same name are one identity over time
    if (identities.some((each) => each.name !== name && each.name.toLowerCase() === name.toLowerCase()))
      report([...at, 'name'], `another identity has the name ${name} in other letters`, {
        hint: 'give it another name, or exactly the same',
      });
    if (pkcs12 !== undefined && (key !== undefined || certificate !== undefined))
      report([...at, 'pkcs12'], 'conflicts with certificate or key', {
        hint: 'keep pkcs12, or certificate and key',
      });
    if (pkcs12 === undefined && key === undefined)
      report(at, 'has no private key', {
        hint: 'write pkcs12, or certificate and key; only key if one PEM file contains both',
      });
  });
}

export function checkLookup({ lookup, partners, dns }: Config, report: Report): void {
  const names = lookup.directories.map(({ name }) => name);
  lookup.directories.forEach((directory, index) => {
    const at = ['lookup', 'directories', index];
    if (names.indexOf(directory.name) !== index)
      report([...at, 'name'], `another directory has the name ${directory.name}`, {
        hint: 'give it another name',
      });
    if (directory.kind === 'ldap') {
      const { url, user, password } = directory;
      if (!isLdapUrl(url))
        report([...at, 'url'], 'is not the URL of a directory', {
          hint: 'write ldaps://HOST:PORT, or ldap://HOST:PORT for StartTLS, without a path',
        });
      if (user === undefined && password !== undefined)
        report([...at, 'password'], 'belongs to no user', { hint: 'write user, the DN that logs in' });
      // an empty password is an anonymous login in disguise (RFC 4513 section 5.1.2)
      if (user !== undefined && password === undefined)
        report([...at, 'user'], 'has no password', { hint: 'write password: {file: PATH} or {env: NAME}' });
    }
    if ((directory.kind === 'smimea' || directory.kind === 'cert') && dns === undefined)
      report([...at, 'kind'], 'needs a resolver that validates DNSSEC', { hint: 'write dns.resolver' });
    if (!partners.some((partner) => partner.lookup.includes(directory.name)))
      report([...at, 'name'], 'is named by no partner, so nothing is looked up in it', {
        severity: 'warning',
        hint: 'write its name under lookup of partners',
      });
  });
  partners.forEach((partner, index) => {
    partner.lookup.forEach((name, at) => {
      if (!names.includes(name))
        report(['partners', index, 'lookup', at], `there is no directory ${name}`, {
          hint: names.length === 0 ? 'write lookup.directories' : `write one of ${names.join(', ')}`,
        });
    });
  });
}

function isLdapUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null) return false;
  const { protocol, hostname, pathname, search, hash, username } = url;
  const bare = (pathname === '' || pathname === '/') && search === '' && hash === '' && username === '';
  return (protocol === 'ldaps:' || protocol === 'ldap:') && hostname !== '' && bare;
}
