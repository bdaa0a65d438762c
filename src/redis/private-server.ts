/**
 * A private Redis server for installations without one: in the data folder, on a Unix socket (no TCP port), with
 * durable settings. It runs in its own process group, so that Ctrl-C in a terminal reaches only the daemon, and the
 * workers can drain before it stops. Daemons with the same data folder share it, and the last one to leave stops it. A
 * server left behind by a crash is taken over.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, chmod, lstat, open, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { connect as connectSocket } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Redis } from 'ioredis';
import { hasCode, SealpostError } from '../errors.ts';
import { isAlive, makeDataFolder, syncFolder } from '../files.ts';
import { createLog, type Log } from '../log.ts';
import { connect, disconnect } from './connection.ts';

export interface PrivateServer {
  url: string;
  pid: number;
  /** True if it was already running. */
  adopted: boolean;
  /** Stops the server unless another daemon shares it. Idempotent. */
  stop(): Promise<void>;
}

export interface PrivateServerOptions {
  log?: Log;
  /** Milliseconds until it must answer. Loading a large append-only file takes time. */
  startTimeout?: number;
  /** Further settings of redis.conf, such as maxmemory. */
  settings?: Record<string, string>;
}

const keeperName = 'keeper';
// sun_path has 108 octets on Linux and 104 elsewhere, including the final NUL
const socketPathLimit = 100;

interface Paths {
  folder: string;
  socket: string;
  /** Folder of the socket if the data folder's path is too long for one. */
  socketFolder: string | undefined;
  pidFile: string;
}

async function pathsOf(dataDir: string): Promise<Paths> {
  await makeDataFolder(dataDir);
  const folder = join(await realpath(dataDir), 'redis');
  const pidFile = join(folder, 'redis.pid');
  const socket = join(folder, 'redis.sock');
  if (Buffer.byteLength(socket) <= socketPathLimit)
    return { folder, socket, socketFolder: undefined, pidFile };
  const digest = createHash('sha256').update(folder).digest('hex').slice(0, 16);
  const socketFolder = `/tmp/sealpost-${process.getuid?.() ?? 0}-${digest}`;
  return { folder, socket: join(socketFolder, 'redis.sock'), socketFolder, pidFile };
}

/** The address of the private server of a data folder, whether it is running or not. */
export async function privateServerUrl(dataDir: string): Promise<string> {
  const { socket } = await pathsOf(dataDir);
  return `unix://${encodeURI(socket)}`;
}

/** `SEALPOST_REDIS_SERVER` chooses the program, by name or path. */
async function findBinary(): Promise<string> {
  const chosen = process.env.SEALPOST_REDIS_SERVER;
  if (chosen?.includes('/')) return chosen;
  const cache = fileURLToPath(new URL('../../.cache/redis/', import.meta.url));
  const folders = [...(process.env.PATH ?? '').split(delimiter).filter(Boolean), cache, join(cache, 'bin')];
  for (const program of chosen ? [chosen] : ['redis-server', 'valkey-server']) {
    for (const folder of folders) {
      const file = join(folder, program);
      const found = await access(file, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (found) return file;
    }
  }
  throw new SealpostError('redis-unreachable', `no ${chosen ?? 'redis-server or valkey-server'} was found`, {
    hint: 'install one (apt install redis-server), or set redis.url to a server that runs',
  });
}

/** A folder that only we can enter, even if others can write to its parent (/tmp). */
async function ownFolder(folder: string): Promise<void> {
  await makeDataFolder(folder, 0o700);
  const stat = await lstat(folder);
  if (!stat.isDirectory() || (process.getuid && stat.uid !== process.getuid())) {
    throw new SealpostError('file-access', `${folder} belongs to somebody else`);
  }
  await chmod(folder, 0o700);
}

/**
 * Durable: each reply follows the fsync, and nothing is evicted. The append-only file is rewritten late, because nearly
 * all of it is finished messages.
 */
function configText(paths: Paths, extra: Record<string, string>): string {
  const settings: Record<string, string> = {
    port: '0',
    unixsocket: `"${paths.socket}"`,
    unixsocketperm: '700',
    dir: `"${paths.folder}"`,
    pidfile: `"${paths.pidFile}"`,
    logfile: `"${join(paths.folder, 'redis.log')}"`,
    daemonize: 'no',
    appendonly: 'yes',
    appendfsync: 'always',
    // Records of the ledger have values above 64 octets. Packed, they need half of the memory (bench/ledger.ts).
    'hash-max-ziplist-value': '2048',
    'no-appendfsync-on-rewrite': 'no',
    'auto-aof-rewrite-percentage': '100',
    'auto-aof-rewrite-min-size': '512mb',
    save: '""',
    'maxmemory-policy': 'noeviction',
    'lazyfree-lazy-user-del': 'yes',
    ...extra,
  };
  return Object.entries(settings)
    .map(([name, value]) => `${name} ${value}\n`)
    .join('');
}

async function runningPid(paths: Paths): Promise<number | undefined> {
  const text = await readFile(paths.pidFile, 'utf8').catch(() => '');
  const pid = Number.parseInt(text, 10);
  if (!(pid > 0) || !isAlive(pid)) return undefined;
  // The number may belong to another program by now, which may well name this folder in its arguments.
  const program = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'redis');
  return /redis|valkey/.test(program) ? pid : undefined;
}

