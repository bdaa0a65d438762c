/** R11, R12, R13: who gets the messages answers badly, late, or not at all. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultCase } from '../support/case.ts';
import { folderSink, partnerSink, webhookSink } from '../support/oracle.ts';
import { outboundLoad, outboundPartner, webhookMailbox } from '../support/outbound.ts';
import { type PartnerStep, startPartner, startWebhook, type WebhookStep } from '../support/partners.ts';
import { merge } from './receiver.ts';

const steps: WebhookStep[] = [
  'silent',
  { status: 429, headers: { 'Retry-After': '1' } },
  { status: 500 },
  'drop',
  'slow-body',
  { status: 200, after: 1500 },
];

const badReplies: PartnerStep[] = [{ code: 451 }, 'drop', { code: 421 }, { code: 452 }];

export const partnerCases: FaultCase[] = [
  {
    id: 'R11-partner-4xx-421',
    title: 'the partner answers 451, 452, 421 or cuts, then takes it',
    async run(run) {
      const partner = await startPartner();
      run.after(() => partner.close());
      partner.script = (mail) => (mail % 3 < 2 ? (badReplies[mail % 4] ?? 'drop') : { code: 250 });
      const rig = await run.rig({ config: outboundPartner(run.world, partner.port) });
      const load = outboundLoad(rig, { count: run.short ? 12 : 60 });
      await load.done();
      return rig.findings([load], { sink: () => partnerSink(partner.received) });
    },
  },
  {
    id: 'R11-partner-5xx',
    title: 'the partner refuses for good, also messages of the null sender; no bounce is sent',
    async run(run) {
      const partner = await startPartner();
      run.after(() => partner.close());
      partner.script = () => ({ code: 554 });
      const rig = await run.rig({ config: outboundPartner(run.world, partner.port) });
      const [load, bounces] = [outboundLoad(rig, { count: 5 }), outboundLoad(rig, { count: 5, from: '' })];
      await Promise.all([load.done(), bounces.done()]);
      const findings = await rig.findings([load, bounces], { sink: () => partnerSink(partner.received) });
      if (findings.tally.suspended !== 10) findings.failures.push('not all are suspended');
      if (partner.mails !== 10) findings.failures.push(`${partner.mails} mails went out in place of 10`);
      findings.notes.push(
        `suspended for: ${[...findings.tally.reasons.keys()].join()}; no mail beside them went out`,
      );
      return findings;
    },
  },
  {
    id: 'R12-cut-after-data',
    title: 'the partner takes the message and cuts in place of the reply',
    short: true,
    async run(run) {
      const partner = await startPartner();
      run.after(() => partner.close());
      partner.script = (mail) => (mail % 3 === 0 ? 'take-and-drop' : { code: 250 });
      const rig = await run.rig({ config: outboundPartner(run.world, partner.port) });
      const load = outboundLoad(rig, { count: run.short ? 9 : 60 });
      await load.done();
      const findings = await rig.findings([load], { sink: () => partnerSink(partner.received) });
      let marked = 0;
      for (const { id } of load.accepted) {
        const record = await rig.queue.ledger.get(id);
        marked += record?.events.filter(({ facts }) => facts.possibleDuplicate === true).length ?? 0;
      }
      if (marked !== findings.tally.repeated)
        findings.failures.push(
          `${findings.tally.repeated} repeated, ${marked} counted as possible duplicates`,
        );
      findings.notes.push(`${marked} counted as possible duplicates in the ledger`);
      return findings;
    },
  },
  {
    id: 'R13-webhook-troubles',
    title: 'a webhook is silent, 429, 500, cut, slow; another mailbox goes on',
    async run(run) {
      const hook = await startWebhook();
      run.after(() => hook.close());
      let mended = false;
      hook.script = (request) => (mended ? { status: 200 } : (steps[request % steps.length] ?? 'drop'));
      const { mailboxes } = webhookMailbox(run.world, hook.url);
      const inbox = `${run.world.folder}/healthy`;
      const healthy = {
        name: 'healthy',
        addresses: ['healthy@own.example'],
        destinations: [{ type: 'directory', path: inbox }],
      };
      const rig = await run.rig({ config: { mailboxes: [...mailboxes, healthy] } });
      const ill = rig.load({ clients: 2, pace: 50 });
      const well = rig.load({ clients: 2, pace: 50, to: 'healthy@own.example' });
      await sleep(15_000);
      await Promise.all([ill.finish(), well.finish()]);
      const others = await rig.findings([well], { sink: () => folderSink(inbox) });
      mended = true;
      const findings = await rig.findings([ill], { sink: () => webhookSink(hook.received) });
      const slowest = others.tally.slowest;
      if (slowest > 5000) findings.failures.push(`the other mailbox waited ${slowest} ms`);
      findings.notes.push(`slowest of the other mailbox meanwhile: ${slowest} ms`);
      return merge([findings, others]);
    },
  },
];
