/** Where a configuration names secrets and files, and which roles read them. */
import { alertRoleOf } from './alert-rules.ts';
import type { SettingPath } from './problem.ts';
import { type Config, configSchema, type Secret } from './schema.ts';
import { isSecret, schemaAt } from './shape.ts';

/** Every secret in the configuration. They are found through the schema, so none is forgotten. */
export function secretsOf(config: Config): [SettingPath, Secret][] {
  const found: [SettingPath, Secret][] = [];
  // one path for all, because there may be thousands of partners with a hundred settings each
  const path: (string | number)[] = [];
  const visit = (value: object) => {
    const secret = asSecret(value);
    const schema = secret && schemaAt(configSchema, path, config);
    if (secret !== undefined && schema !== undefined && isSecret(schema)) {
      found.push([[...path], secret]);
      return;
    }
    const isList = Array.isArray(value);
    for (const [key, each] of isList ? value.entries() : Object.entries(value)) {
      if (typeof each !== 'object' || each === null) continue;
      path.push(key);
      visit(each);
      path.pop();
    }
  };
  visit(config);
  return found;
}

/** A file or a variable, and nothing beside it: partners have thousands of certificates with a file. */
function asSecret(value: object): Secret | undefined {
  const keys = Object.keys(value);
  if (keys.length !== 1) return undefined;
  if ('file' in value && typeof value.file === 'string') return { file: value.file };
  return 'env' in value && typeof value.env === 'string' ? { env: value.env } : undefined;
}

/**
 * Roles that read the secrets and files below a setting. The first matching line counts; what no line matches is read
 * by nobody.
 */
const readers: readonly [RegExp, readonly string[] | 'all'][] = [
  [/^(?:redis|spool|traces)\./, 'all'],
  [/^(?:dataDir|partnerFiles|profiles\.folder)$/, 'all'],
  [/^(?:identities|trust)\./, ['decrypt', 'outbound']],
  [/^(?:lookup|dkim|dns)\./, ['outbound']],
  [/^(?:events|api)\./, ['api']],
  [/^alerts\./, ['handoff', 'outbound']],
  [/^http\./, ['http']],
  [/^expiry\./, ['outbound']],
  [/^smtp\./, ['receive']],
  [/^folders\./, ['submit']],
  [/^console\./, ['console']],
  [/^http\./, ['http']],
  [/^mailboxes\.\d+\.imap\./, ['receive']],
  [/^mailboxes\.\d+\.trust\./, ['decrypt', 'outbound']],
  [/^mailboxes\.\d+\.(?:destinations|onSuspend)\./, ['handoff']],
  [/^partners\.\d+\.onSuspend\./, ['handoff']],
  [/^partners\.\d+\.certificates\./, ['decrypt', 'outbound', 'api', 'console']],
  [/^partners\.\d+\.approval\./, ['decrypt', 'outbound']],
  [/^partners\.\d+(?:\.|$)/, ['outbound']],
];

/**
 * Roles that read the secret or file at a path; empty for a path that no line matches.
 *
 * @param config decides which of two roles looks after alerts
 */
export function readersOf(
  path: SettingPath,
  config?: Pick<Config, 'mailboxes' | 'partners'>,
): readonly string[] | 'all' {
  const text = path.join('.');
  if (config !== undefined && path[0] === 'alerts') return [alertRoleOf(config)];
  return readers.find(([pattern]) => pattern.test(text))?.[1] ?? [];
}

/**
 * Whether one of the roles reads the secret or file at a path.
 *
 * @param roles undefined: all of them
 */
export function readBy(
  roles: readonly string[] | undefined,
  config?: Pick<Config, 'mailboxes' | 'partners'>,
): (path: SettingPath) => boolean {
  if (roles === undefined) return () => true;
  return (path) => {
    const of = readersOf(path, config);
    return of === 'all' || of.some((role) => roles.includes(role));
  };
}

/** Names of the environment variables that hold secrets, for each role. */
export function secretVariables<Role extends string>(
  roles: readonly Role[],
  config: Config,
): ReadonlyMap<Role, readonly string[]> {
  const secrets = secretsOf(config).flatMap(([path, secret]) =>
    'env' in secret ? [{ of: readersOf(path, config), name: secret.env }] : [],
  );
  const named = (role: Role) => secrets.filter(({ of }) => of === 'all' || of.includes(role));
  return new Map(roles.map((role) => [role, named(role).map(({ name }) => name)]));
}
