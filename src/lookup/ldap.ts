/**
 * A directory that is asked over LDAP (RFC 4511), always inside TLS. Certificates are as RFC 4523 and RFC 2798 have
 * them.
 */
import { connect as connectTcp, isIP, type NetConnectOpts, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { type Config, readPublicFile, readSecret } from '../config/index.ts';
import { SealpostError, toErrorInfo } from '../errors.ts';
import { answerLimits, type Directory, readValues } from './types.ts';

export type LdapSettings = Extract<Config['lookup']['directories'][number], { kind: 'ldap' }>;

/**
 * RFC 4523 and RFC 2798. The second one is SignedData without content; OpenLDAP and Active Directory write its name
 * differently.
 */
const attributes = ['userCertificate;binary', 'userSMIMECertificate', 'userSMIMECertificate;binary'];
/** The most entries for one address. */
const mostEntries = 10;
/** @param patience milliseconds for connecting, and for each answer */
export function ldap(settings: LdapSettings, patience = 10_000): Directory {
  return {
    kind: 'ldap',
    async find({ address }, signal) {
      const { Client, EqualityFilter } = await import('ldapts');
      const { hostname: written, protocol } = new URL(settings.url);
      const host = written.replace(/^\[|\]$/g, '');
      const { ca, serverName = host } = settings;
      const tlsOptions: ConnectionOptions = {
        minVersion: 'TLSv1.2',
        // Who it must be, also after StartTLS. An address is none for SNI (RFC 6066 section 3).
        host: serverName,
        ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
        ...(ca === undefined ? {} : { ca: readPublicFile(ca) }),
      };
      const client = new Client({
        url: settings.url,
        timeout: patience,
        connectTimeout: patience,
        // With these, the library starts with TLS even if the URL says ldap:.
        ...(protocol === 'ldaps:' ? { tlsOptions } : {}),
        ...connections(protocol === 'ldaps:', tlsOptions),
      });
      const stop = () => void client.unbind().catch(() => undefined);
      signal.addEventListener('abort', stop, { once: true });
      try {
        if (protocol === 'ldap:') await client.startTLS(tlsOptions);
        // The password is sent after TLS is up, and never without it: startTLS fails where it is not offered.
        if (settings.user !== undefined)
          await client.bind(
            settings.user,
            settings.password === undefined ? '' : readSecret(settings.password),
          );
        const { searchEntries } = await client.search(settings.base, {
          scope: 'sub',
          // The value is sent as octets and not as filter text, so nothing in it has a special meaning.
          filter: new EqualityFilter({ attribute: settings.attribute, value: address }),
          attributes,
          explicitBufferAttributes: attributes,
          sizeLimit: mostEntries,
          timeLimit: Math.ceil(patience / 1000),
        });
        // Referrals would lead to servers that nobody named, so they are not followed.
        const values = searchEntries.flatMap((entry) => attributes.flatMap((name) => buffersOf(entry[name])));
        return readValues(values);
      } catch (error) {
        throw new SealpostError('lookup-failed', `${host}: ${wordsOf(error)}`, { cause: error });
      } finally {
        signal.removeEventListener('abort', stop);
        await client.unbind().catch(() => undefined);
      }
    },
  };
}

/** The library names results of the server in the class of its error, and only their number in the text. */
function wordsOf(error: unknown): string {
  const { message } = toErrorInfo(error);
  const named = error instanceof Error && /^\s*Code: /.test(message);
  return named ? `${error.name.replace(/Error$/, '')},${message.replace(' Code:', ' code')}` : message;
}

function buffersOf(value: Buffer | Buffer[] | string | string[] | undefined): Buffer[] {
  return [value].flat().filter((each) => Buffer.isBuffer(each));
}

/**
 * Connections that are cut when an answer is too large. Each is used once: after the server has closed one, the library
 * reconnects, which after StartTLS would be in clear text.
 *
 * @param tls from the first octet on
 */
function connections(tls: boolean, tlsOptions: ConnectionOptions) {
  let made = 0;
  const once = () => {
    made += 1;
    if (made > 1) throw new Error('the connection ended');
  };
  function createConnection(...args: [NetConnectOpts | number | string, ...unknown[]]): Socket {
    once();
    const [port, host] = args;
    if (typeof port !== 'number' || typeof host !== 'string') throw new TypeError('a port and a host');
    return bounded(connectTcp(port, host));
  }
  function createSecureConnection(...args: [ConnectionOptions | number, ...unknown[]]): TLSSocket {
    if (tls) once();
    const [first, host] = args;
    if (typeof first === 'object') return bounded(connectTls(first));
    if (typeof host !== 'string') throw new TypeError('a port and a host');
    return bounded(connectTls({ ...tlsOptions, socket: connectTcp(first, host) }));
  }
  return { createConnection, createSecureConnection };
}

function bounded<T extends Socket>(socket: T): T {
  return socket.on('data', () => {
    if (socket.bytesRead > 2 * answerLimits.octets) socket.destroy(new Error('its answer is too large'));
  });
}
