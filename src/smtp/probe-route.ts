/** Tries a route without sending anything, for `sealpost check --online`. */
import { errorTable, SealpostError } from '../errors.ts';
import { DnsFailure } from '../net/index.ts';
import { Client } from './client.ts';
import { ClientError } from './dialogue.ts';
import { hopsFor } from './route.ts';
import { checkEnvelope, wayOf } from './send.ts';
import type { SenderParts } from './sender.ts';
import { TlsFault } from './tls-check.ts';
import { targetFor } from './tls-demand.ts';

export interface RouteProbe {
  from: string;
  to: string;
  /** Also name sender and recipient (MAIL, RCPT), and then cancel with RSET. */
  recipient: boolean;
  /** The settings that these values come from, for a hint. */
  settings: string;
}

/**
 * Connects to the first host of the route that can be reached, with the TLS that mail would need, and logs in.
 *
 * @throws {SealpostError} `send-failed`, `tls-failed`, `dns-failed`, `token-failed`, `send-refused` (the recipient);
 *   `address-invalid`, those of the secrets
 */
export async function probeRoute(parts: SenderParts, probe: RouteProbe, signal: AbortSignal): Promise<void> {
  // whether a folder can be written to is known without asking anybody
  if (parts.route.folder !== undefined) return;
  const { options, demands } = wayOf(parts);
  const { from, to } = checkEnvelope({ from: probe.from, to: [probe.to] });
  for (const hop of await hopsFor(to, parts.route, parts)) {
    if (!('hosts' in hop)) throw new SealpostError('dns-failed', hop.reply);
    let failed: unknown;
    for (const host of hop.hosts) {
      try {
        const { demand, addresses } = await targetFor(host, hop.destination, demands);
        const [address] = addresses;
        const client = await Client.open({ ...options(), host, demand, address }, signal);
        try {
          if (probe.recipient) await client.probe(from, hop.recipients);
        } finally {
          client.quit();
        }
        failed = undefined;
        break;
      } catch (error) {
        failed = explained(error, host, probe.settings);
        // what one server says about a login or recipient, the other hosts would say too
        if (error instanceof ClientError && error.code !== null) break;
        if (signal.aborted) break;
      }
    }
    if (failed !== undefined) throw failed;
  }
}

function explained(error: unknown, host: string, settings: string): unknown {
  if (error instanceof DnsFailure) return new SealpostError('dns-failed', `${host}: ${error.message}`);
  if (error instanceof TlsFault) return failed('tls-failed', host, error.message);
  if (!(error instanceof ClientError)) return error;
  const { stage, reply, code } = error;
  switch (stage) {
    case 'connect':
      return failed(
        'send-failed',
        host,
        code === null ? `cannot be reached: ${reply}` : `refuses the connection: ${reply}`,
        'check host and port of the route, and the firewall',
      );
    case 'tls':
      return failed('tls-failed', host, reply, 'check tls, pins and ca of the route, and the certificate');
    case 'login':
      return failed(
        'send-failed',
        host,
        `refused the login: ${reply}`,
        'check user, password or oauth2 of the route',
      );
    case 'message':
      return failed(
        'send-refused',
        host,
        `refused the test envelope: ${reply}`,
        `check ${settings}, and whether the server may relay for you`,
      );
  }
}

function failed(
  code: 'send-failed' | 'tls-failed' | 'send-refused',
  host: string,
  what: string,
  hint: string = errorTable[code].remedy,
): SealpostError {
  return new SealpostError(code, `${host} ${what}`, { hint });
}
