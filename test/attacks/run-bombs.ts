import { Budget } from '../../src/budget.ts';
import { decodeSync } from '../../src/smime/index.ts';
import { bombs } from './bombs.ts';
import { options } from './support.ts';

/** Prints what each bomb does to the decoder. Run by `s10-asn1-bombs.test.ts`, with a small heap. */
const found = [];
const megabytes = () => Math.round(process.memoryUsage.rss() / (1 << 20));
const idle = megabytes();
let most = idle;
for (const [name, octets] of Object.entries(bombs)) {
  const budget = new Budget();
  const { verdict } = decodeSync(octets, { ...options, budget });
  most = Math.max(most, megabytes());
  const { spent, produced } = budget;
  found.push({ name, status: verdict.status, code: verdict.error?.code ?? null, spent, produced });
}
process.stdout.write(JSON.stringify({ bombs: found, megabytes: most, idle }));
