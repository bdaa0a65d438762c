/** Which profiles partners meet, judged by settings, certificates, traffic and what they announced. */
import type { DeskParts } from './certificate-desk.ts';
import { openedOnce } from './desk.ts';
import { matrixList, matrixQuery } from './readiness-schemas.ts';
import { nothing, type Route, route } from './route.ts';

export function readinessRoutes(parts: DeskParts): Route[] {
  const desk = openedOnce(async () => {
    const room = await import('./readiness-desk.ts');
    return await room.ReadinessDesk.open(parts);
  });
  return [
    route({
      method: 'GET',
      url: '/v1/readiness',
      grant: 'certificates',
      name: 'getReadiness',
      tag: 'certificates',
      summary: 'See which profiles partners meet',
      description:
        'For each partner that the client may send to: what was seen in its mail and in mail to it, which ciphers it announced, which profiles it meets on a day, and what it would need for the others. 100 partners at a time.',
      params: nothing,
      query: matrixQuery,
      status: 200,
      answer: matrixList,
      handle: async ({ client, query }) => ({
        status: 200,
        json: await (await desk()).matrix(client, query),
      }),
    }),
  ];
}
