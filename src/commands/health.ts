import { hostname } from 'node:os';
import { Command } from 'commander';
import { loadConfig } from '../config/index.ts';
import { readHeartbeats, roleNames } from '../daemon/index.ts';
import { SealpostError } from '../errors.ts';
import { type ClockFacts, readRestoreMark } from '../queue/index.ts';
import { configOption } from './options.ts';
import { printJson, printLine } from './output.ts';
import { withQueue } from './queue.ts';

interface HealthOptions {
  config: string;
  role?: string;
  json?: boolean;
}

export function healthCommand(): Command {
  return new Command('health')
    .addOption(configOption())
    .option('--role <role>', 'this role must be alive on this machine')
    .option('--json', 'print JSON')
    .action(async (options: HealthOptions) => {
      if (options.role !== undefined && !roleNames.some((name) => name === options.role))
        throw new SealpostError('usage', `--role: unknown role ${JSON.stringify(options.role)}`, {
          hint: `roles are ${roleNames.join(', ')}`,
        });
      await withQueue(await loadConfig(options.config), async (queue) => {
        const [alive, depth, messages, clock] = [
          await readHeartbeats(queue),
          await queue.queues.depth(),
          await queue.ledger.count(),
          await queue.clock(),
        ];
        const restored = await readRestoreMark(queue);
        if (options.json) printJson({ alive, depth, messages, clock, ...(restored && { restored }) });
        else {
          if (restored?.state === 'paused')
            printLine(
              `paused  restored from a backup of ${new Date(restored.of).toISOString()}: sealpost restore release`,
            );
          else if (restored) printLine('paused  a restore was not finished');
          for (const { role, host, pid } of alive)
            printLine(`alive  ${role.padEnd(9)} ${host} process ${pid}`);
          // Every process checks for itself; those on one machine see the same.
          for (const reason of new Set(alive.map(({ host, refusing }) => refusing && `${host}: ${refusing}`)))
            if (reason) printLine(`refuses  ${reason}`);
          // a process of the previous version has none
          for (const { host, troubles } of alive)
            for (const { what, since, why } of troubles ?? [])
              printLine(`fails  ${what} on ${host} since ${new Date(since).toISOString()}: ${why}`);
          for (const line of clockLines(clock)) printLine(`clock  ${line}`);
          for (const [name, { waiting, active, delayed }] of Object.entries(depth))
            printLine(`queue  ${name.padEnd(9)} ${waiting} waiting, ${active} active, ${delayed} delayed`);
          for (const [state, count] of Object.entries(messages))
            printLine(`state  ${state.padEnd(10)} ${count}`);
        }
        if (
          options.role !== undefined &&
          !alive.some(({ role, host }) => role === options.role && host === hostname())
        )
          throw new SealpostError('role-not-alive', `${options.role} is not alive on this machine`);
      });
    });
}

function clockLines({ jump, shortened, ahead }: ClockFacts): string[] {
  const lines: string[] = [];
  const time = (at: number) => new Date(at).toISOString();
  if (jump) lines.push(`of ${jump.of} jumped by ${jump.seconds} s at ${time(jump.at)}`);
  if (shortened)
    lines.push(
      `${shortened.keys} locks or leases would have lasted ${shortened.seconds} s too long; shortened at ${time(shortened.at)}`,
    );
  if (ahead !== null)
    lines.push(`of this machine and of Redis differ by ${Math.abs(ahead)} s; set both by NTP`);
  return lines;
}
