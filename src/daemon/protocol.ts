/** What the supervisor and the role processes say to each other over Node's IPC channel. */

export const roleNames = ['receive', 'decrypt', 'handoff', 'outbound', 'http'] as const;
export type RoleName = (typeof roleNames)[number];

/** Facts that a role states when it is ready, such as the addresses that it listens on. */
export type ReadyFacts = Record<string, string | number | string[]>;

/** `alive` comes every `aliveEveryMs` while the role's event loop turns, `worked` once, when it has done some work. */
export type FromRole = { type: 'ready'; facts: ReadyFacts } | { type: 'alive' } | { type: 'worked' };
export type ToRole = {
  type: 'drain';
  timeoutMs: number;
  /** A process that takes over is running already. */
  handover?: boolean;
};

export const aliveEveryMs = 5_000;

/** Exit code of a role whose configuration or surroundings are wrong: starting it again would not help (sysexits EX_CONFIG). */
export const EXIT_CONFIG = 78;

/** Environment of a role process. */
export const env = {
  config: 'SEALPOST_CONFIG',
  redisUrl: 'SEALPOST_REDIS_URL',
  index: 'SEALPOST_INDEX',
  /** File with the text of the configuration in force: the operator may be editing the original. */
  configText: 'SEALPOST_CONFIG_TEXT',
  /** Set for a process that takes over from another one of its role. */
  takeOver: 'SEALPOST_TAKE_OVER',
} as const;

export function isFromRole(message: unknown): message is FromRole {
  if (typeof message !== 'object' || message === null || !('type' in message)) return false;
  return message.type === 'ready' || message.type === 'alive' || message.type === 'worked';
}

export function isToRole(message: unknown): message is ToRole {
  return typeof message === 'object' && message !== null && 'type' in message && message.type === 'drain';
}
