/** Partners that send every day, and have not. */
import type { Config } from '../config/index.ts';
import type { Ledger } from '../queue/index.ts';
import type { Sample } from './types.ts';
import { agoText } from './words.ts';

const day = 86_400_000;
const week = 7 * day;
/** Milliseconds: how long before now, and before the same time of each of the weeks before, it is looked for mail. */
const span = 26 * 3_600_000;
/** Milliseconds by which mail may come later than in the weeks before. */
const grace = 3 * 3_600_000;
/** Days of the week before on which there must have been mail. */
const mostDays = 4;

export interface SilentSources {
  now: number;
  config: Pick<Config, 'partners'>;
  queue: { ledger: Pick<Ledger, 'list'> };
}

/** Partners from which mail is expected now: the time since the last one. */
export async function silentSamples({ now, config, queue }: SilentSources): Promise<Sample[]> {
  const { ledger } = queue;
  const lastBefore = async (partner: string, since: number, until: number) => {
    const { messages } = await ledger.list({ partner, direction: 'inbound', since, until, limit: 1 });
    return messages[0]?.receivedAt;
  };
  const sampleOf = async (partner: string): Promise<Sample[]> => {
    const last = await lastBefore(partner, now - week - span, now + 1);
    if (last === undefined || now - last <= span / 2) return [];
    for (const weeks of [1, 2]) {
      const then = now - weeks * week - grace;
      if ((await lastBefore(partner, then - span, then)) === undefined) return [];
    }
    let days = 0;
    for (let back = 1; back <= 7; back++) {
      const end = now - span - (back - 1) * day;
      if ((await lastBefore(partner, end - day, end)) !== undefined) days += 1;
    }
    if (days < mostDays) return [];
    const value = now - last;
    const hint = 'Ask the partner whether it has sent, and look at your mail server.';
    return [
      { labels: { partner }, value, text: `nothing has come from ${partner} for ${agoText(value)}`, hint },
    ];
  };
  const found: Sample[] = [];
  // One after the other: there may be thousands, and nobody waits for it.
  for (const { name } of config.partners) found.push(...(await sampleOf(name)));
  return found;
}
