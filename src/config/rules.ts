import type { ProfileBook } from '../profile/profiles.ts';
import { checkAlerts } from './alert-rules.ts';
import { checkDkim } from './dkim-rules.ts';
import { checkDropFolders } from './folder-rules.ts';
import { checkLookup } from './lookup-rules.ts';
import { checkMailboxes } from './mailbox-rules.ts';
import { checkPartners } from './partner-rules.ts';
import { checkPolicies } from './policy-rules.ts';
import type { Places, Problem, Report, SettingPath } from './problem.ts';
import { checkProfiles } from './profile-rules.ts';
import type { Config } from './schema.ts';
import { checkServers } from './server-rules.ts';

/** The rules that a schema cannot express: settings that must fit together. */
export function checkRules(config: Config, source: Places, book: ProfileBook): Problem[] {
  const problems: Problem[] = [];
  const report: Report = (path, message, extra) => problems.push(source.problem(path, message, extra));
  checkIdentities(config, report);
  checkMailboxes(config, report);
  checkPartners(config, report);
  checkDkim(config, report);
  checkPolicies(config, report);
  checkServers(config, report);
  checkDropFolders(config, report);
  checkLookup(config, report);
  checkProfiles(config, book, report);
  checkAlerts(config, report);
  return problems;
}

function checkIdentities({ identities }: Config, report: Report): void {
  identities.forEach(({ name, certificate, key, pkcs12 }, index) => {
    const at: SettingPath = ['identities', index];
    // entries with the same name are one identity over time
    if (identities.some((each) => each.name !== name && each.name.toLowerCase() === name.toLowerCase()))
      report([...at, 'name'], `another identity has the name ${name} in other letters`, {
        hint: 'give it another name, or exactly the same',
      });
    if (pkcs12 !== undefined && (key !== undefined || certificate !== undefined))
      report([...at, 'pkcs12'], 'conflicts with certificate or key', {
        hint: 'keep pkcs12, or certificate and key',
      });
    if (pkcs12 === undefined && key === undefined)
      report(at, 'has no private key', {
        hint: 'write pkcs12, or certificate and key; only key if one PEM file contains both',
      });
  });
}
