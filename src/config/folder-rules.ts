import { sep } from 'node:path';
import { allDestinations, allRoutes, isPrivateRedis } from './facts.ts';
import type { Report, SettingPath } from './problem.ts';
import type { Config } from './schema.ts';

/** What a template for subjects may name. */
const places = ['{name}', '{stem}', '{partner}'];

/** A file in a folder must have one meaning: to send it, once. */
export function checkDropFolders(config: Config, report: Report): void {
  const { folders, partners, clientQueues, redis } = config;
  for (const [where, { folder }] of allRoutes(config))
    if (folder !== undefined && (isWithin(folder, config.dataDir) || isWithin(config.dataDir, folder)))
      report([...where, 'folder'], 'overlaps with dataDir', { hint: 'choose another folder' });
  if (clientQueues.enabled && isPrivateRedis(redis))
    report(
      ['clientQueues', 'enabled'],
      'needs a Redis that programs reach; the private one is for Sealpost alone',
      {
        hint: 'write redis.url',
      },
    );
  folders.forEach(({ path, failed, client, subject }, index) => {
    const at: SettingPath = ['folders', index];
    if (partners.length === 0)
      report([...at, 'path'], 'is a drop folder, but there are no partners to send to', {
        hint: 'write partners',
      });
    if (client.toLowerCase() === 'operator')
      report([...at, 'client'], 'operator is the person at the command line, and no client', {
        hint: 'make a client for the folder: sealpost clients add NAME',
      });
    const unknown = (subject.match(/\{[^{}]*\}/g) ?? []).find((each) => !places.includes(each));
    if (unknown !== undefined)
      report([...at, 'subject'], `there is no ${unknown}`, { hint: 'use {name}, {stem} and {partner}' });
    if (failed === undefined && partners.some(({ name }) => name === 'failed'))
      report([...at, 'failed'], 'is missing, and a partner is called failed', { hint: 'write failed' });
    folders.slice(0, index).forEach((other, before) => {
      if (isWithin(path, other.path) || isWithin(other.path, path))
        report([...at, 'path'], `overlaps with folders[${before}]`, {
          hint: 'give each its own folder',
        });
    });
    for (const [where, destination] of allDestinations(config))
      if (destination.type === 'directory' && isWithin(destination.path, path))
        report([...where, 'path'], `is in folders[${index}]: what is received would be sent`, {
          hint: 'choose another folder',
        });
    for (const [where, { folder }] of allRoutes(config))
      if (folder !== undefined && isWithin(folder, path))
        report([...where, 'folder'], `is in folders[${index}]: what is sent would be sent again`, {
          hint: 'choose another folder',
        });
    if (isWithin(config.dataDir, path) || isWithin(path, config.dataDir))
      report([...at, 'path'], 'overlaps with dataDir', { hint: 'choose another folder' });
  });
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}
