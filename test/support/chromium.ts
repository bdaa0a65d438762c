/** Debian's Chromium, driven by playwright-core. One for all tests of a file. */
import { existsSync } from 'node:fs';
import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import type { Browser as Visitor } from './console.ts';

const places = ['/usr/bin/chromium', '/usr/bin/chromium-browser'];
const program = places.find((place) => existsSync(place));

/** For `describe`: in CI a missing browser fails, elsewhere it skips with a word. */
export const skipWithoutChromium: string | false =
  program === undefined && process.env.CI !== 'true' ? 'there is no chromium (apt install chromium)' : false;

export async function startChromium(): Promise<Browser> {
  if (program === undefined) throw new Error('there is no chromium: apt install chromium');
  return await chromium.launch({
    executablePath: program,
    // the tests run as root in a container, and show pages of their own alone
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
}

/** The cookies of somebody who has logged in, for a browser. */
export function cookiesOf({ cookies }: Visitor) {
  return [...cookies].map(([name, value]) => ({
    ...{ name, value, domain: '127.0.0.1', path: '/' },
    secure: name.startsWith('__Host-'),
  }));
}

/** What axe-core finds on a page, in words: the rule, and where. */
export async function findingsOf(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const found: unknown = await page.evaluate(
    "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes.slice(0, 3).map(({ target, failureSummary }) => target.join(' ') + ' ' + failureSummary).join(' | ')))",
  );
  return Array.isArray(found) ? found.map(String) : ['axe did not run'];
}
