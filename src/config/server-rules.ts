import { isIP } from 'node:net';
import { checkStore } from './destination-rules.ts';
import { allDestinations, isPrivateRedis } from './facts.ts';
import { isLoopback, networkOf } from './hosts.ts';
import type { Report, SettingPath } from './problem.ts';
import type { Config } from './schema.ts';

export function checkServers(config: Config, report: Report): void {
  checkListener(config, report);
  checkDoor('api', config, report);
  checkDoor('console', config, report);
  checkProvider(config, report);
  checkRedis(config, report);
  checkSpool(config, report);
  checkResolver(config, report);
  if (config.retry.firstDelay > config.retry.maxDelay)
    report(['retry', 'firstDelay'], 'is longer than maxDelay', { hint: 'make it shorter' });
  if (config.http.publicUrl !== undefined && config.http.port === undefined)
    report(['http', 'publicUrl'], 'leads to no listener', { hint: 'write http.port' });
}

function checkListener({ smtp, mailboxes, partners, http }: Config, report: Report): void {
  const mx = smtp.listen.filter(({ kind }) => kind === 'mx');
  const open = mx.some(({ host }) => !isLoopback(host));
  const addresses = mailboxes.some((mailbox) => mailbox.addresses.length > 0);
  smtp.listen.forEach(({ kind }, index) => {
    if (kind === 'mx') return;
    const at = ['smtp', 'listen', index, 'kind'];
    if (smtp.tls === undefined)
      report(at, 'is submission, and programs log in over TLS only', { hint: 'write smtp.tls' });
    if (partners.length === 0)
      report(at, 'is submission, but there are no partners to send to', { hint: 'write partners' });
  });
  if (mx.length > 0 && !addresses)
    report(['smtp', 'listen'], 'is written, but no mailbox has addresses: each recipient would be refused', {
      severity: open ? 'error' : 'warning',
      hint: 'write addresses of mailboxes, or remove smtp.listen',
    });
  if (mx.length === 0 && addresses)
    report(['smtp'], 'has no listen of the kind mx, so nothing arrives for the addresses of the mailboxes', {
      severity: 'warning',
      hint: 'write smtp.listen',
    });
  if (smtp.requireTls && smtp.tls === undefined)
    report(['smtp', 'requireTls'], 'needs a certificate', { hint: 'write smtp.tls' });
  if (open && smtp.tls === undefined)
    report(['smtp', 'listen'], 'is open to other machines without TLS', {
      severity: 'warning',
      hint: 'write smtp.tls',
    });
  if (smtp.listen.length > 0 && smtp.maxConnectionsPerClient >= smtp.maxConnections)
    report(
      ['smtp', 'maxConnectionsPerClient'],
      `is ${smtp.maxConnectionsPerClient}, and there are ${smtp.maxConnections} for all: one client can take every connection`,
      { severity: 'warning', hint: 'write less than smtp.maxConnections' },
    );
  if (http.port !== undefined && !isLoopback(http.host) && http.metricsToken === undefined)
    report(['http', 'host'], 'is open to other machines, so /metrics refuses everybody', {
      severity: 'warning',
      hint: 'write http.metricsToken',
    });
  const taken = new Set<string>(
    http.port === undefined || http.port === 0 ? [] : [`${http.host}:${http.port}`],
  );
  smtp.listen.forEach(({ host, port, implicitTls }, index) => {
    if (implicitTls && smtp.tls === undefined)
      report(['smtp', 'listen', index, 'implicitTls'], 'needs a certificate', { hint: 'write smtp.tls' });
    if (port !== 0 && taken.has(`${host}:${port}`))
      report(['smtp', 'listen', index, 'port'], `${host}:${port} is taken by another listener of this file`, {
        hint: 'choose another port',
      });
    taken.add(`${host}:${port}`);
  });
}

