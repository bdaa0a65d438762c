/** The audit trail. Acts on messages are recorded by the scripts, in the same step as the act. */
import type { Redis } from 'ioredis';
import { SealpostError } from '../errors.ts';
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

  async list(query: AuditQuery): Promise<AuditEntry[]> {
    return (await this.page(query)).entries;
  }

  async page({
    since = 0,
    until,
    by,
    id,
    limit = 100,
    cursor,
  }: AuditQuery): Promise<{ entries: AuditEntry[]; cursor: string | null }> {
    const found: AuditEntry[] = [];
    // Ids of a stream start with the server's time in milliseconds.
    let end = until === undefined ? '+' : String(Math.max(0, until - 1));
    if (cursor !== undefined) {
      const [, time, number] = /^(\d{1,15})-(\d{1,15})$/.exec(cursor) ?? [];
      if (time === undefined) throw new SealpostError('usage', 'the cursor is not one that a list returned');
      if (until === undefined || Number(time) < until) end = `(${time}-${number}`;
    }
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
        if (found.length === limit) return { entries: found, cursor: streamId };
      }
      if (page.length < batch) return { entries: found, cursor: null };
    }
  }
}
