/** Where a request comes from, and over what. Checked for each connection and each request, before anything is read. */
import type { IncomingMessage } from 'node:http';
import { BlockList, isIP, isIPv4 } from 'node:net';
import { isLoopback, networkOf } from '../config/index.ts';
import { refusal } from './problem.ts';

export interface OriginRules {
  /** Whose door it is, named as in the settings. */
  name: 'api' | 'console';
  /** Address that it listens on. */
  host: string;
  hostnames: readonly string[];
  trustedProxies: readonly string[];
  /** TLS of our own. */
  tls: boolean;
}

const doors = { api: 'API', console: 'console' } as const;

/** Fields that must not be repeated, because two readers could take different ones. */
const single = new Set([
  ...['host', 'authorization', 'content-type', 'content-length', 'transfer-encoding', 'content-encoding'],
  ...['idempotency-key', 'last-event-id', 'expect', 'x-forwarded-proto', 'cookie', 'origin'],
]);

/** An IPv4 address that came over IPv6, as IPv4. */
function withoutMapping(address: string): string {
  const mapped = /^::ffff:/i.test(address) ? address.slice(7) : '';
  return isIPv4(mapped) ? mapped : address;
}

export class Origins {
  readonly #rules: OriginRules;
  readonly #proxies = new BlockList();
  readonly #names: ReadonlySet<string>;

  constructor(rules: OriginRules) {
    this.#rules = rules;
    for (const text of rules.trustedProxies) {
      const network = networkOf(text);
      if (network) this.#proxies.addSubnet(network.address, network.bits, network.family);
    }
    this.#names = new Set([rules.host, ...rules.hostnames].map((name) => name.toLowerCase()));
  }

  /** @param address of the other end of a connection */
  isProxy(address: string): boolean {
    const plain = withoutMapping(address);
    const family = isIP(plain);
    return family !== 0 && this.#proxies.check(plain, family === 4 ? 'ipv4' : 'ipv6');
  }

  /** Whether a connection may be kept at all. In clear text, only proxies and this machine may connect. */
  mayConnect(address: string): boolean {
    return this.#rules.tls || isLoopback(withoutMapping(address)) || this.isProxy(address);
  }

  /**
   * The address of the client. Proxies are believed if they are named in the settings, from the last one backwards.
   *
   * Errors: `request-invalid`, `host-unknown`, `transport-insecure`.
   */
  check(request: IncomingMessage): string {
    this.#checkFields(request);
    const { host } = request.headers;
    if (host === undefined) throw refusal('request-invalid', 'the request has no field Host');
    this.#checkHost(host);
    const peer = withoutMapping(request.socket.remoteAddress ?? '');
    if (!this.isProxy(peer)) {
      if (!this.mayConnect(peer)) throw insecure();
      return peer;
    }
    const client = this.#clientOf(request, peer);
    if (!this.#rules.tls) {
      const proto = request.headers['x-forwarded-proto'];
      const isLocal = proto === undefined && isLoopback(peer) && client === peer;
      if (proto !== 'https' && !isLocal && !isLoopback(client)) throw insecure();
    }
    return client;
  }

  /** Whether a request that `check` admitted came over TLS, at least as far as the proxy. */
  isSecure({ headers, socket }: IncomingMessage): boolean {
    if (this.#rules.tls) return true;
    return this.isProxy(socket.remoteAddress ?? '') && headers['x-forwarded-proto'] === 'https';
  }

  #clientOf(request: IncomingMessage, peer: string): string {
    const field = request.headers['x-forwarded-for'];
    const hops = (Array.isArray(field) ? field.join(',') : (field ?? '')).split(',').map((hop) => hop.trim());
    for (const hop of hops.reverse()) {
      if (hop === '') break;
      const address = withoutMapping(hop);
      if (isIP(address) === 0) throw refusal('request-invalid', 'X-Forwarded-For is not a list of addresses');
      if (!this.isProxy(address)) return address;
    }
    return peer;
  }

  #checkFields({ rawHeaders, headers, url = '' }: IncomingMessage): void {
    const seen = new Set<string>();
    for (let at = 0; at < rawHeaders.length; at += 2) {
      const name = (rawHeaders[at] ?? '').toLowerCase();
      if (single.has(name) && seen.has(name))
        throw refusal('request-invalid', `the field ${name} is repeated`);
      seen.add(name);
    }
    // Node's parser decodes chunks, and would pass any other coding through.
    if ((headers['transfer-encoding'] ?? 'chunked').toLowerCase() !== 'chunked')
      throw refusal('media-type-unsupported', 'the body has a transfer coding beside chunked');
    if (!url.startsWith('/')) throw refusal('request-invalid', 'the request target is not a path');
  }

  #checkHost(field: string): void {
    const name = field.replace(/:\d{1,5}$/, '').toLowerCase();
    const bare = name.replace(/^\[(.*)\]$/, '$1');
    if (this.#names.has(bare) || isLoopback(bare)) return;
    const { name: door } = this.#rules;
    const why = `the ${doors[door]} does not answer for this host`;
    throw refusal('host-unknown', why, `see ${door}.hostnames`);
  }
}

function insecure() {
  return refusal('transport-insecure', 'the request came over clear text from another machine', 'use https');
}
