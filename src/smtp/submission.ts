/**
 * Mail that programs submit for partners (RFC 6409). The client has logged in over TLS or shown a pinned certificate,
 * and each recipient is an address of a partner that this client may use. Mail cannot go anywhere else, so this is not
 * an open relay.
 */
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { SMTPServerAuthentication, SMTPServerSession } from 'smtp-server';
import { Buckets, type Client } from '../client/index.ts';
import { SealpostError } from '../errors.ts';
import { clientOf } from '../net/index.ts';
import type { DsnRequest, IntakeResult, Origin } from '../queue/index.ts';
import { type Acceptance, type Arriving, type Receiving, traceOf } from './acceptance.ts';
import type { Connection } from './connection.ts';
import { dsnOf, type RecipientDsn } from './dsn.ts';
import { Pipe } from './pipe.ts';
import { type Reply, ReplyError, replyFor, replyTo } from './replies.ts';

export interface SubmittedMail {
  client: Client;
  from: string;
  to: string[];
  octets: AsyncIterable<Buffer>;
  origin: Origin;
  dsn: DsnRequest | undefined;
}

/** The registry of clients, and the one way in for mail to partners. */
export interface SubmissionDoor {
  /** Errors: `client-unauthenticated`, the same one whatever is wrong; `clients-changed`. */
  login(user: string, password: string): Client;
  /** @param pin SHA-256 of the SubjectPublicKeyInfo, in hex */
  byCertificate(pin: string): Client | undefined;
  /** The same client with its current grants; undefined if it may no longer log in. */
  again(client: Client): Client | undefined;
  /** Errors: `not-granted` for an address that no mail of the client may come from. */
  sender(client: Client, address: string): void;
  /**
   * The address as it will be used.
   *
   * @param from what MAIL FROM named
   * @throws {SealpostError} `partner-unknown`, `address-invalid`; `not-granted` if mail to this partner may not come
   *   from there
   */
  recipient(client: Client, address: string, from: string): string;
  /** Errors: those of `submit`. */
  submit(mail: SubmittedMail): Promise<IntakeResult[]>;
}

/** Where the octets wait between the network and the spool. */
const HELD = 256 * 1024;

type Done = (error: Error | null, response?: { user: string }) => void;

export class SubmissionAcceptance implements Acceptance {
  readonly #door: SubmissionDoor;
  readonly #failures = new FailedLogins();

  constructor(door: SubmissionDoor) {
    this.#door = door;
  }

  /** AUTH PLAIN and LOGIN, which a connection offers only over TLS. */
  login(
    { username = '', password, authzid, authcid }: SMTPServerAuthentication,
    connection: Connection,
    done: Done,
  ): void {
    const from = clientOf(connection.remoteAddress);
    if (!this.#failures.mayTry(from)) {
      done(new ReplyError(replyTo('too-many-logins')));
      return;
    }
    try {
      // RFC 4616: acting as somebody else is not offered
      const other = authzid && authcid && authzid !== authcid;
      const client = this.#door.login(other ? '' : username, password ?? '');
      connection.client = client;
      done(null, { user: client.name });
    } catch (error) {
      if (!(error instanceof SealpostError)) throw error;
      if (error.code === 'client-unauthenticated') this.#failures.note(from);
      connection.note(error);
      done(new ReplyError(replyFor(error)));
    }
  }

  /**
   * The client's certificate, after the handshake. The handshake proves that the peer holds its key, so the peer is the
   * client.
   */
  secured(socket: Socket, connection: Connection): void {
    const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
    if (certificate === undefined) return;
    const key = certificate.publicKey.export({ type: 'spki', format: 'der' });
    connection.pin = createHash('sha256').update(key).digest('hex');
  }

  /** The client as it stands now: it may be removed, or get other grants, while it is connected. */
  #clientOf({ client, pin }: Connection): Client | undefined {
    if (client !== undefined) return this.#door.again(client);
    return pin === undefined ? undefined : this.#door.byCertificate(pin);
  }

  refuseMail(connection: Connection): Reply | undefined {
    if (!connection.secure) return replyTo('tls-required');
    if (this.#clientOf(connection) !== undefined) return undefined;
    // what was valid at the login no longer is
    if (connection.client !== undefined) return replyTo('login-ended');
    return replyTo('login-required');
  }

  sender(address: string, connection: Connection): void {
    const client = this.#present(connection);
    this.#door.sender(client, address);
    // RFC 1870: what is known to be too large need not come.
    const { size } = client.grants.limits;
    if (size > 0 && Number(connection.mailParameters.get('SIZE') ?? 0) > size)
      throw new SealpostError('message-too-large', `the message is larger than ${size} octets`);
  }

  #present(connection: Connection): Client {
    const client = this.#clientOf(connection);
    if (client !== undefined) return client;
    throw new SealpostError('client-unauthenticated', 'the login is no longer valid');
  }

  recipient(address: string, connection: Connection, from: string): string {
    const client = this.#present(connection);
    try {
      return this.#door.recipient(client, address, from);
    } catch (error) {
      if (!(error instanceof SealpostError) || error.code !== 'partner-unknown') throw error;
      // The reply does not tell whether the partner exists. The operator reads in the log what to do in either case.
      throw new SealpostError('partner-unknown', error.message, {
        hint: `add the address to a partner in the configuration, or grant its partner: sealpost clients grant ${client.name} --partner NAMES`,
      });
    }
  }

  begin({ smtp, connection, from, recipients }: Arriving): Receiving {
    const client = this.#clientOf(connection);
    const pipe = new Pipe(HELD);
    const asked = new Map<string, RecipientDsn>();
    for (const [written, address] of recipients) {
      const dsn = connection.dsnOf(written);
      if (dsn !== undefined) asked.set(address, dsn);
    }
    const stored = this.#submit(client, {
      from,
      to: [...recipients.values()],
      octets: pipe,
      origin: originOf(smtp),
      dsn: dsnOf(smtp, connection.mailParameters, asked),
    });
    stored.catch((error: unknown) => pipe.fail(error));
    return {
      writer: {
        write: (chunk) => pipe.write(chunk),
        async abort() {
          pipe.fail(new SealpostError('spool-write', 'the mail did not arrive in full'));
          await stored.catch(() => undefined);
        },
      },
      store: () => {
        pipe.end();
        return stored;
      },
    };
  }

  async #submit(client: Client | undefined, mail: Omit<SubmittedMail, 'client'>): Promise<IntakeResult[]> {
    if (client === undefined)
      throw new SealpostError('client-unauthenticated', 'the login is no longer valid');
    return await this.#door.submit({ ...mail, client });
  }
}

function originOf(smtp: SMTPServerSession): Origin {
  return { kind: 'submission', detail: traceOf(smtp) };
}

/** Failed logins that one client may have before it must wait. */
export const MAX_FAILURES = 10;
/** Milliseconds until one of them is forgotten. */
export const FORGIVEN_EVERY = 60_000;

const size = { holds: MAX_FAILURES, perMinute: 60_000 / FORGIVEN_EVERY };

/**
 * Counts failed logins by client, in a table of bounded size. It protects the log and the processor: nobody guesses 256
 * random bits.
 */
export class FailedLogins {
  readonly #left: Buckets;

  /** @param now milliseconds of a monotonic clock */
  constructor(now?: () => number) {
    this.#left = new Buckets(now);
  }

  /** False for a client that has failed too often: its credentials are not even looked at. */
  mayTry(client: string): boolean {
    return this.#left.left(client, size) >= 1;
  }

  note(client: string): void {
    this.#left.take(client, 1, size);
  }
}