/**
 * A lock whose holder died. After a power loss, the file may lack the process id, or have one that belongs to another
 * program by now. Nobody holds the lock for minutes.
 */
async function isLeftBehind(file: string): Promise<boolean> {
  const holder = Number.parseInt(await readFile(file, 'utf8').catch(() => ''), 10);
  const madeAt = (await stat(file).catch(() => undefined))?.mtimeMs ?? Date.now();
  // created in the future: the clock has been set back since
  const age = Math.abs(Date.now() - madeAt);
  return holder > 0 ? !isAlive(holder) || age > 300_000 : age > 5_000;
}

/**
 * Only one process at a time may look for and start a server in a folder, because two servers on one append-only file
 * would ruin it.
 */
async function withStartLock<T>(folder: string, deadline: number, work: () => Promise<T>): Promise<T> {
  const file = join(folder, 'start.lock');
  for (;;) {
    try {
      await writeFile(file, String(process.pid), { flag: 'wx', mode: 0o600 });
      break;
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) {
        throw new SealpostError('file-access', `cannot write into ${folder}`, { cause: error });
      }
    }
    if (await isLeftBehind(file)) await rm(file, { force: true });
    if (performance.now() > deadline) {
      throw new SealpostError('redis-unreachable', `another process is starting redis in ${folder}`, {
        hint: `when no other runs, remove ${file}`,
      });
    }
    await sleep(50);
  }
  try {
    return await work();
  } finally {
    await rm(file, { force: true });
  }
}

/**
 * Whether the server answers a PING, and is not still loading its file. Asked on a plain socket: a client of Redis
 * waits a second when it is refused, or when the server says that it loads.
 */
function answers({ socket: path }: Paths): Promise<boolean> {
  return new Promise((resolve) => {
    let said = '';
    const socket = connectSocket(path, () => socket.write('PING\r\n'));
    const end = () => {
      socket.destroy();
      resolve(said.startsWith('+PONG\r\n'));
    };
    socket.setTimeout(1000, end);
    socket.on('error', end).on('close', end);
    socket.on('data', (chunk) => {
      said += chunk.toString('latin1');
      if (said.includes('\n')) end();
    });
  });
}

/** The server's last messages. Errors in its settings go to its output, everything later to its log. */
async function lastWords(folder: string): Promise<string> {
  for (const name of ['redis.out', 'redis.log']) {
    const text = await readFile(join(folder, name), 'utf8').catch(() => '');
    if (text.trim()) return text.trim().split('\n').slice(-3).join(' / ');
  }
  return 'it said nothing';
}

