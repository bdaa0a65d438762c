/**
 * Certificates of partners and our own: shown, and decided about. For a client, a certificate that it may not see does
 * not exist.
 */

import type { BodyRules } from './body.ts';
import type { DeskParts, Detail } from './certificate-desk.ts';
import {
  approveBody,
  certificateDetail,
  certificateList,
  certificateParams,
  certificateQuery,
  pinBody,
  rejectBody,
  revokeBody,
} from './certificate-schemas.ts';
import { openedOnce } from './desk.ts';
import { jsonBody } from './json-body.ts';
import { nothing, type Route, route } from './route.ts';

export interface CertificatesParts extends DeskParts {
  body: BodyRules;
}

export function certificateRoutes({ body, ...parts }: CertificatesParts): Route[] {
  const desk = openedOnce(async () => {
    const room = await import('./certificate-desk.ts');
    return await room.CertificateDesk.open(parts);
  });
  const ok = (json: Detail) => ({ status: 200, json });
  const get = { method: 'GET', grant: 'certificates', tag: 'certificates', status: 200 } as const;
  const act = { method: 'POST', grant: 'approve', tag: 'certificates', status: 200 } as const;
  const after = { query: nothing, answer: certificateDetail };
  const json = (schema: typeof approveBody | typeof rejectBody | typeof revokeBody | typeof pinBody) => ({
    'application/json': { schema, description: 'What is decided.' },
  });
  return [
    route({
      ...get,
      url: '/v1/certificates',
      name: 'listCertificates',
      summary: 'List certificates',
      description:
        'Of the partners that the client may send to, and of the identities that may sign its mail, with those that wait for approval.',
      params: nothing,
      query: certificateQuery,
      answer: certificateList,
      async handle({ client, query: { serial, expiring, attention, limit = '200', cursor = '', ...rest } }) {
        const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
        const query = {
          ...given,
          ...(expiring !== undefined && { expiring: Number(expiring) }),
          ...(attention !== undefined && { attention: Number(attention) }),
        };
        const found = await (await desk()).list(client, query, { serial, limit: Number(limit), cursor });
        return { status: 200, json: { certificates: found.page, cursor: found.cursor } };
      },
    }),
    route({
      ...{ ...get, ...after },
      url: '/v1/certificates/:id',
      name: 'getCertificate',
      summary: 'See a certificate',
      description: 'With the comparison of one that waits for approval, and the certificate in PEM.',
      params: certificateParams,
      handle: async ({ client, params }) => ok(await (await desk()).detail(client, params.id)),
    }),
    route({
      ...{ ...act, ...after },
      url: '/v1/certificates/:id/approve',
      name: 'approveCertificate',
      summary: 'Approve a certificate that waits',
      description: 'It counts as one of its partner from then on. SHA-256 and version say what was compared.',
      params: certificateParams,
      bodies: json(approveBody),
      async handle(call) {
        const said = await jsonBody(call, approveBody, body);
        return ok(await (await desk()).approve(call.client, call.params.id, said));
      },
    }),
    route({
      ...{ ...act, ...after },
      url: '/v1/certificates/:id/reject',
      name: 'rejectCertificate',
      summary: 'Reject a certificate',
      description: 'One that waits, or that was approved. It counts for nothing, also for mail that waits.',
      params: certificateParams,
      bodies: json(rejectBody),
      async handle(call) {
        const { why } = await jsonBody(call, rejectBody, body);
        return ok(await (await desk()).reject(call.client, call.params.id, why));
      },
    }),
    route({
      ...{ ...act, ...after },
      url: '/v1/certificates/:id/revoke',
      name: 'revokeCertificate',
      summary: 'Revoke a certificate',
      description:
        'Its key is in wrong hands. Nothing is encrypted for it or verified with it, wherever it is configured, nor with another certificate of its key. So a client of some partners can revoke only what concerns nobody else, and whose key is proven.',
      params: certificateParams,
      bodies: json(revokeBody),
      async handle(call) {
        const { why } = await jsonBody(call, revokeBody, body);
        return ok(await (await desk()).revoke(call.client, call.params.id, why));
      },
    }),
    route({
      ...{ ...act, ...after },
      url: '/v1/certificates',
      name: 'pinCertificate',
      summary: 'Add a certificate to those of a partner',
      description:
        'It counts as one of the configuration. A client of some partners adds none of an authority, and none with the key or an address of another partner.',
      params: nothing,
      bodies: json(pinBody),
      async handle(call) {
        const said = await jsonBody(call, pinBody, body);
        return ok(await (await desk()).pin(call.client, said));
      },
    }),
  ];
}
