/**
 * Certificates of a new partner, out of the directories of the configuration. They count only once they are approved.
 */
import { idOf, loadCounting, offerLookedUp } from '../../certstore/index.ts';
import { type Config, loadConfig, loadKeys, parseAddressEntry } from '../../config/index.ts';
import { SealpostError } from '../../errors.ts';
import { type Found, lookupsOf } from '../../lookup/index.ts';
import { PartnerDirectory } from '../../partner/index.ts';
import type { Certificate } from '../../pki/index.ts';
import { withCerts } from '../certs-open.ts';
import { openNetwork } from '../network.ts';

/** Which kinds of directories are asked. */
export interface WantedDirectories {
  ldap?: boolean;
  dns?: boolean;
}

export interface LookedUpSource {
  certificates: Certificate[];
  origin: string;
  notes: string[];
  /** Names of the directories that were asked: the daemon asks them again when the certificates are about to end. */
  lookup: string[];
  /** Has them wait for approval, once the partner is in the configuration. Returns what a person does next. */
  keep(partner: string): Promise<string[]>;
}

/**
 * Asks the directories of the configuration about the addresses of a partner that is not there yet.
 *
 * @throws {SealpostError} `usage` if there is no such directory or full address; `lookup-failed` if nothing was found;
 *   those of the store of certificates
 */
export async function withLookedUp(
  configFile: string,
  addresses: readonly string[],
  wanted: WantedDirectories,
  work: (source: LookedUpSource) => Promise<void>,
): Promise<void> {
  const names = directoriesOf(await loadConfig(configFile), wanted);
  const full = addresses.filter((each) => parseAddressEntry(each)?.kind === 'address');
  if (full.length === 0)
    throw new SealpostError('usage', 'directories are asked about full addresses, and none is given', {
      hint: 'give an --address such as edi@partner.example',
    });
  await withCerts(configFile, async ({ config, queue, store }) => {
    if (store.trouble) throw store.trouble;
    const network = await openNetwork(config);
    const found: Found[] = [];
    const notes: string[] = [];
    try {
      const lookups = lookupsOf(config, { queue, dns: network.parts.dns });
      for (const address of full) {
        const asked = await lookups.ask(address, names, { fresh: true });
        const isNew = ({ certificate }: Found) => !found.some((each) => each.certificate.equals(certificate));
        found.push(...asked.found.filter(isNew));
        notes.push(
          ...asked.refused.map((each) => `${address}: ${each}`),
          ...asked.failed.map(({ directory, error }) => `${directory}: ${error.message} [${error.code}]`),
        );
      }
    } finally {
      await network.close();
    }
    if (found.length === 0)
      throw new SealpostError(
        'lookup-failed',
        [`${names.join(', ')}: nothing was found for ${full.join(', ')}`, ...notes].join('\n'),
        { hint: 'ask the partner for its certificate, and give it with --cert' },
      );
    const directories = [...new Set(found.map(({ directory }) => directory))];
    await work({
      certificates: found.map(({ certificate }) => certificate),
      origin: `from ${directories.join(', ')}`,
      notes,
      lookup: names,
      async keep(partner) {
        // with the partner in it, so that addresses of two partners in one certificate are noticed
        const now = await loadConfig(configFile);
        const directory = new PartnerDirectory(now.partners);
        const { CountingCertificates } = await loadCounting();
        const counting = new CountingCertificates(store, await loadKeys(now));
        const ownerOf = (address: string) => directory.byAddress(address)?.name;
        const next: string[] = [];
        for (const each of found) {
          const became = await offerLookedUp({ ...each, partner }, { store, counting, ownerOf });
          const id = idOf(each.certificate);
          next.push(`${id} ${words[became]}`);
        }
        return next;
      },
    });
  });
}

const words = {
  waiting: 'waits for approval: compare it with the partner, then sealpost certs approve',
  known: 'is known already, or was refused: see sealpost certs show',
  full: 'was not kept: too many wait for approval',
};

/** Errors: `usage`. */
function directoriesOf({ lookup }: Config, { ldap = false, dns = false }: WantedDirectories): string[] {
  const isWanted = ({ kind }: Config['lookup']['directories'][number]) =>
    kind === 'ldap' ? ldap : kind !== 'folder' && dns;
  const names = lookup.directories.filter(isWanted).map(({ name }) => name);
  if (names.length > 0) return names;
  const kinds = [...(ldap ? ['ldap'] : []), ...(dns ? ['smimea or cert'] : [])].join(', or ');
  throw new SealpostError('usage', `the configuration has no directory of kind ${kinds}`, {
    hint: 'write it under lookup.directories: which server is asked is decided there',
  });
}
