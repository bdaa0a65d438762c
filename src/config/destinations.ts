import type { SettingPath } from './problem.ts';
import type { Config, DestinationConfig } from './schema.ts';

/** Every configured destination with its place, for messages and for reports about suspended ones. */
export function allDestinations({ mailboxes, partners }: Config): [SettingPath, DestinationConfig][] {
  const found: [SettingPath, DestinationConfig][] = [];
  mailboxes.forEach(({ destinations, onSuspend }, at) => {
    destinations.forEach((destination, index) => {
      found.push([['mailboxes', at, 'destinations', index], destination]);
    });
    if (onSuspend) found.push([['mailboxes', at, 'onSuspend', 'destination'], onSuspend.destination]);
  });
  partners.forEach(({ onSuspend }, at) => {
    if (onSuspend) found.push([['partners', at, 'onSuspend', 'destination'], onSuspend.destination]);
  });
  return found;
}
