import { BlockList, isIP } from 'node:net';
import { hostname } from 'node:os';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/**
 * True for a loopback address or `localhost` itself. What is sent there never leaves this machine, and needs no
 * encryption. Other names (`127.evil.example`, `x.localhost`) are looked up and may be anywhere.
 *
 * @param host with or without the brackets that URLs put around IPv6 addresses
 */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  if (name === 'localhost') return true;
  const family = isIP(name);
  return family !== 0 && loopback.check(name, family === 4 ? 'ipv4' : 'ipv6');
}

/** A network such as `10.0.0.0/8`, or a single address; undefined for anything else. */
export function networkOf(
  text: string,
): { address: string; bits: number; family: 'ipv4' | 'ipv6' } | undefined {
  const [, address = '', length] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const version = isIP(address);
  if (version === 0 || address.includes('%')) return undefined;
  const most = version === 4 ? 32 : 128;
  const bits = length === undefined ? most : Number(length);
  return bits > most ? undefined : { address, bits, family: version === 4 ? 'ipv4' : 'ipv6' };
}

/** Name of this machine in SMTP and in mail that it hands on. */
export function ownName({ smtp }: { smtp: { hostname?: string | undefined } }): string {
  return smtp.hostname ?? hostname();
}
