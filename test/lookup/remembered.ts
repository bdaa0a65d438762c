import type { SealedValues } from '../../src/redis/index.ts';

/** Values in memory, and how often one was put. */
export function rememberedValues(): SealedValues & { puts: number } {
  const values = new Map<string, unknown>();
  return {
    puts: 0,
    async get(name) {
      return values.get(name);
    },
    async put(name, value) {
      this.puts += 1;
      values.set(name, structuredClone(value));
    },
  };
}
