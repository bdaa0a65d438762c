/** What roles may do. Every verb names the lowest role that has it, so a new verb has to be assigned here. */
import type { Grants, Verb } from '../client/index.ts';
import { allGranted } from '../client/index.ts';

export const roles = ['viewer', 'operator', 'administrator'] as const;
export type Role = (typeof roles)[number];

const least: Record<Exclude<Verb, 'content'>, Role> = {
  read: 'viewer',
  certificates: 'viewer',
  send: 'operator',
  resume: 'operator',
  retry: 'operator',
  replay: 'operator',
  'decode-again': 'operator',
  terminate: 'operator',
  approve: 'operator',
  alerts: 'viewer',
  silence: 'operator',
  routes: 'operator',
  users: 'administrator',
  clients: 'administrator',
  check: 'administrator',
};

export function hasRole(role: Role, needed: Role): boolean {
  return roles.indexOf(role) >= roles.indexOf(needed);
}

/** What a person may do, and to whose mail. */
export interface Rights {
  role: Role;
  mailboxes: '*' | string[];
  partners: '*' | string[];
  /** It may read the content of messages, in any role. */
  content: boolean;
}

export function grantsOf({ role, mailboxes, partners, content }: Rights): Grants {
  const may = (verb: Verb) => (verb === 'content' ? content : hasRole(role, least[verb]));
  return { ...allGranted, verbs: allGranted.verbs.filter(may), mailboxes, partners };
}
