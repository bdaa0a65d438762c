/**
 * The environment of a role: what the system, Node and OpenSSL read, and the variables that hold secrets of that role.
 * Whatever else stands in the supervisor's environment, such as the password of a key, stays there.
 */
import { type Config, secretVariables } from '../config/index.ts';
import { type RoleName, roleNames } from './protocol.ts';

const known = new Set([
  ...['PATH', 'HOME', 'USER', 'LOGNAME', 'LANG', 'LANGUAGE', 'TZ', 'TMPDIR', 'HOSTNAME'],
  // OpenSSL
  ...['SSL_CERT_FILE', 'SSL_CERT_DIR', 'OPENSSL_CONF', 'OPENSSL_MODULES'],
  // the loader and the C library
  ...['LD_PRELOAD', 'LD_LIBRARY_PATH', 'GLIBC_TUNABLES', 'LOCALDOMAIN', 'RES_OPTIONS'],
  // Windows does not start a program without these
  ...['SystemRoot', 'TEMP', 'TMP', 'USERPROFILE', 'COMPUTERNAME'],
]);
/** `AWS_`: credentials of the object store, where the configuration has none; every role reads and writes there. */
const prefixes = /^(?:LC_|NODE_|UV_|MALLOC_|AWS_)/;

/** Names, separated by commas, of further variables that every role gets. */
const further = 'SEALPOST_PASS_ENV';

/** What of an environment a role gets, with the named variables. */
export function environmentOf(source: NodeJS.ProcessEnv, secrets: readonly string[]): NodeJS.ProcessEnv {
  const named = new Set([...secrets, ...(source[further] ?? '').split(',').map((name) => name.trim())]);
  return Object.fromEntries(
    Object.entries(source).filter(([name]) => known.has(name) || prefixes.test(name) || named.has(name)),
  );
}

export type SecretVariables = ReadonlyMap<RoleName, readonly string[]>;

/** The variables with secrets of each role. */
export async function secretVariablesOf(config: Config): Promise<SecretVariables> {
  return await secretVariables(roleNames, config);
}
