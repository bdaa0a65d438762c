import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';

/** IANA's special-purpose, multicast and reserved IPv4 addresses, which a webhook must not reach. */
const special4: [string, number][] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
];

/** Within 2000::/3: protocol assignments with Teredo, documentation, 6to4. */
const special6: [string, number][] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
];

const blocked4 = new BlockList();
for (const [net, bits] of special4) blocked4.addSubnet(net, bits, 'ipv4');
const blocked6 = new BlockList();
for (const [net, bits] of special6) blocked6.addSubnet(net, bits, 'ipv6');
const global6 = new BlockList();
global6.addSubnet('2000::', 3, 'ipv6');
const mapped6 = new BlockList();
// IPv4-mapped (RFC 4291, section 2.5.5.2) and the NAT64 prefix (RFC 6052): the last 32 bits are IPv4
mapped6.addSubnet('::ffff:0:0', 96, 'ipv6');
mapped6.addSubnet('64:ff9b::', 96, 'ipv6');

/** The last 32 bits of an IPv6 address, as IPv4. */
function embedded(address: string): string | undefined {
  const host = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [high = '', low = ''] = host.split(':').slice(-2);
  const bits = Number.parseInt(high || '0', 16) * 65536 + Number.parseInt(low || '0', 16);
  if (!Number.isInteger(bits)) return undefined;
  return [bits >>> 24, (bits >>> 16) & 255, (bits >>> 8) & 255, bits & 255].join('.');
}

/**
 * True for an address of the public Internet. Everything else is false: loopback, private, link-local, shared,
 * documentation, multicast, and anything that is not a canonical address (`127.1`, `2130706433`).
 */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 0 || address.includes('%')) return false;
  if (isIPv4(address)) return !blocked4.check(address, 'ipv4');
  if (mapped6.check(address, 'ipv6')) {
    const inside = embedded(address);
    return inside !== undefined && isPublicAddress(inside);
  }
  return global6.check(address, 'ipv6') && !blocked6.check(address, 'ipv6');
}

/**
 * What counts as one client: an IPv4 address (including its form on a listener on `::`, ::ffff:192.0.2.1), or the first
 * 64 bits of an IPv6 address (RFC 4291 section 2.5.1).
 */
export function clientOf(address: string): string {
  const mapped = address.replace(/^::ffff:/i, '');
  if (isIPv4(mapped) || !isIPv6(address)) return mapped;
  const [head = '', tail = ''] = address.split('::');
  const groups = head === '' ? [] : head.split(':');
  const missing = address.includes('::') ? 8 - groups.length - (tail === '' ? 0 : tail.split(':').length) : 0;
  const all = [...groups, ...Array<string>(Math.max(0, missing)).fill('0'), ...tail.split(':')];
  return all
    .slice(0, 4)
    .map((group) => group.toLowerCase().replace(/^0+/, '') || group.slice(0, 1))
    .join(':');
}
