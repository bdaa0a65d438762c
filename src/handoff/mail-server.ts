import { roomLog } from '../log.ts';
import { comparableAddress, mailDate, readMailHeader } from '../message/index.ts';
import { type Envelope, type Outcome, outcomeOf } from '../queue/index.ts';
import { createSender, type OutboundMessage, type Sender } from '../smtp/index.ts';
import { attemptLimits, stopped } from './attempt.ts';
import { ownFields } from './mail-fields.ts';
import { wireMail, wireOctets } from './mail-octets.ts';
import { RecipientRules } from './mail-recipients.ts';
import { reportMail } from './mail-report.ts';
import { type MailConfig, mailRoute } from './mail-route.ts';
import { composeStreamed } from './message.ts';
import { ownPartnerOf } from './party.ts';
import type { Delivery, Destination, DestinationDeps, FailureReport } from './types.ts';

/** RFC 5321, section 4.5.3.1.8: a server must accept this many in one transaction. */
const mostRecipients = 100;

/**
 * Gives the decoded mail to a mail server, over SMTP or LMTP: with the verdict in `Authentication-Results` and
 * `X-Sealpost-*`, a Received field, and a trace that stops loops. Each recipient has its own outcome: those that have
 * the mail are left out when it is tried again for the others.
 */
export async function createMailDestination(config: MailConfig, deps: DestinationDeps): Promise<Destination> {
  const name = nameOf(config);
  const rules = new RecipientRules(config);
  const sender = senderOf(config, deps);

  async function deliver(delivery: Delivery, signal: AbortSignal): Promise<Outcome> {
    const limits = () => attemptLimits(deps.limits, delivery.contentOctets);
    const headers =
      delivery.headers ?? readMailHeader((await composeStreamed(delivery, limits())).headers).json;
    const { recipients, left } = rules.of({
      recipients: delivery.envelope.to,
      to: [...headers.to, ...headers.cc].map(({ address }) => address),
      mailbox: delivery.mailbox,
      partner: ownPartnerOf(delivery.verdict),
    });
    if (recipients.length === 0) return nobody(name, left);
    const { hostname } = deps;
    const trace = deps.trace(delivery.mailbox);
    return await sendAll(delivery, recipients, signal, (to) => ({
      envelope: { from: envelopeSender(config, delivery.envelope), to },
      estimate: delivery.contentOctets + delivery.header.length,
      octets: () => wireOctets(delivery, ownFields(delivery, { hostname, recipients: to, trace }), limits()),
    }));
  }

  async function report(failure: FailureReport, signal: AbortSignal): Promise<Outcome> {
    const { document } = failure;
    const owner = document.mailbox ?? document.partner ?? 'unknown';
    const facts = { recipients: document.envelope.to, to: [], mailbox: owner, partner: document.partner };
    const { recipients, left } = rules.of(facts);
    if (recipients.length === 0) return nobody(name, left);
    const { hostname } = deps;
    return await sendAll({}, recipients, signal, (to) => ({
      // a bounce of a report helps nobody
      envelope: { from: config.sender ?? '', to },
      weight: failure.original?.octets ?? 0,
      octets: () => {
        const { header, pieces } = reportMail(failure, { hostname, to, date: mailDate(deps.now()) });
        return wireMail(header, pieces, attemptLimits(deps.limits, failure.original?.octets ?? 0));
      },
    }));
  }

  /** One transaction per hundred recipients. Those that have it already are left out. */
  async function sendAll(
    { reached: before = [] }: Pick<Delivery, 'reached'>,
    recipients: readonly string[],
    signal: AbortSignal,
    message: (to: string[]) => OutboundMessage,
  ): Promise<Outcome> {
    const left = recipients.filter((recipient) => !before.includes(recipient));
    const reached: string[] = [];
    let worst: Outcome = { done: true, facts: { recipients: recipients.length } };
    for (let at = 0; at < left.length; at += mostRecipients) {
      const to = left.slice(at, at + mostRecipients);
      const outcome = outcomeFor(await sender.send(message(to), signal));
      if ('done' in outcome) {
        reached.push(...to);
        if ('done' in worst)
          worst = { ...outcome, facts: { ...outcome.facts, recipients: recipients.length } };
        continue;
      }
      reached.push(...(outcome.reached ?? []));
      if (!('retry' in worst)) worst = outcome;
      // the server does not answer, or its rate is used up; the other groups would find the same
      if (outcome.peer === 'down' || ('retry' in outcome && outcome.inLine)) break;
    }
    if (signal.aborted && !('done' in worst)) worst = stopped;
    return 'done' in worst ? worst : { ...worst, ...(reached.length > 0 && { reached }) };
  }

  /** The outcome in terms of a hand-off. */
  function outcomeFor(outcome: Outcome): Outcome {
    if ('done' in outcome) {
      const { host = null, reply = null } = outcome.facts ?? {};
      return { done: true, facts: { host, reply } };
    }
    const said = outcome.facts?.reply ?? outcome.facts?.message ?? '';
    const server = config.host ?? 'the server';
    const facts = { message: `${server} of destination ${name}: ${said}`, ...outcome.facts };
    const { peer, reached, dialogue } = outcome;
    const more = { facts, peer, ...(dialogue && { dialogue }), ...(reached && { reached }) };
    if ('retry' in outcome)
      return {
        ...outcome,
        retry: outcome.retry === 'send-failed' ? 'handoff-failed' : outcome.retry,
        ...more,
      };
    return { suspend: outcome.suspend === 'send-refused' ? 'handoff-refused' : outcome.suspend, ...more };
  }

  const guarded = async (signal: AbortSignal, work: () => Promise<Outcome>): Promise<Outcome> => {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) return stopped;
      const outcome = outcomeOf(error);
      if (outcome !== undefined) return outcome;
      throw error;
    }
  };

  return {
    name,
    most: config.connections,
    ...(sender.pace && { pace: sender.pace }),
    deliver: (delivery, signal) => guarded(signal, () => deliver(delivery, signal)),
    report: (failure, signal) => guarded(signal, () => report(failure, signal)),
    async close() {
      sender.close();
    },
  };
}

function senderOf(config: MailConfig, deps: DestinationDeps): Sender {
  const { readSecret, hostname: name, network, rate, owner, log } = deps;
  const route = mailRoute(config);
  return createSender({
    route,
    readSecret,
    name,
    rate: config.rate && rate(nameOf(config), config.rate),
    dialogue: {
      log: roomLog(log, 'smtp'),
      about: { destination: nameOf(config), ...(owner !== undefined && { owner }) },
    },
    ...network,
  });
}

const nameOf = ({ name, type }: MailConfig) => name ?? type;

function nobody(name: string, left: readonly string[]): Outcome {
  const who = left.length === 0 ? '' : `: ${left.slice(0, 5).join(', ')} may not get it`;
  return {
    suspend: 'handoff-refused',
    facts: { message: `no recipient of destination ${name} is left${who}` },
    peer: 'works',
  };
}

/** The envelope sender as it came, unless it is not a valid address: for IMAP mail, it is what a header said. */
function envelopeSender({ sender }: MailConfig, { from }: Envelope): string {
  return sender ?? (comparableAddress(from) === undefined ? '' : from);
}
