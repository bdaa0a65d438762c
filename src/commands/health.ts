import { hostname } from 'node:os';
import { Command } from 'commander';
import { loadConfig } from '../config/load.ts';
import { readHeartbeats } from '../daemon/heartbeat.ts';
import { roleNames } from '../daemon/protocol.ts';
import { SealpostError } from '../errors.ts';
import type { ClockFacts } from '../queue/index.ts';
import { configOption } from './options.ts';
import { withQueue } from './queue.ts';

interface HealthOptions {
  config: string;
  role?: string;
  json?: boolean;
}

export function healthCommand(): Command {
  return new Command('health')
    .description(
      'say which roles are alive and how much waits; exit code 1 when Redis or the role asked for does not answer',
    )
    .addOption(configOption())
    .option('--role <role>', 'this role must be alive on this machine')
    .option('--json', 'print JSON')
    .action(async (options: HealthOptions) => {
      if (options.role !== undefined && !roleNames.some((name) => name === options.role))
        throw new SealpostError('usage', `--role: there is no role ${JSON.stringify(options.role)}`, {
          hint: `roles are ${roleNames.join(', ')}`,
        });
      await withQueue(loadConfig(options.config), async (queue) => {
        const [alive, depth, messages, clock] = [
          await readHeartbeats(queue),
          await queue.queues.depth(),
          await queue.ledger.count(),
          await queue.clock(),
        ];
        if (options.json) process.stdout.write(`${JSON.stringify({ alive, depth, messages, clock })}\n`);
        else {
          for (const { role, host, pid } of alive)
            process.stdout.write(`alive  ${role.padEnd(9)} ${host} process ${pid}\n`);
          // Every process looks by itself; those of one machine see the same.
          for (const reason of new Set(alive.map(({ host, refusing }) => refusing && `${host}: ${refusing}`)))
            if (reason) process.stdout.write(`refuses  ${reason}\n`);
          for (const line of clockLines(clock)) process.stdout.write(`clock  ${line}\n`);
          for (const [name, { waiting, active, delayed }] of Object.entries(depth))
            process.stdout.write(
              `queue  ${name.padEnd(9)} ${waiting} waiting, ${active} active, ${delayed} delayed\n`,
            );
          for (const [state, count] of Object.entries(messages))
            process.stdout.write(`state  ${state.padEnd(10)} ${count}\n`);
        }
        if (
          options.role !== undefined &&
          !alive.some(({ role, host }) => role === options.role && host === hostname())
        )
          throw new SealpostError(
            'redis-unreachable',
            `${options.role} gives no sign of life on this machine`,
          );
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