/** What the two HTTP doors have in common. */
function checkDoor(name: 'api' | 'console', config: Config, report: Report): void {
  const { host, port, tls, trustedProxies, hostnames } = config[name];
  trustedProxies.forEach((text, index) => {
    if (networkOf(text) === undefined)
      report([name, 'trustedProxies', index], 'is not an address or a network', {
        hint: 'write 10.1.2.3, 10.0.0.0/8 or fd00::/8',
      });
  });
  if (port === undefined) return;
  const open = !isLoopback(host);
  const readable = name === 'api' ? 'tokens' : 'passwords';
  if (open && tls === undefined && trustedProxies.length === 0)
    report([name, 'host'], `is open to other machines without TLS, and ${readable} would be readable there`, {
      hint: `write ${name}.tls, or ${name}.trustedProxies if a proxy ends TLS; or listen on 127.0.0.1`,
    });
  if (open && hostnames.length === 0)
    report([name, 'hostnames'], 'is empty: only requests to the address itself are answered', {
      severity: 'warning',
      hint: `write the names by which ${name === 'api' ? 'programs reach the API' : 'people reach the console'}`,
    });
  const others = [config.http, ...config.smtp.listen, ...(name === 'console' ? [config.api] : [])];
  if (port !== 0 && others.some((each) => each.port === port && each.host === host))
    report([name, 'port'], `${host}:${port} is taken by another listener of this file`, {
      hint: 'choose another port',
    });
}

/** A URL at which people reach the console. */
function checkAddress(
  url: string,
  path: SettingPath,
  { host, hostnames }: Config['console'],
  report: Report,
): void {
  const { hostname, pathname, search } = new URL(url);
  if (pathname !== '/' || search !== '')
    report(path, 'is more than a host', { hint: 'write https://console.example.com' });
  const bare = hostname.replace(/^\[(.*)\]$/, '$1');
  if (bare !== host && !isLoopback(bare) && !hostnames.some((name) => name.toLowerCase() === bare))
    report(path, 'is a name that the console does not answer for', { hint: 'add it to console.hostnames' });
}

function checkClear(url: string, path: SettingPath, report: Report): void {
  const { protocol, hostname } = new URL(url);
  if (protocol !== 'https:' && !isLoopback(hostname))
    report(path, 'is clear text, and logins would be readable there', { hint: 'write https://' });
}

function checkProvider({ console: settings }: Config, report: Report): void {
  const { oidc, publicUrl } = settings;
  if (publicUrl !== undefined) {
    const at = ['console', 'publicUrl'];
    checkClear(publicUrl, at, report);
    checkAddress(publicUrl, at, settings, report);
    const { origin, hostname } = new URL(publicUrl);
    if (isIP(hostname.replace(/^\[|\]$/g, '')) !== 0)
      report(at, 'has an IP address, and passkeys are bound to names', {
        severity: 'warning',
        hint: 'write a name, or remove it',
      });
    if (oidc !== undefined && new URL(oidc.url).origin !== origin)
      report(at, 'is another address than console.oidc.url', { hint: 'write the same in both' });
  }
  if (oidc === undefined) return;
  for (const name of ['issuer', 'url'] as const) checkClear(oidc[name], ['console', 'oidc', name], report);
  checkAddress(oidc.url, ['console', 'oidc', 'url'], settings, report);
  if (oidc.groups.length === 0)
    report(
      ['console', 'oidc', 'groups'],
      'is empty: only people of sealpost users add --subject may log in',
      {
        severity: 'warning',
        hint: 'write which groups may do what',
      },
    );
}

function checkSpool({ spool: { store, s3 } }: Config, report: Report): void {
  if (s3 === undefined) {
    if (store === 's3')
      report(['spool', 'store'], 'is s3, but spool.s3 is missing', { hint: 'write spool.s3' });
    return;
  }
  if (store !== 's3')
    report(['spool', 's3'], 'is not used', { severity: 'warning', hint: 'write spool.store: s3' });
  checkStore(s3, ['spool', 's3'], report);
}

