/** What is remembered of inbound messages besides their records: for duplicates of a partner, and for explanations. */
import { type DurableWrites, script } from '../redis/index.ts';
import { records } from './lua.ts';

/** Memory of a partner's messages. Each answer stays the same for the message that asks, however often it asks. */
export interface InboundGuards {
  /**
   * Remembers for a number of milliseconds what makes a message unlike others. Returns the id of the message that
   * already has it, or null. A message that ended without a hand-off gives it up. Errors: `redis-unreachable`,
   * `redis-full`.
   *
   * @param what letters and digits, at most 64
   */
  first(what: string, id: string, within: number): Promise<string | null>;
  /** Whether one more message may be explained to a partner now: at most `most` within 24 hours. Errors as above. */
  mayExplain(partner: string, id: string, most: number): Promise<boolean>;
}

/** Digest, id, milliseconds. Returns the id of the holder, which is the message itself if it is the first. */
const claim = script(
  records,
  `
local key, id = P .. ':dup:' .. ARGV[1], ARGV[2]
local holder = rcall('GET', key)
if holder and holder ~= id and rcall('HGET', record(holder), 's') ~= 'terminated' then return holder end
rcall('SET', key, id, 'PX', ARGV[3])
return id
`,
);

const day = 86_400_000;

/** Partner, id, now, most. Returns 1 if it may be explained. */
const allow = script(
  records,
  `
local key, id, now = P .. ':explained:' .. ARGV[1], ARGV[2], tonumber(ARGV[3])
if rcall('ZSCORE', key, id) then return 1 end
rcall('ZREMRANGEBYSCORE', key, '-inf', string.format('%.0f', now - ${day}))
if rcall('ZCARD', key) >= tonumber(ARGV[4]) then return 0 end
rcall('ZADD', key, ARGV[3], id)
rcall('PEXPIRE', key, ${day})
return 1
`,
);

export class RedisInboundGuards implements InboundGuards {
  readonly #writes: Pick<DurableWrites, 'run'>;
  readonly #now: () => number;

  constructor(writes: Pick<DurableWrites, 'run'>, now: () => number) {
    this.#writes = writes;
    this.#now = now;
  }

  async first(what: string, id: string, within: number): Promise<string | null> {
    const holder = await this.#writes.run(claim, [what, id, within], 'duplicates', []);
    return holder === id ? null : String(holder);
  }

  async mayExplain(partner: string, id: string, most: number): Promise<boolean> {
    return (await this.#writes.run(allow, [partner, id, this.#now(), most], 'explanations', [])) === 1;
  }
}
