import type { SettingPath } from './problem.ts';
import type { ServerRoute } from './route-rules.ts';
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

/** Every way to a mail server, or to a folder in place of one, with its place: those to partners, and destinations. */
export function allRoutes(config: Config): [SettingPath, ServerRoute][] {
  const found: [SettingPath, ServerRoute][] = config.partners.flatMap(({ route, backup }, at) => {
    const first: [SettingPath, ServerRoute] = [['partners', at, 'route'], route];
    return backup ? [first, [['partners', at, 'backup', 'route'], backup.route]] : [first];
  });
  for (const [path, destination] of allDestinations(config))
    if (destination.type === 'smtp' || destination.type === 'lmtp') found.push([path, destination]);
  return found;
}
