/** One partner: how mail with it is protected, what is required of it, and what failed last. */
import { z } from 'zod';
import type { Client } from '../client/index.ts';
import { type Config, loadPartnerSettings } from '../config/index.ts';
import { SealpostError } from '../errors.ts';
import { namedProfiles } from '../partner/index.ts';
import { lastErrors, type QueueRoom } from '../queue/index.ts';
import { granted } from './granted.ts';
import { nothing, type Route, route } from './route.ts';
import { line, setting } from './schemas.ts';
import { iso } from './view.ts';

export const partnerParams = z.object({ partner: line(63) });

export const partnerDetail = z.object({
  name: z.string(),
  formerNames: z.array(z.string()),
  addresses: z.array(z.string()),
  settings: z
    .array(setting)
    .describe('How mail with it is protected, and what is demanded of its mail: those that have a value.'),
  profiles: z
    .array(
      z.object({
        name: z.string(),
        title: z.string(),
        version: z.string(),
        use: z
          .array(z.enum(['outbound', 'minimum']))
          .describe(
            'outbound: its settings apply to mail to the partner. minimum: mail from it must meet it.',
          ),
        rules: z
          .array(
            z.object({
              id: z.string(),
              level: z.string().describe('must or should.'),
              says: z.string(),
              source: z.string().describe('Document, version and section.'),
            }),
          )
          .describe('Those that hold today.'),
      }),
    )
    .describe('The profiles that its settings name.'),
  errors: z
    .array(
      z.object({
        id: z.string().describe('Of the message.'),
        direction: z.enum(['inbound', 'outbound']),
        state: z.string(),
        code: z.string().describe('A code of docs/reason-codes.md.'),
        at: z.iso.datetime(),
        said: z.string().nullable().describe('What the other side said, or the failure of itself.'),
      }),
    )
    .describe('What failed last in messages with it that are suspended or wait to be sent; newest first.'),
});
export type PartnerDetail = z.output<typeof partnerDetail>;

export interface PartnerDetailParts {
  config: Config;
  queue: Pick<QueueRoom, 'ledger'>;
}

export function partnerDetailRoutes({ config, queue: { ledger } }: PartnerDetailParts): Route[] {
  let settings: ReturnType<typeof loadPartnerSettings> | undefined;
  /** Errors: `partner-unknown`, also for one that the client may not see. */
  const indexOf = (client: Client, wanted: string): number => {
    const index = config.partners.findIndex(({ name }) => name.toLowerCase() === wanted.toLowerCase());
    const name = config.partners[index]?.name;
    if (name !== undefined && client.mayUsePartner(name)) return index;
    throw new SealpostError('partner-unknown', `there is no partner ${wanted}`);
  };
  const errorsOf = async (client: Client, partner: string) => {
    const among = granted(client, config);
    const found = await lastErrors((query) => ledger.listAmong({ partner, ...query }, among));
    return found.map((each) => ({ ...each, at: iso(each.at) }));
  };
  return [
    route({
      method: 'GET',
      url: '/v1/partners/:partner',
      grant: 'read',
      name: 'getPartner',
      tag: 'directory',
      summary: 'See a partner',
      description:
        'How mail to it is protected, what its mail has to meet, the rules of its profiles, and what failed last.',
      params: partnerParams,
      query: nothing,
      status: 200,
      answer: partnerDetail,
      async handle({ client, params }) {
        const index = indexOf(client, params.partner);
        const partner = config.partners[index];
        if (partner === undefined) throw new SealpostError('internal', 'the partner is gone');
        settings ??= loadPartnerSettings(config);
        const { name, formerNames, addresses } = partner;
        const json: PartnerDetail = {
          ...{ name, formerNames, addresses },
          settings: (await settings)(index),
          profiles: await namedProfiles(config, partner, new Date()),
          errors: await errorsOf(client, name),
        };
        return { status: 200, json };
      },
    }),
  ];
}
