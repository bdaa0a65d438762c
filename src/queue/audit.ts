/** The audit trail. Acts on messages are recorded by the scripts, in the same step as the act. */
import type { Redis } from 'ioredis';
import { guarded } from '../redis/index.ts';
import type { Keys } from './keys.ts';
import { auditLine } from './ledger.ts';
import type { Audit, AuditEntry, AuditQuery } from './types.ts';

const batch = 500;

export class RedisAudit implements Audit {
  #redis: Redis;
  #keys: Keys;

  constructor(redis: Redis, keys: Keys) {
    this.#redis = redis;
    this.#keys = keys;
  }

  async add(entry: AuditEntry): Promise<void> {
    await guarded('audit', this.#redis.xadd(this.#keys.audit, '*', 'j', auditLine(entry)));
  }

  async list({ since = 0, until, by, id, limit = 100 }: AuditQuery): Promise<AuditEntry[]> {
    const found: AuditEntry[] = [];
    // Ids of a stream start with the server's time in milliseconds.
    let end = until === undefined ? '+' : String(Math.max(0, until - 1));
    for (;;) {
      const page = await guarded(
        'audit',
        this.#redis.xrevrange(this.#keys.audit, end, String(Math.max(0, since)), 'COUNT', batch),
      );
      for (const [streamId, [, line]] of page) {
        end = `(${streamId}`;
        const entry: AuditEntry = JSON.parse(line ?? '');
        if ((by !== undefined && entry.by !== by) || (id !== undefined && entry.id !== id)) continue;
        found.push(entry);
        if (found.length === limit) return found;
      }
      if (page.length < batch) return found;
    }
  }
}
