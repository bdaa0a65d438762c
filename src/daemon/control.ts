/** The supervisor's entrance for commands of the same user on the same machine: a Unix socket beside its data. */
import { createHash } from 'node:crypto';
import { chmod, lstat, readdir, realpath, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { SealpostError, toErrorInfo } from '../errors.ts';
import { draftOwner, isDeadOwner, makeDataFolder } from '../files.ts';

// sun_path is 108 octets on Linux and 104 elsewhere, with the final NUL.
const socketPathLimit = 100;
const longestName = 32;

export interface ControlReply {
  ok: boolean;
  /** What was done, or why it was not. */
  message: string;
}

/** Folder of the sockets and the configuration in force. Only its owner can enter it. */
export async function runFolder(dataDir: string): Promise<string> {
  await makeDataFolder(dataDir);
  const usual = join(await realpath(dataDir), 'run');
  const digest = createHash('sha256').update(usual).digest('hex').slice(0, 16);
  const folder =
    Buffer.byteLength(usual) + longestName <= socketPathLimit
      ? usual
      : `/tmp/sealpost-${process.getuid?.() ?? 0}-${digest}`;
  await makeDataFolder(folder, 0o700);
  const stat = await lstat(folder);
  if (!stat.isDirectory() || (process.getuid && stat.uid !== process.getuid()))
    throw new SealpostError('file-access', `${folder} belongs to somebody else`);
  await chmod(folder, 0o700);
  return folder;
}

/**
 * Where this supervisor keeps the configuration in force, for its roles. Containers that share the folder are told
 * apart.
 */
export const storedConfig = (folder: string, turn: number) =>
  join(folder, `config-${draftOwner}-${turn}.json`);

/** Removes what supervisors that were killed have left in the folder. */
export async function clearRunFolder(folder: string): Promise<void> {
  const left = (await readdir(folder)).filter((name) => {
    const owner = /^config-([0-9a-f]+-\d+-\d+)-\d+\.\w+$/.exec(name)?.[1];
    return owner !== undefined && isDeadOwner(owner);
  });
  await Promise.all(left.map((name) => rm(join(folder, name), { force: true })));
}

/** What the supervisor does when it is asked to. Each resolves with what was done. */
export interface Orders {
  reload(): Promise<string>;
  /** Changes and shows levels of the log: `smtp=debug,imap=trace`, or nothing to change. */
  log(changes: string): Promise<string>;
}

/** Octets of an order: more is none. */
const longestOrder = 1000;

/**
 * Serves orders: a line each, its first word the name.
 *
 * @param owner names the supervisor: several containers may share the folder, and each of them has a process 1
 */
export async function openControl(
  folder: string,
  orders: Orders,
  owner = draftOwner,
): Promise<{ close(): Promise<void> }> {
  const digest = createHash('sha256').update(owner).digest('hex').slice(0, 16);
  const path = join(folder, `supervisor-${digest}.sock`);
  await rm(path, { force: true });
  const server: Server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', async (chunk) => {
      const reply = await carriedOut(orders, chunk.toString('utf8', 0, longestOrder)).then(
        (message): ControlReply => ({ ok: true, message }),
        (error: unknown): ControlReply => ({ ok: false, message: toErrorInfo(error).message }),
      );
      socket.end(`${JSON.stringify(reply)}\n`);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  server.unref();
  return {
    async close() {
      server.close();
      await rm(path, { force: true });
    },
  };
}

async function carriedOut(orders: Orders, line: string): Promise<string> {
  const [, order, rest = ''] = /^(\w+)(?: ([^\n]*))?\n$/.exec(line) ?? [];
  if (order === 'reload' && rest === '') return await orders.reload();
  if (order === 'log') return await orders.log(rest);
  throw new SealpostError('usage', 'unknown command');
}

/** Tells every supervisor of a data folder to reload; empty if none runs. */
export function askReload(dataDir: string): Promise<ControlReply[]> {
  return askAll(dataDir, 'reload');
}

/** Has every supervisor of a data folder change levels of its log, and say which there are; empty if none runs. */
export function askLevels(dataDir: string, changes: string): Promise<ControlReply[]> {
  return askAll(dataDir, changes === '' ? 'log' : `log ${changes}`);
}

async function askAll(dataDir: string, order: string): Promise<ControlReply[]> {
  const folder = await runFolder(dataDir);
  const names = (await readdir(folder)).filter((name) => /^supervisor-[0-9a-f]+\.sock$/.test(name));
  const replies = await Promise.all(names.map((name) => ask(join(folder, name), order)));
  return replies.filter((reply) => reply !== undefined);
}

/** Undefined if nobody listens on the socket: a killed supervisor leaves it behind. */
function ask(path: string, order: string): Promise<ControlReply | undefined> {
  return new Promise((resolve) => {
    let text = '';
    let connected = false;
    const lost: ControlReply = { ok: false, message: 'the daemon ended before it answered' };
    const socket = connect(path, () => {
      connected = true;
      socket.write(`${order}\n`);
    });
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('error', () => resolve(connected ? lost : undefined));
    socket.on('close', () => resolve(text === '' ? lost : JSON.parse(text)));
  });
}
