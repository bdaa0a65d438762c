/** The roles: which have work, and the messages between the supervisor and them over Node's IPC channel. */
import type { Config } from '../config/index.ts';
import { type ErrorCode, isErrorCode, SealpostError } from '../errors.ts';
import type { LevelChanges } from '../log.ts';
import { type CheckAnswer, isAnswer } from './check-types.ts';

export const roleNames = [
  'receive',
  'decrypt',
  'handoff',
  'outbound',
  'submit',
  'http',
  'api',
  'console',
] as const;
export type RoleName = (typeof roleNames)[number];

/** Facts that a role reports when it is ready, such as the addresses it listens on. */
export type ReadyFacts = Record<string, string | number | string[]>;

/** Why a role could not start. */
export interface StartFailure {
  code: ErrorCode;
  message: string;
  hint?: string | undefined;
}

/**
 * `alive` is sent every `aliveEveryMs` while the role's event loop runs, `worked` once it has done some work, and
 * `failed` before the role exits with `EXIT_CONFIG`.
 */
export type FromRole =
  | { type: 'ready'; facts: ReadyFacts }
  | { type: 'alive' }
  | { type: 'worked' }
  /** Somebody wants the files checked. */
  | { type: 'check'; id: string }
  | { type: 'failed'; failure: StartFailure };
export type ToRole =
  /** The configuration is stored, and the store runs. */
  | { type: 'begin' }
  | {
      type: 'drain';
      timeoutMs: number;
      /** The process that takes over is already running. */
      handover?: boolean;
    }
  | { type: 'levels'; levels: LevelChanges }
  /** What was found: to be put where the others see it. */
  | { type: 'checked'; id: string; answer: CheckAnswer };

export const aliveEveryMs = 5_000;

/**
 * Exit code of a role whose configuration or surroundings are wrong, so that a restart would not help (sysexits
 * EX_CONFIG).
 */
export const EXIT_CONFIG = 78;

/** Environment of a role process. */
export const env = {
  config: 'SEALPOST_CONFIG',
  redisUrl: 'SEALPOST_REDIS_URL',
  index: 'SEALPOST_INDEX',
  /** File with the checked configuration in force. */
  stored: 'SEALPOST_CONFIG_CHECKED',
  /** Set for a process that takes over from another process of its role. */
  takeOver: 'SEALPOST_TAKE_OVER',
  /** Set for a process that only loads its code until it is told to begin. */
  wait: 'SEALPOST_WAIT',
  /** The roles that this supervisor runs, separated by commas. */
  beside: 'SEALPOST_ROLES',
} as const;

export function isFromRole(message: unknown): message is FromRole {
  if (typeof message !== 'object' || message === null || !('type' in message)) return false;
  if (message.type === 'failed') return 'failure' in message && isFailure(message.failure);
  if (message.type === 'check') return 'id' in message && typeof message.id === 'string';
  return message.type === 'ready' || message.type === 'alive' || message.type === 'worked';
}

function isFailure(value: unknown): value is StartFailure {
  if (typeof value !== 'object' || value === null || !('code' in value) || !('message' in value))
    return false;
  return typeof value.code === 'string' && isErrorCode(value.code) && typeof value.message === 'string';
}

/** Sends a message to the supervisor. If the supervisor has just died, the message is lost. */
export function tellSupervisor(message: FromRole): void {
  if (process.connected) process.send?.(message, undefined, {}, () => undefined);
}

/** The failure of a role as an error of the daemon, with the code of the cause. */
export function startError(role: RoleName, { code, message, hint }: StartFailure): SealpostError {
  const more = hint === undefined ? {} : { hint };
  return new SealpostError(code, `${role} could not start: ${message}`, more);
}

export function isToRole(message: unknown): message is ToRole {
  if (typeof message !== 'object' || message === null || !('type' in message)) return false;
  if (message.type === 'checked')
    return (
      'id' in message && typeof message.id === 'string' && 'answer' in message && isAnswer(message.answer)
    );
  return (
    message.type === 'begin' || message.type === 'drain' || (message.type === 'levels' && 'levels' in message)
  );
}

/** False for a role that has nothing to do with this configuration. */
export function hasWork(role: RoleName, config: Config): boolean {
  if (role === 'receive')
    return config.smtp.listen.length > 0 || config.mailboxes.some((mailbox) => mailbox.imap);
  if (role === 'decrypt') return config.mailboxes.length > 0;
  if (role === 'handoff')
    return config.mailboxes.length > 0 || config.partners.some(({ onSuspend }) => onSuspend);
  if (role === 'outbound') return config.partners.length > 0;
  if (role === 'submit') return config.folders.length > 0 || config.clientQueues.enabled;
  if (role === 'api') return config.api.port !== undefined || config.events !== undefined;
  if (role === 'console') return config.console.port !== undefined;
  return config.http.port !== undefined;
}
