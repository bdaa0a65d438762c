/** Finds a partner and where it is configured. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Config, type PartnerConfig, partnerFileOf } from '../../config/index.ts';
import { SealpostError } from '../../errors.ts';

/** Errors: `partner-unknown`. */
export function partnerNamed({ partners }: Config, name: string): PartnerConfig {
  const wanted = name.toLowerCase();
  const found =
    partners.find((each) => each.name.toLowerCase() === wanted) ??
    partners.find(({ formerNames }) => formerNames.some((each) => each.toLowerCase() === wanted));
  if (found !== undefined) return found;
  throw new SealpostError('partner-unknown', `there is no partner ${JSON.stringify(name)}`, {
    hint: 'see sealpost partners list',
  });
}

/**
 * The file of a partner that has one of its own, which commands may change. Errors: `usage` for one of the
 * configuration file, which is yours: no command edits it.
 */
export function ownFileOf(config: Config, partner: PartnerConfig, configFile: string): string {
  const file = partnerFileOf(config, partner);
  if (file !== undefined) return file;
  const other = existsSync(config.partnerFiles) ? '' : ` (make the folder ${config.partnerFiles} first)`;
  throw new SealpostError(
    'usage',
    `partner ${partner.name} is in ${configFile}, which no command changes: edit it there`,
    {
      hint: `or move its entry into ${join(config.partnerFiles, `${partner.name}.yaml`)}${other}`,
    },
  );
}
