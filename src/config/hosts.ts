import { BlockList, isIP } from 'node:net';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/**
 * True for a host that never leaves this machine: what is sent there needs no encryption. An address, or `localhost`
 * itself; other names (`127.evil.example`, `x.localhost`) are looked up, and may be anywhere.
 *
 * @param host with or without the brackets that URLs have around IPv6 addresses
 */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  if (name === 'localhost') return true;
  const family = isIP(name);
  return family !== 0 && loopback.check(name, family === 4 ? 'ipv4' : 'ipv6');
}
