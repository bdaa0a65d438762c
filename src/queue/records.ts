/**
 * Read-only access to the records of an installation: ledger and audit trail over one connection, without the queues,
 * the spool and its key. Loading all of those takes longer than most queries. The key is read with the first subject.
 */
import { type Config, PartnerNames } from '../config/index.ts';
import type { Log } from '../log.ts';
import { connect, disconnect, privateServerUrl, ready, redisTarget } from '../redis/index.ts';
import { RedisAudit } from './audit.ts';
import { keysOf } from './keys.ts';
import { RedisLedger } from './ledger.ts';
import type { Ledger } from './ledger-types.ts';
import type { Subjects } from './subjects.ts';
import type { Audit } from './types.ts';

export interface Records {
  ledger: Ledger;
  audit: Audit;
  close(): Promise<void>;
}

export interface RecordsOptions {
  role: string;
  log: Log;
}

/** Errors: `redis-unreachable`, `config-invalid`, `file-access`, `file-mode`. */
export async function openRecords(config: Config, { role, log }: RecordsOptions): Promise<Records> {
  const url = config.redis.url ?? (await privateServerUrl(config.dataDir));
  const target = redisTarget(config.redis, url);
  const redis = connect(target, 'producer', log, role);
  try {
    await ready(redis, target);
  } catch (error) {
    await disconnect(redis);
    throw error;
  }
  const keys = keysOf(config.redis.prefix);
  return {
    ledger: new RedisLedger(redis, keys, new PartnerNames(config.partners), () => subjectsWith(config)),
    audit: new RedisAudit(redis, keys),
    close: () => disconnect(redis),
  };
}

/** Errors: `config-invalid`, `file-access`, `file-mode`. */
async function subjectsWith({ spool, dataDir }: Config): Promise<Subjects> {
  const [{ loadSpoolKey, openValue, sealValue }, { subjectsOf }] = await Promise.all([
    import('../spool/index.ts'),
    import('./subjects.ts'),
  ]);
  const key = await loadSpoolKey(spool, dataDir);
  return subjectsOf({
    seal: (context, value) => sealValue(key, context, value),
    unseal: (context, sealed) => openValue(key, context, sealed),
  });
}
