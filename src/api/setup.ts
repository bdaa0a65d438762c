/** What is configured, and what was found on the machine and in DNS. For clients of the whole installation. */
import { Resolver } from 'node:dns/promises';
import { z } from 'zod';
import { seesAll } from '../client/index.ts';
import { type Config, loadSettingsList, originOf } from '../config/index.ts';
import { readHeartbeats } from '../daemon/index.ts';
import type { QueueRoom } from '../queue/index.ts';
import { checkDurability } from '../redis/index.ts';
import { refusal } from './problem.ts';
import { nothing, type Route, route } from './route.ts';
import { setting } from './schemas.ts';

export const setupQuery = z.strictObject({
  dns: z
    .enum(['yes'])
    .describe('Also look up the DNS records that the domains of mailboxes need.')
    .optional(),
});

export const setupReport = z.object({
  file: z.string().describe('The configuration file.'),
  settings: z.array(setting),
  redis: z.array(
    z.object({
      name: z.string(),
      value: z.string().nullable().describe('As found; null if Redis does not say.'),
      problem: z.string().nullable().describe('What could be lost; null if nothing.'),
    }),
  ),
  dns: z
    .array(
      z.object({
        domain: z.string(),
        type: z.string(),
        need: z.string().describe('What it is for.'),
        found: z.array(z.string()),
        error: z.string().nullable(),
      }),
    )
    .nullable()
    .describe('null if it was not asked for.'),
  processes: z.array(
    z.object({
      role: z.string(),
      host: z.string(),
      pid: z.number().int(),
      refusing: z.string().nullable().describe('Why it accepts nothing new.'),
      troubles: z.array(z.string()),
    }),
  ),
});
type Report = z.output<typeof setupReport>;

export interface SetupParts {
  config: Config;
  queue: QueueRoom;
}

/** How many domains are looked up, and how many milliseconds each answer may take. */
const mostDomains = 20;
const patience = 2000;

export function setupRoutes({ config, queue }: SetupParts): Route[] {
  let listed: Promise<Report['settings']> | undefined;
  /** The configuration of a process does not change. */
  const settings = () => {
    listed ??= loadSettingsList(config);
    return listed;
  };
  return [
    route({
      method: 'GET',
      url: '/v1/setup',
      grant: 'read',
      name: 'getSetup',
      tag: 'directory',
      summary: 'See what is configured, and what was found',
      description:
        'Settings with origin and default, the durability of Redis as found, living processes, and DNS records. For a client of all mailboxes and partners. It holds no secrets.',
      params: nothing,
      query: setupQuery,
      status: 200,
      answer: setupReport,
      async handle({ client, query: { dns } }) {
        if (!seesAll(client)) throw refusal('not-granted', 'the setup concerns all mailboxes and partners');
        const [found, alive, list] = await Promise.all([
          checkDurability(queue.redis),
          readHeartbeats(queue),
          settings(),
        ]);
        const json: Report = {
          file: originOf(config)?.file ?? 'configuration',
          settings: list,
          redis: found.map(({ setting, value, verdict, message, hint }) => ({
            ...{ name: setting, value },
            problem: verdict === 'durable' ? null : `${message}; ${hint}`,
          })),
          dns: dns === undefined ? null : await recordsOf(config),
          processes: alive.map(({ role, host, pid, refusing, troubles }) => ({
            ...{ role, host, pid, refusing },
            troubles: (troubles ?? []).map(({ what, why }) => `${what}: ${why}`),
          })),
        };
        return { status: 200, json };
      },
    }),
  ];
}

type DnsRecord = NonNullable<Report['dns']>[number];

async function recordsOf({ mailboxes, partners, smtp }: Config): Promise<DnsRecord[]> {
  const resolver = new Resolver({ timeout: patience, tries: 1 });
  const domainOf = (address: string) => address.slice(address.lastIndexOf('@') + 1).toLowerCase();
  const received = mailboxes
    .filter(({ imap }) => imap === undefined)
    .flatMap(({ addresses }) => addresses)
    .filter((address) => address.includes('@'))
    .map(domainOf);
  const sent = partners.flatMap(({ from }) => (from === undefined ? [] : [domainOf(from)]));
  const look = async (
    facts: Pick<DnsRecord, 'domain' | 'type' | 'need'>,
    work: () => Promise<string[]>,
  ): Promise<DnsRecord> => {
    try {
      return { ...facts, found: await work(), error: null };
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'failed';
      const isAbsent = code === 'ENODATA' || code === 'ENOTFOUND';
      return { ...facts, found: [], error: isAbsent ? null : code };
    }
  };
  const texts = async (name: string, start: string) =>
    (await resolver.resolveTxt(name)).map((parts) => parts.join('')).filter((text) => text.startsWith(start));
  const mx = [...new Set(received)].slice(0, mostDomains).map((domain) =>
    look(
      {
        domain,
        type: 'MX',
        need: `leads mail for your mailboxes to this host (smtp.hostname: ${smtp.hostname ?? 'not set'})`,
      },
      async () =>
        (await resolver.resolveMx(domain))
          .sort((a, b) => a.priority - b.priority)
          .map(({ priority, exchange }) => `${priority} ${exchange}`),
    ),
  );
  const own = [...new Set(sent)].slice(0, mostDomains).flatMap((domain) => [
    look({ domain, type: 'TXT (SPF)', need: 'says who may send mail of this domain' }, () =>
      texts(domain, 'v=spf1'),
    ),
    look(
      {
        domain: `_dmarc.${domain}`,
        type: 'TXT (DMARC)',
        need: 'says what becomes of mail that fails SPF and DKIM',
      },
      () => texts(`_dmarc.${domain}`, 'v=DMARC1'),
    ),
  ]);
  return await Promise.all([...mx, ...own]);
}
