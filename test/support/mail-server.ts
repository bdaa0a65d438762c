/** A mail server that keeps the octets of each message as they came, and answers as it is told. */
import { createServer, type Socket } from 'node:net';

export interface Kept {
  from: string;
  to: string[];
  /** As on the wire, without the final dot; dots are not unstuffed. */
  octets: Buffer;
}

export interface KeepingServer {
  port: number;
  kept: Kept[];
  /** All lines outside of messages. */
  commands: string[];
  /** What RCPT is answered with; 250 for all others. */
  refuse: Map<string, string>;
  /** What the next messages are answered with. */
  answers: string[];
  /** Messages get no answer any more. */
  mute: boolean;
  connections(): number;
  close(): Promise<void>;
}

export async function startKeepingServer(): Promise<KeepingServer> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
    let pending = Buffer.alloc(0);
    let data: Buffer | undefined;
    let [from, to] = ['', [] as string[]];
    const command = (line: string) => {
      keeping.commands.push(line);
      const verb = line.slice(0, 4).toUpperCase();
      const address = /<(.*)>/.exec(line)?.[1] ?? '';
      if (verb === 'EHLO') return '250-here\r\n250-8BITMIME\r\n250 PIPELINING';
      if (verb === 'MAIL') [from, to] = [address, []];
      if (verb === 'RCPT') {
        const refused = keeping.refuse.get(address);
        if (refused !== undefined) return refused;
        to.push(address);
      }
      if (verb === 'DATA') data = Buffer.alloc(0);
      return verb === 'DATA' ? '354 go on' : verb === 'QUIT' ? '221 bye' : '250 2.0.0 fine';
    };
    socket.write('220 here ESMTP\r\n');
    socket.on('data', (octets) => {
      pending = Buffer.concat([pending, octets]);
      for (;;) {
        if (data !== undefined) {
          const first = pending.subarray(0, 3).equals(Buffer.from('.\r\n')) && data.length === 0;
          const end = first ? -2 : pending.indexOf('\r\n.\r\n');
          if (end === -1) return;
          data = pending.subarray(0, Math.max(0, end + 2));
          pending = pending.subarray(end + 5);
          const answer = keeping.answers.shift() ?? '250 2.0.0 kept';
          if (answer.startsWith('2') && !keeping.mute)
            keeping.kept.push({ from, to, octets: Buffer.from(data) });
          data = undefined;
          if (!keeping.mute) socket.write(`${answer}\r\n`);
        } else {
          const end = pending.indexOf('\r\n');
          if (end < 0) return;
          const line = pending.subarray(0, end).toString('latin1');
          pending = pending.subarray(end + 2);
          socket.write(`${command(line)}\r\n`);
        }
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const keeping: KeepingServer = {
    port: typeof address === 'object' && address ? address.port : 0,
    kept: [],
    commands: [],
    refuse: new Map(),
    answers: [],
    mute: false,
    connections: () => connections,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
  return keeping;
}

/** Header and body of a message, with dots unstuffed and fields unfolded. */
export function readMail(octets: Buffer): { fields: [string, string][]; body: string } {
  const text = octets.toString('latin1').replace(/^\./gm, '');
  const end = text.indexOf('\r\n\r\n');
  const fields = text
    .slice(0, end)
    .replace(/\r\n[ \t]+/g, ' ')
    .split('\r\n')
    .map((line): [string, string] => [
      line.slice(0, line.indexOf(':')).trim().toLowerCase(),
      line.slice(line.indexOf(':') + 1).trim(),
    ]);
  return { fields, body: text.slice(end + 4) };
}
