/** Keys for DKIM, and dkimpy (Debian's python3-dkim) as the one who verifies. */
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { DkimKey } from '../../src/dkim/index.ts';
import { toDomain } from '../../src/domain.ts';

/** Debian's own Python has its packages. */
const python = '/usr/bin/python3';

/** Why a test must be skipped, or false. With CI=true a missing program fails the test instead. */
export function skipWithoutDkimpy(): string | false {
  if (spawnSync(python, ['-c', 'import dkim, nacl']).status === 0) return false;
  if (process.env.CI === 'true') throw new Error('python3-dkim and python3-nacl are not installed');
  return 'python3-dkim and python3-nacl are not installed';
}

const script = `
import sys, json, base64, dkim
job = json.load(sys.stdin)
records = {name.encode() + b'.': text.encode() for name, text in job['records'].items()}
dns = lambda name, timeout=5: records.get(name)
def verdicts(message):
    fields = dkim.DKIM(message).headers
    for index in range(len([1 for name, _ in fields if name.lower() == b'dkim-signature'])):
        try:
            yield bool(dkim.DKIM(message).verify(idx=index, dnsfunc=dns))
        except dkim.DKIMException as error:
            yield str(error)
print(json.dumps([list(verdicts(base64.b64decode(each))) for each in job['messages']]))
`;

/** What dkimpy says of each signature of each message, from the top: true, false, or what is wrong with it. */
export function dkimpy(messages: readonly Buffer[], records: Record<string, string>): unknown[][] {
  const input = JSON.stringify({ messages: messages.map((each) => each.toString('base64')), records });
  const ran = spawnSync(python, ['-c', script], { input, maxBuffer: 1 << 28 });
  if (ran.status !== 0) throw new Error(ran.stderr.toString());
  return JSON.parse(ran.stdout.toString());
}

export const rsaKey = (bits = 2048): KeyObject =>
  generateKeyPairSync('rsa', { modulusLength: bits }).privateKey;
export const ed25519Key = (): KeyObject => generateKeyPairSync('ed25519').privateKey;
export const pemOf = (key: KeyObject): string => key.export({ format: 'pem', type: 'pkcs8' }).toString();

export function dkimKey(name: string, selector: string, privateKey: KeyObject, more = {}): DkimKey {
  const domain = toDomain(name);
  if (domain === undefined) throw new Error(name);
  const headers = ['from', 'to', 'subject', 'date', 'content-type'];
  return { domain, selector, privateKey, headers, oversign: true, ...more };
}
