/** Whether a process can work, and whether the installation as a whole does, for whoever asks over HTTP. */
import type { Config } from '../config/index.ts';
import type { QueueRoom } from '../queue/index.ts';
import { readHeartbeats } from './heartbeat.ts';
import { hasWork, roleNames } from './protocol.ts';

export interface Probed {
  ok: boolean;
  /** Why not, one sentence each; nothing that is secret. */
  problems: string[];
}

/** Milliseconds: Redis has to answer. */
const patience = 2000;

/** This process can do its work: Redis answers. */
export async function probeSelf({ redis }: Pick<QueueRoom, 'redis'>): Promise<Probed> {
  const ok = await answers(redis);
  return { ok, problems: ok ? [] : ['Redis does not answer'] };
}

/** Every role that has something to do has a process, and none refuses what is new. */
export async function probeAll(queue: QueueRoom, config: Config): Promise<Probed> {
  const self = await probeSelf(queue);
  if (!self.ok) return self;
  const beats = await readHeartbeats(queue);
  const missing = roleNames.filter(
    (role) => hasWork(role, config) && !beats.some((beat) => beat.role === role),
  );
  const problems = [
    ...missing.map((role) => `no process of the role ${role} is there`),
    ...new Set(beats.flatMap(({ refusing }) => (refusing === null ? [] : [refusing]))),
  ];
  return { ok: problems.length === 0, problems };
}

async function answers(redis: QueueRoom['redis']): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), patience);
  });
  try {
    return await Promise.race([
      redis.ping().then(
        () => true,
        () => false,
      ),
      late,
    ]);
  } finally {
    clearTimeout(timer);
  }
}
