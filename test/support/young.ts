/** What outlives young collections without need: octets of V8's old generation. */
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');

function gc(type: 'major' | 'minor'): void {
  if (typeof collect !== 'function') throw new Error('V8 has no gc');
  Reflect.apply(collect, undefined, [{ type, execution: 'sync' }]);
}

const old = () =>
  getHeapSpaceStatistics().find(({ space_name: name }) => name === 'old_space')?.space_used_size ?? 0;

/**
 * Octets that a call of `work` leaves in the old generation, while young collections come and no full one. `rounds` of
 * ten calls come after a hundred that warm up.
 */
export async function leftOver(work: () => unknown, rounds = 30): Promise<number> {
  for (let at = 0; at < 100; at++) await work();
  gc('major');
  gc('major');
  const before = old();
  for (let round = 0; round < rounds; round++) {
    for (let at = 0; at < 10; at++) await work();
    // an object that survives two of them is moved
    gc('minor');
    gc('minor');
  }
  return (old() - before) / (rounds * 10);
}
