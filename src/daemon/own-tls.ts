/** Tells the other processes which certificates for TLS a role has: it may be the only one that may read them. */
import { type Config, publishTls } from '../config/index.ts';
import type { QueueRoom } from '../queue/index.ts';
import { sealedValues } from '../redis/index.ts';
import { Rounds } from '../rounds.ts';

/** Milliseconds: files may be renewed meanwhile. */
const every = 3_600_000;

export function tellTls({ queue, config }: { queue: QueueRoom; config: Config }, role: string): Rounds {
  const values = sealedValues(queue, 'tls');
  // Redis is away: the next round tells.
  const rounds = new Rounds({
    every,
    work: () => publishTls(values, config, role),
    onFailure: () => undefined,
  });
  rounds.start();
  return rounds;
}
