/** Puts rules and channels together for the process that evaluates alerts. */
import { hostname } from 'node:os';
import { readSecret } from '../config/index.ts';
import { createEventPoster } from '../handoff/index.ts';
import { AlertBook } from './book.ts';
import { type Channel, Courier } from './courier.ts';
import { Evaluator, type EvaluatorParts } from './evaluator.ts';
import { changeDocument, mailText } from './text.ts';

/** Puts a mail on the outbound queue; resolves with its id. The same key is the same mail. */
export type AlertMailer = (mail: { subject: string; body: string }, key: string) => Promise<string>;

export interface AlertsParts extends EvaluatorParts {
  mail: AlertMailer;
}

export interface Alerts {
  troubles(): { what: string; since: number; why: string }[];
  stop(): Promise<void>;
}

/** Errors: those of `readSecret`; `file-access`. */
export async function startAlerts({ mail, ...parts }: AlertsParts): Promise<Alerts> {
  const { config, queue, log, now } = parts;
  const book = new AlertBook(queue);
  const evaluator = new Evaluator(parts);
  const channels: Channel[] = [];
  if (config.alerts.webhook) channels.push(await webhookChannel(config.alerts.webhook, now));
  if (config.alerts.mail) channels.push(mailChannel(config.alerts.mail, mail));
  await book.keepChannels(channels.map(({ name }) => name));
  const isMine = () => evaluator.isMine;
  const couriers = channels.map((channel) => ({
    name: channel.name,
    courier: new Courier({ channel, book, isMine, log, now }),
  }));
  // A new channel has to know its place before there is anything to announce.
  for (const { name } of couriers)
    if ((await book.channel(name)) === null) {
      const position = await book.newest();
      await book.moveChannel({ name, position, at: now(), outcome: 'nothing yet', trouble: null });
    }
  for (const { courier } of couriers) courier.start();
  evaluator.start();
  return {
    troubles: () =>
      couriers.flatMap(({ name, courier: { trouble } }) =>
        trouble ? [{ what: `alerts by ${name}`, ...trouble }] : [],
      ),
    async stop() {
      await Promise.all(couriers.map(({ courier }) => courier.stop()));
      await evaluator.stop();
    },
  };
}

async function webhookChannel(
  config: Parameters<typeof createEventPoster>[0],
  now: () => number,
): Promise<Channel> {
  const poster = await createEventPoster(config, { readSecret, now });
  return {
    name: 'webhook',
    gather: 0,
    perHour: Number.POSITIVE_INFINITY,
    async deliver(changes, key, signal) {
      const body = Buffer.from(JSON.stringify({ alerts: changes.map(changeDocument) }));
      const why = await poster.post(body, key, signal);
      return why === undefined ? { done: 'taken' } : { failed: why };
    },
    close: () => poster.close(),
  };
}

function mailChannel({ gather, perHour }: { gather: number; perHour: number }, mail: AlertMailer): Channel {
  return {
    ...{ name: 'mail', gather, perHour },
    async deliver(changes, key) {
      try {
        return { done: `message ${await mail(mailText(changes, hostname()), key)}` };
      } catch (error) {
        return { failed: error instanceof Error ? error.message : String(error) };
      }
    },
    close: async () => undefined,
  };
}
