/**
 * The skeleton of every role process: read the configuration, open the queue, build the parts, report ready, run until
 * told to drain. A role supplies the function that builds its parts.
 */
import { readFileSync } from 'node:fs';
import { type Config, changedConfig, loadConfig, restoreConfig } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { changeLevels, createLog, type Log } from '../log.ts';
import { loadQueue, openQueue, type QueueRoom } from '../queue/index.ts';
import { putAnswer } from './checks.ts';
import { startHeartbeat, type Trouble } from './heartbeat.ts';
import { tellTls } from './own-tls.ts';
import {
  EXIT_CONFIG,
  env,
  isToRole,
  type ReadyFacts,
  type RoleName,
  type ToRole,
  tellSupervisor,
} from './protocol.ts';

export interface RoleContext {
  config: Config;
  log: Log;
  queue: QueueRoom;
  /** Another process of this role is still running. It ends when this one is ready. */
  takeOver: boolean;
  /** The role runs on this machine, too. */
  isBeside: (role: RoleName) => boolean;
}

export interface RoleParts {
  /** What the supervisor should know: addresses and the like. */
  facts: ReadyFacts;
  /** What currently fails, for `sealpost health`. */
  troubles?(): Trouble[];
  /** Stops taking work and finishes what is in flight within `timeoutMs`. */
  drain(timeoutMs: number, handover: boolean): Promise<void>;
}

/** Errors of the configuration or the surroundings: another start would fail the same way. */
function isFatalAtStart(error: unknown): error is SealpostError {
  return error instanceof SealpostError && error.code !== 'internal';
}

/** Runs a role to its end. Sets the exit code: 0 after a drain, 78 if it could not start, 1 after a defect. */
export async function runRole(
  name: RoleName,
  build: (context: RoleContext) => Promise<RoleParts>,
): Promise<void> {
  const file = process.env[env.config];
  if (!file)
    throw new SealpostError('usage', `${env.config} is not set`, { hint: 'start roles with sealpost start' });

  let log = createLog('info', name);
  let context: RoleContext | undefined;
  let parts: RoleParts | undefined;
  let endTracing = async () => {};
  // A message that comes while the parts are built is not kept for a listener that comes after.
  const told = Promise.withResolvers<Drain>();
  const begun = Promise.withResolvers<true>();
  process.on('message', (message) => {
    if (isToRole(message) && message.type === 'drain') told.resolve(message);
    if (isToRole(message) && message.type === 'begin') begun.resolve(true);
  });
  if (process.env[env.wait] === '1' && !(await mayBegin(begun.promise, told.promise))) {
    if (process.connected) process.disconnect();
    return;
  }
  try {
    const config = await configOf(file);
    log = createLog(config.log.level, name, undefined, config.log.times);
    process.on('message', (message) => {
      if (isToRole(message) && message.type === 'levels') changeLevels(log, message.levels);
    });
    endTracing = await tracingOf(config, name);
    const queue = await openQueue(config, { role: name, log, sweep: true, onWork: tellOnce() });
    const ours = log;
    process.on('message', (message) => {
      if (isToRole(message) && message.type === 'checked')
        putAnswer(queue, message.id, message.answer).catch((err: unknown) =>
          ours.warn({ err }, 'Redis does not take the answer of a check'),
        );
    });
    const beside = (process.env[env.beside] ?? '').split(',');
    const takeOver = process.env[env.takeOver] === '1';
    context = { config, log, queue, takeOver, isBeside: (role) => beside.includes(role) };
    parts = await build(context);
  } catch (error) {
    log.fatal({ err: error }, 'could not start');
    await context?.queue.close().catch(() => undefined);
    process.exitCode = 1;
    if (isFatalAtStart(error)) {
      process.exitCode = EXIT_CONFIG;
      const { code, message, hint } = error;
      tellSupervisor({ type: 'failed', failure: { code, message, hint } });
    }
    if (process.connected) process.disconnect();
    return;
  }
  const heartbeat = startHeartbeat(context.queue, name, log, () => parts.troubles?.() ?? []);
  const tls = tellTls(context, name);
  await untilDrain(parts, context, log, told);
  await tls.stop();
  await heartbeat.stop();
  await context.queue.close();
  await endTracing();
  if (process.connected) process.disconnect();
}

/** Loads what every role needs meanwhile. False if there is nothing to begin any more. */
async function mayBegin(begun: Promise<true>, told: Promise<unknown>): Promise<boolean> {
  const gone = new Promise<false>((resolve) => process.once('disconnect', () => resolve(false)));
  // a Ctrl-C in a terminal reaches every process: the supervisor says what is to be done
  process.on('SIGINT', () => undefined);
  await loadQueue();
  return process.connected !== false && (await Promise.race([begun, told.then(() => false), gone]));
}

/** Loaded only where it is asked for: the libraries take longer than everything else here. */
async function tracingOf({ traces }: Config, name: RoleName): Promise<() => Promise<void>> {
  if (traces === undefined) return async () => {};
  const { startTracing } = await import('./tracing.ts');
  return startTracing(traces, name);
}

/** Tells the supervisor about the first work done: a crash after that resets the backoff. */
function tellOnce(): () => void {
  let told = false;
  return () => {
    if (told) return;
    told = true;
    tellSupervisor({ type: 'worked' });
  };
}

/** The configuration as this process sees it: the supervisor's private Redis stands in for a missing URL. */
async function configOf(file: string): Promise<Config> {
  const stored = process.env[env.stored];
  const config = stored ? restoreConfig(readFileSync(stored, 'utf8')) : await loadConfig(file);
  const url = process.env[env.redisUrl];
  return url ? changedConfig(config, { redis: { ...config.redis, url } }) : config;
}

type Drain = Pick<Extract<ToRole, { type: 'drain' }>, 'timeoutMs'> & { handover?: boolean };

/** @param told resolved by the supervisor, perhaps already */
async function untilDrain(
  parts: RoleParts,
  { config }: RoleContext,
  log: Log,
  told: PromiseWithResolvers<Drain>,
): Promise<void> {
  // Ctrl-C in a terminal reaches every process of the group. The supervisor decides; the roles wait for it.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => told.resolve({ timeoutMs: config.workers.drainTimeout }));
  // Sent when a terminal closes. For the supervisor it means reload.
  process.on('SIGHUP', () => undefined);
  // The supervisor is gone, so nobody would restart this process in step with the others.
  process.on('disconnect', () => told.resolve({ timeoutMs: config.workers.drainTimeout }));
  // It may have died while the parts were built.
  if (process.connected === false) told.resolve({ timeoutMs: config.workers.drainTimeout });
  else tellSupervisor({ type: 'ready', facts: parts.facts });
  log.info({ ...parts.facts }, 'ready');
  const { timeoutMs, handover = false } = await told.promise;
  log.info('draining');
  await parts.drain(timeoutMs, handover);
  log.info('drained');
}
