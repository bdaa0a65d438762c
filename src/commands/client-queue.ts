/** The queue of a client: its key, and the Redis user that may write into it and touch nothing else. */
import { createHash } from 'node:crypto';
import { makeCredential } from '../client/index.ts';
import { baseOf } from '../consumer/index.ts';
import type { QueueRoom } from '../queue/index.ts';
import { publicOctets, submissionKey } from '../sealed/index.ts';
import { printJson, printLine } from './output.ts';

/** What writing a job and reading its answer takes; no script, because one that never ends stops Redis. */
const commands = ['hset', 'lpush', 'hmget', 'multi', 'exec', 'discard', 'ping', 'auth', 'hello', 'quit'];

export interface ClientQueue {
  user: string;
  password: string;
  client: string;
  prefix: string;
  key: string;
  acl: string;
}

/** A queue with a new password. Whoever has the old one is shut out when the command in `acl` has been run. */
export function makeClientQueue(
  name: string,
  { prefix, deriveKey }: Pick<QueueRoom, 'prefix' | 'deriveKey'>,
): ClientQueue {
  const user = `sealpost-${name.toLowerCase()}`;
  const password = makeCredential().text;
  const hash = createHash('sha256').update(password).digest('hex');
  const base = baseOf(prefix, name);
  const allowed = [...commands, 'client|setname'].map((each) => `+${each}`).join(' ');
  return {
    user,
    password,
    client: name,
    prefix: base,
    key: publicOctets(submissionKey(deriveKey)).toString('base64'),
    acl: `ACL SETUSER ${user} reset on #${hash} ~${base}:* ${allowed}`,
  };
}

export function printClientQueue(queue: ClientQueue, json: boolean | undefined): void {
  if (json) {
    printJson(queue);
    return;
  }
  const { user, password, client, prefix, key, acl } = queue;
  printLine('Run this in Redis as its administrator, and keep it (ACL SAVE, or the configuration of Redis):');
  printLine(`  ${acl}`);
  printLine('Give the program these; the password is shown once:');
  for (const [name, value] of Object.entries({ client, user, password, prefix, key }))
    printLine(`  ${name.padEnd(9)} ${value}`);
}
