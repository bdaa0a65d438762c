/** Directories in which certificates are looked up. */
import type { Report } from './problem.ts';
import type { Config } from './schema.ts';

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
      // An empty password is an anonymous login by another name (RFC 4513 section 5.1.2).
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
