import { checkMailboxes } from './mailbox-rules.ts';
import { checkPartners } from './partner-rules.ts';
import type { Problem, SettingPath } from './problem.ts';
import type { Config } from './schema.ts';
import { checkServers } from './server-rules.ts';
import type { ConfigSource } from './source.ts';

/** Notes an error at a setting, or a warning. */
export type Report = (
  path: SettingPath,
  message: string,
  extra?: { severity?: Problem['severity']; hint?: string; at?: 'key' | 'value' },
) => void;

/** What the schema cannot say: settings that must fit together. */
export function checkRules(config: Config, source: ConfigSource): Problem[] {
  const problems: Problem[] = [];
  const report: Report = (path, message, extra) => problems.push(source.problem(path, message, extra));
  checkIdentities(config, report);
  checkMailboxes(config, report);
  checkPartners(config, report);
  checkServers(config, report);
  return problems;
}

/** Names count without case: they become file names, metrics labels and command-line arguments. */
export function checkNames(
  entries: readonly { name: string }[],
  where: SettingPath,
  what: string,
  report: Report,
): void {
  const seen = new Set<string>();
  entries.forEach(({ name }, index) => {
    if (seen.has(name.toLowerCase()))
      report([...where, index, 'name'], `${what} ${name} is a duplicate`, { hint: 'give it another name' });
    seen.add(name.toLowerCase());
  });
}

function checkIdentities({ identities }: Config, report: Report): void {
  checkNames(identities, ['identities'], 'an identity', report);
  identities.forEach(({ certificate, key, pkcs12 }, index) => {
    const at: SettingPath = ['identities', index];
    if (pkcs12 !== undefined && (key !== undefined || certificate !== undefined))
      report([...at, 'pkcs12'], 'stands beside certificate or key', {
        hint: 'keep pkcs12, or certificate and key',
      });
    if (pkcs12 === undefined && key === undefined)
      report(at, 'has no private key', {
        hint: 'write pkcs12, or certificate and key; only key if one PEM file contains both',
      });
  });
}
