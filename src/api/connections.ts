/**
 * Connections to a listener, in all and of each client (an address, or a network of IPv6). Who has a connection and
 * asks for nothing gives way to who comes later: slow headers keep nobody out.
 */
import { clientOf } from '../net/index.ts';

export interface ConnectionLimits {
  /** In all. */
  most: number;
  /** Of one client. */
  mostEach: number;
}

/** What is used of a socket. */
export interface Peer {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly destroyed: boolean;
  destroy(): void;
  once(event: 'close', listener: () => void): unknown;
}

/** A connection; over TLS its requests have another socket, with the same addresses. */
interface Connection {
  /** A socket that is closed has no addresses any more. */
  key: string;
  socket: Peer;
  /** Undefined for a proxy, which has as many as it likes. */
  client: string | undefined;
  /** Requests whose header has come. */
  requests: number;
}

const keyOf = ({ remoteAddress, remotePort }: Peer): string => `${remoteAddress} ${remotePort}`;

export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #all = new Map<string, Connection>();
  /** Without a request, in the order in which they became so. */
  readonly #waiting = new Set<Connection>();
  readonly #open = new Map<string, number>();

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  /** False if there is no place, and nobody who gives way. */
  enter(socket: Peer, isProxy: boolean): boolean {
    const client = isProxy ? undefined : clientOf(socket.remoteAddress ?? '');
    const { most, mostEach } = this.#limits;
    const ofClient = (each: Connection) => each.client === client;
    if (client !== undefined && (this.#open.get(client) ?? 0) >= mostEach && !this.#makeRoom(ofClient))
      return false;
    if (this.#all.size >= most && !this.#makeRoom(() => true)) return false;
    const connection = { key: keyOf(socket), socket, client, requests: 0 };
    this.#all.set(connection.key, connection);
    this.#waiting.add(connection);
    if (client !== undefined) this.#open.set(client, (this.#open.get(client) ?? 0) + 1);
    socket.once('close', () => this.#leave(connection));
    return true;
  }

  /** The header of a request has come; the result is called once when it was answered. */
  begin(socket: Peer): () => void {
    const connection = this.#all.get(keyOf(socket));
    if (connection === undefined) return () => undefined;
    connection.requests += 1;
    this.#waiting.delete(connection);
    return () => {
      connection.requests -= 1;
      if (connection.requests === 0 && !connection.socket.destroyed) this.#waiting.add(connection);
    };
  }

  #makeRoom(among: (connection: Connection) => boolean): boolean {
    for (const connection of this.#waiting) {
      if (!among(connection)) continue;
      this.#leave(connection);
      connection.socket.destroy();
      return true;
    }
    return false;
  }

  #leave(connection: Connection): void {
    const { key } = connection;
    // The port may be that of another connection by now.
    if (this.#all.get(key) !== connection) return;
    this.#all.delete(key);
    this.#waiting.delete(connection);
    const { client } = connection;
    if (client === undefined) return;
    const left = (this.#open.get(client) ?? 1) - 1;
    if (left > 0) this.#open.set(client, left);
    else this.#open.delete(client);
  }
}
