import { isIPv6 } from 'node:net';

/** True for a host that never leaves this machine: what is sent there needs no encryption. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  if (name === 'localhost' || name.endsWith('.localhost')) return true;
  if (/^127(\.\d{1,3}){3}$/.test(name)) return true;
  return isIPv6(name) && /^(0*:)*:?0*1$|^::ffff:127(\.\d{1,3}){3}$/.test(name);
}
