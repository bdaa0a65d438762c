/** What a schema cannot express about a destination. */
import { addressHint, parseAddressEntry } from './addresses.ts';
import { isLoopback } from './hosts.ts';
import type { Report, SettingPath } from './problem.ts';
import { parseRecipientTemplate } from './recipient-template.ts';
import { checkServerRoute } from './route-rules.ts';
import type { Config, DestinationConfig } from './schema.ts';

type OfType<T extends DestinationConfig['type']> = Extract<DestinationConfig, { type: T }>;

/** A bucket of the spool or of a destination. */
export function checkStore(
  store: Pick<OfType<'s3'>, 'endpoint' | 'accessKeyId' | 'secretAccessKey'>,
  at: SettingPath,
  report: Report,
): void {
  const { endpoint, accessKeyId, secretAccessKey } = store;
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined))
    report(at, 'has one half of the credentials', {
      hint: 'write both accessKeyId and secretAccessKey, or neither',
    });
  if (endpoint?.startsWith('http:') && !isLoopback(new URL(endpoint).hostname))
    report([...at, 'endpoint'], 'is asked without TLS', { severity: 'warning', hint: 'use https' });
}

/** Sealpost's own queues under `redis.prefix`. */
const ownQueues = ['inbound', 'handoff', 'outbound', 'failures'];

/** The rules for every destination, including those for reports. */
export function checkDestination(
  destination: DestinationConfig,
  at: SettingPath,
  config: Config,
  report: Report,
): void {
  switch (destination.type) {
    case 'directory':
      return;
    case 'webhook':
      checkWebhook(destination, at, report);
      return;
    case 'queue':
      checkQueue(destination, at, config, report);
      return;
    case 'smtp':
    case 'lmtp':
      checkServerRoute(destination, at, { readable: true, dns: config.dns !== undefined }, report);
      checkRecipients(destination, at, report);
      return;
    case 's3':
      checkBucket(destination, at, report);
  }
}

function checkQueue(queue: OfType<'queue'>, at: SettingPath, { redis }: Config, report: Report): void {
  const sameServer = (queue.prefix ?? redis.prefix) === redis.prefix;
  if (sameServer && ownQueues.includes(queue.queue))
    report([...at, 'queue'], `${queue.queue} is a queue of Sealpost itself`, {
      hint: 'choose another name, or another prefix',
    });
}

function checkWebhook(webhook: OfType<'webhook'>, at: SettingPath, report: Report): void {
  const url = new URL(webhook.url);
  if (url.username !== '' || url.password !== '')
    report([...at, 'url'], 'contains a user or password', {
      hint: 'remove it; requests are signed with the secret',
    });
  const loopback = isLoopback(url.hostname);
  if (url.protocol === 'http:' && !loopback)
    report([...at, 'url'], 'is http: decrypted content would be sent in clear', {
      severity: 'warning',
      hint: 'write https:',
    });
  if (loopback && !webhook.allowPrivate)
    report([...at, 'url'], 'is on this machine, which is refused without allowPrivate', {
      hint: 'write allowPrivate: true',
    });
}

function checkRecipients(
  { recipients, allow, sender }: OfType<'smtp' | 'lmtp'>,
  at: SettingPath,
  report: Report,
): void {
  let chosen = false;
  recipients.forEach((text, index) => {
    const template = parseRecipientTemplate(text);
    if (typeof template === 'string')
      report([...at, 'recipients', index], template, {
        hint: 'write an address, "{recipient}" or "{to}"; {mailbox}, {partner} and {local} stand before the @',
      });
    else if (template.kind === 'message') chosen = true;
  });
  if (chosen && allow.length === 0)
    report([...at, 'recipients'], 'are chosen by the message, and none are allowed', {
      hint: 'write allow, such as ["@erp.example"]',
    });
  allow.forEach((entry, index) => {
    if (parseAddressEntry(entry) === undefined)
      report([...at, 'allow', index], `${JSON.stringify(entry)} is not an address`, {
        hint: addressHint(entry),
      });
  });
  if (sender !== undefined && sender !== '' && parseAddressEntry(sender)?.kind !== 'address')
    report([...at, 'sender'], 'is not an address', { hint: 'write user@example.com, or "" for none' });
}

const keyPlaces = ['mailbox', 'partner', 'date', 'time', 'id'];

function checkBucket(bucket: OfType<'s3'>, at: SettingPath, report: Report): void {
  const { key } = bucket;
  const unknown = Array.from(key.matchAll(/\{([^{}]*)\}/g), ([, name = '']) => name).find(
    (name) => !keyPlaces.includes(name),
  );
  if (unknown !== undefined)
    report([...at, 'key'], `{${unknown}} is not known here`, { hint: `known: ${keyPlaces.join(', ')}` });
  if (!key.includes('{id}'))
    report([...at, 'key'], 'has no {id}, so messages would replace each other', {
      hint: 'write for example {mailbox}/{date}/{id}/',
    });
  checkStore(bucket, at, report);
}
