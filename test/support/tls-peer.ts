/** An SMTP server by hand, which notes each line and whether it came over TLS, and does to STARTTLS what it is told. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';

export interface TlsPeer {
  port: number;
  /** Lines that came, with `tls ` or `clear ` before them. */
  lines: string[];
  /** Messages that were taken. */
  taken: { secure: boolean; client: string | undefined }[];
  /** Their octets, with dots unstuffed. */
  octets: Buffer[];
  options: TlsPeerOptions;
  /** Closes all connections, as a server does that starts again. */
  hangUp(): void;
  stop(): void;
}

export interface TlsPeerOptions {
  cert: string;
  key: string;
  /** What it says of STARTTLS; without, it is offered and works. */
  startTls?: 'hidden' | 'refused' | 'broken';
  /** Sent in clear right behind the reply to STARTTLS. */
  inject?: string;
  /** TLS from the first octet. */
  implicit?: boolean;
  /** Asks for a certificate, and refuses clients without. */
  clientCa?: string;
  /** Asks for a certificate, and takes whichever it is shown. */
  asks?: boolean;
}

export async function startTlsPeer(given: TlsPeerOptions): Promise<TlsPeer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    if (peer.options.implicit) serve(secured(socket), true);
    else serve(socket, false);
  });
  const peer: TlsPeer = {
    port: 0,
    lines: [],
    taken: [],
    octets: [],
    options: given,
    hangUp() {
      for (const socket of sockets) socket.destroy();
      sockets.clear();
    },
    stop() {
      peer.hangUp();
      server.close();
    },
  };

  function secured(socket: Socket): TLSSocket {
    const { cert, key, clientCa, asks = clientCa !== undefined } = peer.options;
    const secureContext = createSecureContext({
      cert: readFileSync(cert),
      key: readFileSync(key),
      ...(clientCa === undefined ? {} : { ca: readFileSync(clientCa) }),
    });
    const secure = new TLSSocket(socket, {
      isServer: true,
      secureContext,
      requestCert: asks,
      rejectUnauthorized: clientCa !== undefined,
    });
    secure.on('error', () => {});
    return secure;
  }

  function serve(socket: Socket, secure: boolean, greets = true): void {
    let [buffer, data] = ['', false];
    let mail = '';
    if (greets) socket.write('220 peer\r\n');
    const listen = (chunk: Buffer) => {
      buffer += chunk.toString('latin1');
      for (let end = buffer.indexOf('\r\n'); end >= 0; end = buffer.indexOf('\r\n')) {
        const line = buffer.slice(0, end);
        buffer = buffer.slice(end + 2);
        if (data) {
          if (line !== '.') {
            mail += `${line.replace(/^\./, '')}\r\n`;
            continue;
          }
          data = false;
          peer.octets.push(Buffer.from(mail, 'latin1'));
          mail = '';
          const client = socket instanceof TLSSocket ? socket.getPeerX509Certificate()?.subject : undefined;
          peer.taken.push({ secure, client });
          socket.write('250 taken\r\n');
          continue;
        }
        // the end of a connection may come at any time
        if (line !== 'QUIT') peer.lines.push(`${secure ? 'tls' : 'clear'} ${line}`);
        if (line === 'STARTTLS') return startTls();
        data = line === 'DATA';
        const { startTls: how } = peer.options;
        const offers = !secure && how !== 'hidden';
        if (line.startsWith('EHLO'))
          socket.write(`250-peer\r\n${offers ? '250-STARTTLS\r\n' : ''}250 8BITMIME\r\n`);
        else socket.write(data ? '354 go\r\n' : line === 'QUIT' ? '221 bye\r\n' : '250 ok\r\n');
      }
    };
    const startTls = () => {
      const { startTls: how, inject = '' } = peer.options;
      if (how === 'refused') return void socket.write('454 4.7.0 not now\r\n');
      if (how === 'hidden') return void socket.write('502 5.5.1 unknown\r\n');
      socket.removeListener('data', listen);
      socket.write(`220 go\r\n${inject}`);
      if (how === 'broken') socket.once('data', () => socket.end('this is not TLS\r\n'));
      else serve(secured(socket), true, false);
    };
    socket.on('data', listen);
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  peer.port = typeof address === 'object' && address !== null ? address.port : 0;
  return peer;
}
