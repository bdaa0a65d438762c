/** The route to the server of a mail destination, in the form of one to a partner. */
import { type DestinationConfig, parseRecipientTemplate } from '../config/index.ts';
import type { RouteProbe, SenderParts } from '../smtp/index.ts';

export type MailConfig = Extract<DestinationConfig, { type: 'smtp' | 'lmtp' }>;

export function mailRoute(config: MailConfig): SenderParts['route'] {
  const lmtp = config.type === 'lmtp';
  return { ...config, port: config.port ?? (lmtp ? 24 : config.tls === 'implicit' ? 465 : 25), lmtp };
}

/** The envelope for a test. A recipient is named only if the settings spell it out: a placeholder has no value here. */
export function mailProbe({ recipients, allow, sender }: MailConfig): RouteProbe {
  const settings = 'sender and recipients of the destination';
  const written = recipients.find((text) => !text.includes('{'));
  if (written !== undefined) return { from: sender ?? '', to: written, recipient: true, settings };
  const fixed = recipients.find((text) => {
    const template = parseRecipientTemplate(text);
    return typeof template === 'object' && template.kind === 'fixed';
  });
  // for its domain only
  const domain = /@(?:\*\.)?([^@]+)$/.exec(fixed ?? allow[0] ?? '')?.[1] ?? 'localhost';
  return { from: sender ?? '', to: `postmaster@${domain}`, recipient: false, settings };
}
