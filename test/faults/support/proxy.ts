/** A TCP proxy of the tests: passes octets on, holds them back, delays, cuts, or swallows them (black hole). */
import { connect, createServer, type Server, type Socket } from 'node:net';

/** What happens to octets. `hold`: they wait. `swallow`: they are taken and thrown away. */
export type Way = 'pass' | 'hold' | 'swallow';

export interface ProxyTarget {
  port: number;
  host?: string;
}

interface Pair {
  client: Socket;
  server: Socket;
  /** Set for a pair that has lost octets: it cannot be used any more. */
  spoilt: boolean;
  release: (() => void)[];
}

export class TcpProxy {
  target: ProxyTarget;
  /** Towards the target. */
  requests: Way = 'pass';
  /** From the target. */
  replies: Way = 'pass';
  /** Milliseconds that each piece waits, in both directions. */
  delay = 0;
  /** Octets from the target after which a connection is cut; once for each. */
  cutAfter: number | undefined;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  cuts = 0;

  private constructor(target: ProxyTarget) {
    this.target = target;
    this.#server = createServer({ allowHalfOpen: false }, (client) => this.#accept(client));
  }

  static async start(target: ProxyTarget): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    if (typeof address !== 'object' || address === null) throw new Error('the proxy does not listen');
    return address.port;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** Everything passes again; held connections continue, and those that lost octets are cut. */
  heal(): void {
    this.requests = 'pass';
    this.replies = 'pass';
    this.delay = 0;
    this.cutAfter = undefined;
    for (const pair of this.#pairs) {
      if (pair.spoilt) this.#end(pair);
      for (const release of pair.release.splice(0)) release();
    }
  }

  /** The open connections fall silent for good, without an end; new ones are not touched. */
  halfOpen(): void {
    for (const pair of this.#pairs) {
      pair.server.destroy();
      pair.client.removeAllListeners('data').resume();
      pair.spoilt = true;
    }
  }

  cutAll(): void {
    this.cuts += this.#pairs.size;
    for (const pair of this.#pairs) this.#end(pair);
  }

  async stop(): Promise<void> {
    for (const pair of this.#pairs) this.#end(pair);
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket): void {
    const server = connect({ host: '127.0.0.1', ...this.target });
    const pair: Pair = { client, server, spoilt: false, release: [] };
    this.#pairs.add(pair);
    client.setNoDelay(true);
    server.setNoDelay(true);
    for (const socket of [client, server]) {
      socket.on('error', () => {});
      socket.on('close', () => {
        if (!pair.spoilt) this.#end(pair);
      });
    }
    client.on('close', () => this.#end(pair));
    this.#pass(pair, client, server, () => this.requests);
    let fromServer = 0;
    server.on('data', (chunk: Buffer) => {
      fromServer += chunk.length;
    });
    this.#pass(
      pair,
      server,
      client,
      () => this.replies,
      () => {
        if (this.cutAfter === undefined || fromServer <= this.cutAfter) return false;
        this.cuts++;
        this.#end(pair);
        return true;
      },
    );
  }

  #pass(pair: Pair, from: Socket, to: Socket, way: () => Way, cut: () => boolean = () => false): void {
    let queue = Promise.resolve();
    from.on('data', (chunk: Buffer) => {
      if (cut()) return;
      queue = queue.then(async () => {
        if (this.delay > 0) await new Promise((resolve) => setTimeout(resolve, this.delay));
        if (way() === 'hold') await new Promise<void>((resolve) => pair.release.push(resolve));
        if (way() === 'swallow') pair.spoilt = true;
        else if (!to.destroyed) to.write(chunk);
      });
    });
  }

  #end(pair: Pair): void {
    this.#pairs.delete(pair);
    pair.client.destroy();
    pair.server.destroy();
    for (const release of pair.release.splice(0)) release();
  }
}
