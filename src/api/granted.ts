/** Grants in the form that the indices of the ledger use. */
import type { Client } from '../client/index.ts';
import type { Config } from '../config/index.ts';
import type { Among } from '../queue/index.ts';

/** The mailboxes and partners whose messages a client may see, spelled as in the configuration. */
export function granted(
  { grants }: Client,
  { mailboxes, partners }: Pick<Config, 'mailboxes' | 'partners'>,
): Among {
  return {
    mailboxes: names(grants.mailboxes, mailboxes),
    partners: names(grants.partners, partners),
  };
}

/** A granted name that is no longer configured may still have messages. */
function names(given: '*' | readonly string[], configured: readonly { name: string }[]): '*' | string[] {
  if (given === '*') return '*';
  const wanted = new Set(given.map((name) => name.toLowerCase()));
  const written = new Map(
    configured
      .filter(({ name }) => wanted.has(name.toLowerCase()))
      .map(({ name }) => [name.toLowerCase(), name]),
  );
  return [...new Set(given.map((name) => written.get(name.toLowerCase()) ?? name))];
}
