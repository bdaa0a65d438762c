/** Partners and their certificates. */
import {
  certificateDetail,
  certificateList,
  matrixList,
  messageList,
  partnerDetail,
  partnerList,
  routeList,
  submitted,
} from '../../api/index.ts';
import { type PageRoute, page } from '../page.ts';
import { certificateBody, partnerBody, partnersBody, partnersPage } from '../views/partners.ts';
import { pathTo } from '../views/parts.ts';
import { telling, told } from './told.ts';

const decisions = {
  approve: 'approveCertificate',
  reject: 'rejectCertificate',
  revoke: 'revokeCertificate',
} as const;

export const partnerPages: readonly PageRoute[] = [
  page({
    method: 'GET',
    url: '/partners',
    needs: 'viewer',
    async handle({ operations, query, now }) {
      const [{ partners }, { certificates }] = await Promise.all([
        operations.json('listPartners', partnerList),
        operations.json('listCertificates', certificateList, { query: { attention: '60' } }),
      ]);
      const name = query.name ?? '';
      const wanted = name.toLowerCase();
      const found = partners.filter((each) =>
        [each.name, ...each.addresses].some((text) => text.toLowerCase().includes(wanted)),
      );
      const from = /^\d{1,6}$/.test(query.from ?? '') ? Number(query.from) : 0;
      const shown = found.slice(from, from + partnersPage);
      const body = partnersBody({
        ...{ partners: shown, name, from, more: found.length > from + partnersPage, now },
        waiting: certificates.filter(({ state }) => state === 'waiting').slice(0, 100),
        ending: certificates.filter(({ state }) => state !== 'waiting').slice(0, 20),
      });
      return { title: 'Partners', body };
    },
  }),
  page({
    method: 'GET',
    url: '/partners/:partner',
    needs: 'viewer',
    async handle({ operations, params, query, person, csrf, now }) {
      const partner = await operations.json('getPartner', partnerDetail, { params });
      const of = { partner: partner.name };
      const [{ certificates }, { routes }, matrix, suspended, unsent] = await Promise.all([
        operations.json('listCertificates', certificateList, { query: of }),
        operations.json('listRoutes', routeList, { query: of }),
        operations.json('getReadiness', matrixList, { query: of }),
        operations.json('listMessages', messageList, { query: { ...of, state: 'suspended', limit: '10' } }),
        operations.json('listMessages', messageList, { query: { ...of, state: 'queued', limit: '10' } }),
      ]);
      const may = (verb: Parameters<typeof person.client.may>[0]) => person.client.may(verb);
      const body = partnerBody({
        ...{ partner, certificates, routes, may, csrf, now, said: told(query.did) },
        readiness: matrix.partners[0],
        ...{ suspended: suspended.messages, unsent: unsent.messages },
      });
      return { title: partner.name, body };
    },
  }),
  page({
    method: 'POST',
    url: '/partners/:partner/test',
    needs: 'operator',
    async handle({ operations, params, person, now }) {
      const { messages } = await operations.json('submitMessage', submitted, {
        json: {
          partner: params.partner,
          subject: 'Test',
          text: `This is a test of ${person.name}, sent by Sealpost at ${now.toISOString()}. Nothing needs to be done.`,
        },
      });
      return { to: `/messages/${messages[0]?.id ?? ''}` };
    },
  }),
  page({
    method: 'GET',
    url: '/certificates/:id',
    needs: 'viewer',
    async handle({ operations, params, query, person, csrf, now }) {
      const certificate = await operations.json('getCertificate', certificateDetail, { params });
      const may = person.client.may('approve');
      const body = certificateBody({ certificate, may, csrf, now, said: told(query.did) });
      return { title: `Certificate ${certificate.id}`, body };
    },
  }),
  ...(['approve', 'reject', 'revoke'] as const).map((what) =>
    page({
      method: 'POST',
      url: `/certificates/:id/${what}`,
      needs: 'operator',
      async handle({ operations, params, form }) {
        const why = form.get('why').trim();
        const compared =
          what === 'approve' ? { sha256: form.get('sha256'), version: Number(form.get('version')) } : {};
        const json = { ...compared, ...(why !== '' && { why }) };
        await operations.json(decisions[what], certificateDetail, { params, json });
        return { to: telling(pathTo('certificates', params.id ?? ''), what) };
      },
    }),
  ),
];
