/** A scripted IMAP server over clear text on loopback, for what no real one does. */
import { createServer, type Server, type Socket } from 'node:net';

export interface ScriptedMessage {
  uid: number;
  octets: Buffer;
}

export interface BadImap {
  port: number;
  /** Each command line without its tag. */
  commands: string[];
  stop(): void;
}

export interface BadImapOptions {
  capabilities?: string;
  messages?: ScriptedMessage[];
  /** Answers a command in place of the server; true: it did. */
  on?: (verb: string, line: string, tag: string, socket: Socket) => boolean;
}

export async function startBadImap(options: BadImapOptions = {}): Promise<BadImap> {
  const { capabilities = 'IMAP4rev1 UIDPLUS MOVE', messages = [] } = options;
  const commands: string[] = [];
  const sockets = new Set<Socket>();
  const answer = (line: string, tag: string, socket: Socket) => {
    const verb = (/^(?:UID )?\S+/.exec(line)?.[0] ?? '').toUpperCase();
    if (options.on?.(verb, line, tag, socket)) return;
    const say = (text: string) => socket.write(`${text}\r\n`);
    if (verb === 'CAPABILITY') say(`* CAPABILITY ${capabilities}`);
    if (verb === 'LIST') say(line.endsWith(' ""') ? '* LIST (\\Noselect) "/" ""' : '* LIST () "/" INBOX');
    if (verb === 'SELECT' || verb === 'EXAMINE') {
      say(`* ${messages.length} EXISTS`);
      say('* OK [UIDVALIDITY 1] ok');
      say('* OK [UIDNEXT 100] ok');
      say('* FLAGS (\\Seen \\Deleted)');
      say('* OK [PERMANENTFLAGS (\\Seen \\Deleted \\*)] ok');
    }
    if (verb === 'UID SEARCH') say(`* SEARCH ${messages.map(({ uid }) => uid).join(' ')}`);
    if (verb === 'UID FETCH') {
      messages.forEach(({ uid, octets }, at) => {
        if (!new RegExp(`[ ,]${uid}[ ,]`).test(line)) return;
        if (!line.includes('BODY')) say(`* ${at + 1} FETCH (UID ${uid} RFC822.SIZE ${octets.length})`);
        else {
          const start = Number(/<(\d+)\./.exec(line)?.[1] ?? 0);
          const piece = octets.subarray(start, start + 512 * 1024);
          socket.write(
            `* ${at + 1} FETCH (UID ${uid} RFC822.SIZE ${octets.length} BODY[]<${start}> {${piece.length}}\r\n`,
          );
          socket.write(piece);
          say(')');
        }
      });
    }
    if (verb === 'LOGOUT') say('* BYE');
    say(`${tag} OK done`);
  };
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.write(`* OK [CAPABILITY ${capabilities}] ready\r\n`);
    let buffer = '';
    socket.on('data', (chunk) => {
      buffer += chunk.toString('latin1');
      for (let end = buffer.indexOf('\r\n'); end >= 0; end = buffer.indexOf('\r\n')) {
        const [tag = '', ...rest] = buffer.slice(0, end).split(' ');
        buffer = buffer.slice(end + 2);
        commands.push(rest.join(' '));
        answer(rest.join(' '), tag, socket);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return {
    port: address.port,
    commands,
    stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