/** Whoever can change an answer on its way decides which servers are the right ones (RFC 7672 section 2.1.1). */
function checkResolver({ dns }: Config, report: Report): void {
  if (dns === undefined) return;
  const { resolver, tls, name, ca } = dns;
  if (isIP(resolver) === 0) report(['dns', 'resolver'], 'is not an IP address', { hint: 'write 127.0.0.1' });
  else if (!tls && !isLoopback(resolver))
    report(
      ['dns', 'resolver'],
      'is asked over the network without TLS, so its word on DNSSEC proves nothing',
      {
        hint: 'write the address of a resolver on this machine, or dns.tls: true',
      },
    );
  for (const [setting, value] of Object.entries({ name, ca }))
    if (!tls && value !== undefined)
      report(['dns', setting], 'is not used without TLS', { hint: 'write dns.tls: true, or remove it' });
}

function checkRedis(config: Config, report: Report): void {
  const { redis } = config;
  const places = (['url', 'sentinel', 'cluster'] as const).filter((name) => redis[name] !== undefined);
  if (isPrivateRedis(redis))
    for (const name of ['username', 'password', 'ca'] as const)
      if (redis[name] !== undefined)
        report(['redis', name], 'has no url with it; the private server needs none', {
          hint: `write redis.url, or remove the ${name}`,
        });
  for (const name of places.slice(1))
    report(['redis', name], `conflicts with redis.${places[0]}: there can be only one store`, {
      hint: 'write one of redis.url, redis.sentinel and redis.cluster',
    });
  if (isPrivateRedis(redis) && (redis.replicas ?? 0) > 0)
    report(['redis', 'replicas'], 'the private server has no replicas', { hint: 'remove it' });
  if (redis.url !== undefined) checkRedisUrl(redis.url, report);
  redis.sentinel?.nodes.forEach((node, index) => {
    checkNode(node, ['redis', 'sentinel', 'nodes', index], 'Sentinel', 'redis://host:26379', report);
  });
  redis.cluster?.nodes.forEach((node, index) => {
    checkNode(node, ['redis', 'cluster', 'nodes', index], 'node of a cluster', 'redis://host:6379', report);
  });
  if (redis.cluster !== undefined) checkPrefixes(config, report);
}

function checkRedisUrl(url: string, report: Report): void {
  if (!/^(rediss?|unix):\/\/./.test(url) || !URL.canParse(url)) {
    report(['redis', 'url'], 'is not the address of a Redis server', {
      hint: 'write redis://host:6379, rediss://host:6379 or unix:///path/of/redis.sock',
    });
    return;
  }
  if (new URL(url).password !== '')
    report(['redis', 'url'], 'contains a password', {
      hint: 'write it as redis.password: {file: PATH} or {env: NAME}',
    });
}

function checkNode(node: string, path: SettingPath, what: string, example: string, report: Report): void {
  const url = /^rediss?:\/\/./.test(node) && URL.canParse(node) ? new URL(node) : undefined;
  if (url === undefined || url.hostname === '')
    report(path, `is not the address of a ${what}`, { hint: `write ${example}` });
  else if (url.username !== '' || url.password !== '' || url.pathname.length > 1)
    report(path, 'contains more than host and port', {
      hint: 'user and password have settings of their own; a cluster has no numbered databases',
    });
}

/** All keys of a script must be in one slot, and the first pair of braces decides the slot. */
function checkPrefixes(config: Config, report: Report): void {
  const check = (prefix: string, path: SettingPath) => {
    if (!/^[^{]*\{[^}]+\}/.test(prefix))
      report(path, 'has no braces, so a cluster would spread its keys over all nodes', {
        hint: `write "{${prefix.replaceAll(/[{}]/g, '') || 'sealpost'}}"`,
      });
  };
  check(config.redis.prefix, ['redis', 'prefix']);
  for (const [path, destination] of allDestinations(config))
    if (destination.type === 'queue' && destination.prefix !== undefined)
      check(destination.prefix, [...path, 'prefix']);
}
