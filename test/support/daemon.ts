/** The real daemon, `bin/sealpost start`, with a configuration and folders of its own; and the real command line. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { hasCode } from '../../src/errors.ts';
import { createLog } from '../../src/log.ts';
import { type MessageRecord, type MessageState, openQueue, type QueueRoom } from '../../src/queue/index.ts';
import { type CommandOptions, command } from './command.ts';
import { type Ran, type RunOptions, run } from './peers/run.ts';
import { signalOne } from './signal.ts';
import { RawClient } from './smtp.ts';
import type { World } from './world.ts';

const program = join(import.meta.dirname, '../../bin/sealpost');

/** Runs a command to its end. */
export function sealpost(args: string[], options: RunOptions = {}): Promise<Ran> {
  return run(program, args, options);
}

export interface RoleProcess {
  role: string;
  pid: number;
}

export interface TestDaemon {
  pid: number;
  configFile: string;
  dataDir: string;
  /** Folder of the directory destination of the mailbox "orders". */
  inbox: string;
  smtpPort: number;
  /** The queue room on the daemon's own Redis. */
  queue: QueueRoom;
  /** Sends as SMTP clients do; returns the reply to the final dot, or an earlier refusal. */
  send(raw: Buffer | Iterable<Buffer>, envelope?: { from?: string; to?: string[] }): Promise<string>;
  /** Sends, and returns the id in the 250. */
  accept(raw: Buffer | Iterable<Buffer>, envelope?: { from?: string; to?: string[] }): Promise<string>;
  /** Waits until the message has one of the states. */
  reaches(id: string, ...states: MessageState[]): Promise<MessageRecord>;
  /** Waits until something is true of the daemon; fails with its log. */
  waitFor<T>(what: string, test: () => T | Promise<T>): Promise<NonNullable<T>>;
  /** Folder of a delivered message. */
  delivered(id: string): string;
  /** The role processes that run now. */
  roles(): RoleProcess[];
  pidOf(role: string): number;
  redisPid(): number | undefined;
  /** A command with this daemon's configuration, in the process of the test. */
  command(args: string[], options?: CommandOptions): Promise<Ran>;
  /** All that it wrote to standard output and error so far. */
  log(): string;
  signal(signal: NodeJS.Signals): void;
  /** Resolves when the supervisor has ended. */
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** SIGTERM and wait; what is left of it is killed. */
  stop(): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

export interface DaemonOptions {
  /** Settings that replace those of the same name at the top level. */
  config?: Record<string, unknown>;
  args?: string[];
  env?: Record<string, string>;
  /** In place of `bin/sealpost` of the sources. */
  program?: string;
}

let daemons = 0;

/** The configuration that tests begin with: one mailbox into a folder, one partner who sends to us. */
export function baseConfig(world: World, folder: string): Record<string, unknown> {
  const inbox = join(folder, 'inbox');
  return {
    dataDir: join(folder, 'data'),
    smtp: { listen: [{ port: 0 }], hostname: 'own.example', greetingDelay: '0ms' },
    identities: [{ name: 'own', certificate: world.own.certFile, key: world.own.keyFile }],
    trust: { anchors: [world.anchorFile] },
    mailboxes: [
      {
        name: 'orders',
        addresses: ['orders@own.example'],
        destinations: [{ type: 'directory', path: inbox }],
      },
    ],
    workers: { decrypt: 1, outbound: 1 },
    retry: { attempts: 30, firstDelay: '100ms', maxDelay: '400ms' },
    log: { level: 'debug' },
  };
}

/** Writes the configuration of a daemon into a folder of its own in the world. */
export function writeConfig(
  world: World,
  config: Record<string, unknown> = {},
): { folder: string; configFile: string } {
  daemons += 1;
  const folder = join(world.folder, `daemon${daemons}`);
  mkdirSync(join(folder, 'inbox'), { recursive: true });
  const settings = { ...baseConfig(world, folder), ...config };
  const configFile = world.file(`daemon${daemons}.yaml`, stringify(settings));
  return { folder, configFile };
}

/** What runs of a daemon, before it is known to be ready. */
export interface Launched {
  pid: number;
  log(): string;
  ended: TestDaemon['ended'];
  over(): boolean;
  roles(): RoleProcess[];
}

/** Starts `sealpost start` and waits for nothing. */
export function launch(configFile: string, options: DaemonOptions = {}): Launched {
  const { args = [], env = {} } = options;
  const child = spawn(options.program ?? program, ['start', '--config', configFile, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
  const { pid } = child;
  if (pid === undefined) throw new Error('bin/sealpost did not start');
  const ended: TestDaemon['ended'] = new Promise((resolve) =>
    child.once('exit', (code, signal) => resolve({ code, signal })),
  );
  const roles = () => childrenOf(pid);
  const killAll = () => {
    for (const process of [...roles(), { pid }]) kill(process.pid);
  };
  process.once('exit', killAll);
  const over = () => child.exitCode !== null || child.signalCode !== null;
  void ended.then(() => process.off('exit', killAll));
  return { pid, log: () => text, ended, over, roles };
}

/** Starts the daemon and waits until all roles are ready. */
export async function startDaemon(world: World, options: DaemonOptions = {}): Promise<TestDaemon> {
  const { folder, configFile } = writeConfig(world, options.config);
  return await bootDaemon(folder, configFile, options);
}

/** Starts a daemon on a folder that may hold the data of an earlier one. */
export async function bootDaemon(
  folder: string,
  configFile: string,
  options: DaemonOptions = {},
): Promise<TestDaemon> {
  const config = loadConfig(configFile);
  const { dataDir } = config;
  const inbox = join(folder, 'inbox');
  const launched = launch(configFile, options);
  const { pid, log, ended, over, roles } = launched;
  const waitFor: TestDaemon['waitFor'] = async (what, test) => {
    // what does not happen is a failure; how fast it happens is the machine's affair
    const deadline = Date.now() + 600_000;
    for (;;) {
      const value = await test();
      if (value !== undefined && value !== null && value !== false) return value;
      if (Date.now() > deadline) throw new Error(`did not happen: ${what}; log:\n${log().slice(-6000)}`);
      await sleep(15);
    }
  };
  const running = await waitFor('the daemon is running', () => {
    if (over()) throw new Error(`the daemon ended at its start:\n${log()}`);
    return log()
      .split('\n')
      .find((line) => line.includes('"msg":"running"'));
  });
  const port = /"smtp":\["[^"]*:(\d+)"/.exec(running)?.[1];
  // On a busy machine, a cluster of six nodes needs longer for a connection than a role waits for it.
  let refused: unknown;
  const queue = await waitFor('the queue is open', async () => {
    try {
      return await openQueue(config, { role: 'test', log: createLog('silent', 'test') });
    } catch (error) {
      if (!hasCode(error, 'redis-unreachable')) throw error;
      refused = error;
      return undefined;
    }
  }).catch((error: unknown) => {
    // Nobody else knows of it, and the test would not end.
    process.kill(pid, 'SIGKILL');
    throw refused ?? error;
  });
  const redisPid = () => {
    const file = join(dataDir, 'redis', 'redis.pid');
    const found = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
    return found > 0 && isAlive(found) ? found : undefined;
  };

  const daemon: TestDaemon = {
    pid,
    configFile,
    dataDir,
    inbox,
    smtpPort: Number(port ?? 0),
    queue,
    send: (raw, { from = 'edi@partner.example', to = ['orders@own.example'] } = {}) =>
      sendOver(daemon.smtpPort, raw, from, to),
    async accept(raw, envelope) {
      const reply = await daemon.send(raw, envelope);
      const id = / as (\S+)$/.exec(reply)?.[1];
      if (!reply.startsWith('250 ') || id === undefined) throw new Error(`not accepted: ${reply}`);
      return id;
    },
    async reaches(id, ...states) {
      let last: MessageRecord | null = null;
      try {
        return await waitFor(`${id} is ${states.join(' or ')}`, async () => {
          last = await queue.ledger.get(id);
          return last !== null && states.includes(last.state) ? last : undefined;
        });
      } catch (error) {
        throw new Error(`its record: ${JSON.stringify(last)}`, { cause: error });
      }
    },
    waitFor,
    delivered(id) {
      const name = readdirSync(inbox).find((each) => !each.startsWith('.') && each.includes(id));
      if (name === undefined) throw new Error(`no folder for ${id} among ${readdirSync(inbox).join(', ')}`);
      return join(inbox, name);
    },
    roles,
    pidOf(role) {
      const found = roles().find((each) => each.role === role);
      if (found === undefined) throw new Error(`no process of ${role} runs`);
      return found.pid;
    },
    redisPid,
    command: (args, more) => command([...args, '--config', configFile], more),
    log,
    signal: (signal) => void process.kill(pid, signal),
    ended,
    async stop() {
      await queue.close();
      if (!over()) process.kill(pid, 'SIGTERM');
      const late = setTimeout(() => kill(pid), 120_000);
      const end = await ended;
      clearTimeout(late);
      for (const left of roles()) kill(left.pid);
      const redis = redisPid();
      if (redis !== undefined) kill(redis);
      return end;
    },
  };
  return daemon;
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // A zombie that its parent has not waited for is no longer a process.
  return !/^State:\s+Z/m.test(textOf(`/proc/${pid}/status`));
}

/** kill -9 of one process, if it is there. */
export function kill(pid: number): void {
  signalOne(pid, 'SIGKILL');
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** Most memory that a process had so far, in MB (proc(5), VmHWM). */
export function peakMegabytes(pid: number): number {
  return Number(/^VmHWM:\s+(\d+)/m.exec(textOf(`/proc/${pid}/status`))?.[1] ?? Number.NaN) / 1024;
}

/** The kernel's own list, by the thread that started them; without it, all processes are checked. */
function childPids(parent: number): string[] {
  try {
    const threads = readdirSync(`/proc/${parent}/task`);
    return threads.flatMap(
      (thread) => readFileSync(`/proc/${parent}/task/${thread}/children`, 'latin1').match(/\d+/g) ?? [],
    );
  } catch {
    return readdirSync('/proc').filter(
      (name) =>
        /^\d+$/.test(name) && Number(/^PPid:\s+(\d+)/m.exec(textOf(`/proc/${name}/status`))?.[1]) === parent,
    );
  }
}

function childrenOf(parent: number): RoleProcess[] {
  return childPids(parent).flatMap((pid) => {
    const role = /workers\/(\w+)\.c?[jt]s/.exec(textOf(`/proc/${pid}/cmdline`))?.[1];
    return role === undefined ? [] : { role, pid: Number(pid) };
  });
}

/** Speaks SMTP by hand: input is sent unchanged except for dot stuffing. */
async function sendOver(
  port: number,
  raw: Buffer | Iterable<Buffer>,
  from: string,
  to: string[],
): Promise<string> {
  const client = await RawClient.connect(port);
  try {
    await client.hello();
    for (const line of [`MAIL FROM:<${from}>`, ...to.map((each) => `RCPT TO:<${each}>`), 'DATA']) {
      const reply = await client.command(line);
      if (!/^[23]/.test(reply)) return reply;
    }
    if (Buffer.isBuffer(raw)) {
      const text = raw.toString('latin1');
      const ending = text === '' || text.endsWith('\r\n') ? '' : '\r\n';
      client.write(Buffer.from(`${text.replace(/^\./gm, '..')}${ending}.\r\n`, 'latin1'));
    } else {
      // Large ones: whole lines without dots at their start.
      for (const piece of raw)
        if (!client.socket.write(piece)) await new Promise((resolve) => client.socket.once('drain', resolve));
      client.write('.\r\n');
    }
    const reply = await client.reply();
    await client.command('QUIT');
    return reply;
  } finally {
    client.close();
  }
}
