/** `sealpost check` on demand: each machine checks the files of its roles. */
import { z } from 'zod';
import { type Client, seesAll } from '../client/index.ts';
import { loadChecks, readHeartbeats } from '../daemon/index.ts';
import type { QueueRoom } from '../queue/index.ts';
import { refusal } from './problem.ts';
import { nothing, type Route, route } from './route.ts';
import { iso } from './view.ts';

export const checkReport = z.object({
  check: z
    .object({
      at: z.iso.datetime(),
      by: z.string(),
      answers: z
        .array(
          z.object({
            host: z.string(),
            roles: z.array(z.string()).describe('Whose files were checked there.'),
            at: z.iso.datetime(),
            problems: z.array(
              z.object({
                severity: z.enum(['error', 'warning']),
                file: z.string(),
                line: z.number().int(),
                setting: z.string(),
                message: z.string(),
                hint: z.string().nullable(),
              }),
            ),
            more: z.number().int().describe('Further problems, which sealpost check prints there.'),
            error: z.string().nullable().describe('Why nothing could be checked.'),
          }),
        )
        .describe('One for each machine that has answered.'),
      waiting: z
        .array(z.string())
        .describe('Roles with a living process that no answer is about yet, as ROLE on HOST.'),
    })
    .nullable()
    .describe('The last one of the last hour; null without one.'),
});
export type CheckReport = z.output<typeof checkReport>;

export interface CheckParts {
  queue: QueueRoom;
}

export function checkRoutes({ queue }: CheckParts): Route[] {
  const common = {
    grant: 'check',
    tag: 'directory',
    params: nothing,
    query: nothing,
    status: 200,
    answer: checkReport,
  } as const;
  const ensureAll = (client: Client) => {
    if (!seesAll(client)) throw refusal('not-granted', 'a check concerns all mailboxes and partners');
  };
  const report = async (): Promise<CheckReport> => {
    const { lastAsked, readAnswers } = await loadChecks();
    const asked = await lastAsked(queue);
    if (asked === undefined) return { check: null };
    const [answers, alive] = await Promise.all([readAnswers(queue, asked.id), readHeartbeats(queue)]);
    const isAnswered = (role: string, host: string) =>
      answers.some((each) => each.host === host && each.roles.includes(role));
    const waiting = alive.filter(({ role, host }) => !isAnswered(role, host));
    return {
      check: {
        ...{ at: iso(asked.at), by: asked.by },
        answers: answers.map(({ at, problems, ...rest }) => ({
          ...{ ...rest, at: iso(at) },
          problems: problems.map(({ hint = null, ...each }) => ({ ...each, hint })),
        })),
        waiting: [...new Set(waiting.map(({ role, host }) => `${role} on ${host}`))],
      },
    };
  };
  return [
    route({
      ...common,
      method: 'POST',
      url: '/v1/checks',
      name: 'startCheck',
      summary: 'Check configuration, keys and surroundings',
      description:
        'As sealpost check does: on each machine, for the roles that run there, within about five seconds. Nothing is sent. Who asks again within ten seconds gets the same check.',
      async handle({ client }) {
        ensureAll(client);
        const { askCheck } = await loadChecks();
        const at = Date.now();
        await queue.audit.add({ at, by: client.actor, what: 'check' });
        await askCheck(queue, client.actor);
        return { status: 200, json: await report() };
      },
    }),
    route({
      ...common,
      method: 'GET',
      url: '/v1/checks',
      name: 'getCheck',
      summary: 'See what a check found',
      description:
        'The problems of each machine that has answered: file, line, what is wrong, what to do. No secrets.',
      async handle({ client }) {
        ensureAll(client);
        return { status: 200, json: await report() };
      },
    }),
  ];
}
