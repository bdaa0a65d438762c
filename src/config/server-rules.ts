import { isLoopback } from './hosts.ts';
import type { Report } from './rules.ts';
import type { Config } from './schema.ts';

export function checkServers(config: Config, report: Report): void {
  checkListener(config, report);
  checkRedis(config, report);
  if (config.retry.firstDelay > config.retry.maxDelay)
    report(['retry', 'firstDelay'], 'is longer than maxDelay', { hint: 'make it shorter' });
  if (config.http.publicUrl !== undefined && config.http.port === undefined)
    report(['http', 'publicUrl'], 'leads to no listener', { hint: 'write http.port' });
}

function checkListener({ smtp, mailboxes, http }: Config, report: Report): void {
  const open = smtp.listen.some(({ host }) => !isLoopback(host));
  const addresses = mailboxes.some((mailbox) => mailbox.addresses.length > 0);
  if (smtp.listen.length > 0 && !addresses)
    report(['smtp', 'listen'], 'is written, but no mailbox has addresses: each recipient would be refused', {
      severity: open ? 'error' : 'warning',
      hint: 'write addresses of mailboxes, or remove smtp.listen',
    });
  if (smtp.listen.length === 0 && addresses)
    report(['smtp'], 'has no listen, so nothing arrives for the addresses of the mailboxes', {
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

function checkRedis({ redis }: Config, report: Report): void {
  if (redis.url === undefined) {
    if (redis.password !== undefined)
      report(['redis', 'password'], 'has no url beside it; the private server needs none', {
        hint: 'write redis.url, or remove the password',
      });
    return;
  }
  if (!/^(rediss?|unix):\/\/./.test(redis.url) || !URL.canParse(redis.url)) {
    report(['redis', 'url'], 'is not the address of a Redis server', {
      hint: 'write redis://host:6379, rediss://host:6379 or unix:///path/of/redis.sock',
    });
    return;
  }
  if (new URL(redis.url).password !== '')
    report(['redis', 'url'], 'holds a password', {
      hint: 'write it as redis.password: {file: PATH} or {env: NAME}',
    });
}