async function launch(paths: Paths, options: PrivateServerOptions): Promise<number> {
  const binary = await findBinary();
  const conf = join(paths.folder, 'redis.conf');
  await writeFile(conf, configText(paths, options.settings ?? {}), { mode: 0o600 });
  const output = await open(join(paths.folder, 'redis.out'), 'w', 0o600);
  try {
    // `detached`: a process group of its own, out of reach of the terminal's Ctrl-C
    const child = spawn(binary, [conf], { detached: true, stdio: ['ignore', output.fd, output.fd] });
    const pid = await new Promise<number | undefined>((resolve) => {
      child.once('spawn', () => resolve(child.pid));
      child.once('error', () => resolve(undefined));
    });
    if (pid === undefined) throw new SealpostError('redis-unreachable', `cannot start ${binary}`);
    child.unref();
    await writeFile(paths.pidFile, `${pid}\n`, { mode: 0o600 });
    return pid;
  } finally {
    await output.close();
  }
}

/**
 * Starts the private server of a data folder, or joins the running one, and waits until it answers. Errors:
 * `redis-unreachable` if there is no server program or if it does not start; the message contains its last output.
 */
export async function startPrivateServer(
  dataDir: string,
  options: PrivateServerOptions = {},
): Promise<PrivateServer> {
  const paths = await pathsOf(dataDir);
  await ownFolder(paths.folder);
  if (paths.socketFolder) await ownFolder(paths.socketFolder);
  const url = await privateServerUrl(dataDir);
  const quiet = createLog('silent', 'redis');
  const deadline = performance.now() + (options.startTimeout ?? 60_000);

  return await withStartLock(paths.folder, deadline, async () => {
    const running = await runningPid(paths);
    const pid = running ?? (await launch(paths, options));
    while (!(await answers(paths))) {
      const gone = !isAlive(pid);
      if (gone || performance.now() > deadline) {
        const why = gone ? 'ended' : 'does not answer';
        const words = await lastWords(paths.folder);
        const broken =
          /append only file|AOF/i.test(words) && /bad|broken|corrupt|unexpected|truncat/i.test(words);
        const hint = `copy ${join(paths.folder, 'appendonlydir')}, then repair it with redis-check-aof: docs/operations.md, "When the private Redis refuses its file"`;
        throw new SealpostError(
          'redis-unreachable',
          `the private redis server in ${paths.folder} ${why}: ${words}`,
          broken ? { hint } : {},
        );
      }
      await sleep(10);
    }
    // the server syncs the files in its append-only folder, but not the entry of that folder
    await syncFolder(paths.folder);
    const keeper = connect({ url, commandTimeout: 5000 }, 'producer', quiet, keeperName);
    await new Promise<void>((resolve) => keeper.once('ready', resolve));
    const adopted = running !== undefined;
    options.log?.info({ redis: pid, adopted, folder: paths.folder }, 'private redis server');
    let stopping: Promise<void> | undefined;
    const stop = () => {
      stopping ??= leave(keeper, pid);
      return stopping;
    };
    return { url, pid, adopted, stop };
  });
}

/** Releases the server. The last user stops it. SHUTDOWN writes and syncs the append-only file first. */
async function leave(keeper: Redis, pid: number): Promise<void> {
  const clients = await keeper.client('LIST').catch(() => undefined);
  const keepers = String(clients ?? '').match(new RegExp(` name=sealpost-${keeperName} `, 'g'))?.length ?? 0;
  if (keepers > 1) return await disconnect(keeper);
  if (clients !== undefined) await keeper.shutdown().catch(() => undefined);
  await disconnect(keeper);
  const deadline = performance.now() + 10_000;
  while (isAlive(pid)) {
    if (performance.now() > deadline) {
      process.kill(pid, 'SIGTERM');
      return;
    }
    await sleep(10);
  }
}
