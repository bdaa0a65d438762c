import { Session } from 'node:inspector';

/** Which blocks of our sources ran: V8's own coverage, so the fuzzer needs no native engine. */
export class Coverage {
  // One for all: after a new one the engine counts functions that it has compiled as a whole, not their blocks.
  readonly #session = begin();
  readonly #seen = new Set<string>();

  get blocks(): number {
    return this.#seen.size;
  }

  /** Blocks that ran since the last call and never before; they count as seen from now on. */
  news(): number {
    let fresh = 0;
    this.#session.post('Profiler.takePreciseCoverage', (error, taken) => {
      if (error !== null) throw error;
      for (const script of taken.result) {
        if (!/\/src\/(?:asn1|cms|message|pki|smime)\//.test(script.url)) continue;
        for (const { ranges } of script.functions) {
          for (const { startOffset, endOffset, count } of ranges) {
            const key = `${script.scriptId}:${startOffset}:${endOffset}`;
            if (count === 0 || this.#seen.has(key)) continue;
            this.#seen.add(key);
            fresh++;
          }
        }
      }
    });
    return fresh;
  }
}

function begin(): Session {
  const session = new Session();
  session.connect();
  session.post('Profiler.enable');
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  return session;
}
