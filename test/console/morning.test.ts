/**
 * A morning: a partner's certificate has expired overnight, 14 messages are suspended, and an alert came. Somebody
 * finds them, approves the new certificate, previews and replays; everything is sent, and the alert ends.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Browser as Chromium, Page } from 'playwright-core';
import { cookiesOf, skipWithoutChromium, startChromium } from '../support/chromium.ts';
import { startConsole, type TestConsole } from '../support/console.ts';
import { makeWorld, skipWithout, textEntity } from '../support/world.ts';

describe('a morning in the console', {
  skip: skipWithoutChromium || skipWithout('openssl'),
  timeout: 1_800_000,
}, () => {
  const world = makeWorld();
  const day = 86_400_000;
  const out = join(world.folder, 'out');
  let room: TestConsole;
  let chromium: Chromium;
  let page: Page;
  before(async () => {
    mkdirSync(out);
    const expired = world.party('edi@partner.example', {
      notBefore: new Date(Date.now() - 400 * day),
      notAfter: new Date(Date.now() - day / 3),
    });
    room = await startConsole(world, {
      args: ['--only', 'console,receive,decrypt,handoff,outbound'],
      config: {
        alerts: { every: '1s' },
        retry: { attempts: 3, onKeys: { enabled: false } },
        partners: [
          {
            ...{ name: 'acme', addresses: ['edi@partner.example'], certificates: [expired.certFile] },
            ...{ identity: 'own', from: 'orders@own.example', route: { folder: out } },
          },
        ],
      },
    });
    const { browser } = await room.person('olga', 'operator');
    chromium = await startChromium();
    const context = await chromium.newContext({ baseURL: room.url });
    context.setDefaultTimeout(120_000);
    await context.addCookies(cookiesOf(browser));
    page = await context.newPage();
  });
  after(async () => {
    await chromium?.close();
    await room?.daemon.stop();
    world.remove();
  });

  it('ends with everything sent and nothing that needs a person', async () => {
    const { daemon } = room;
    // Overnight: what the other programs submit cannot be encrypted, and acme's first mail with its new key comes.
    const files = Array.from({ length: 14 }, (_, at) => world.file(`order${at}.edi`, `order ${at}`));
    const ids: string[] = [];
    for (const file of files) {
      const ran = await daemon.command(['send', '--partner', 'acme', file]);
      assert.equal(ran.code, 0, ran.stderr);
      ids.push(ran.stdout.toString().trim());
    }
    for (const id of ids) assert.equal((await daemon.reaches(id, 'suspended')).reason, 'encode-recipient');
    const next = world.party('edi@partner.example', { freshKey: true });
    await daemon.accept(world.mail(textEntity('signed with our new key'), { signer: next }));
    await daemon.waitFor('the new certificate waits', async () => {
      await page.goto('/partners');
      return (await page.locator('section.why').count()) === 1;
    });

    // The first look: the alert, the messages, the certificate.
    const needs = page.locator('#needs');
    await daemon.waitFor('the alert is on the page', async () => {
      await page.goto('/');
      return /14 messages [^.]*wait for a person/.test((await needs.textContent()) ?? '');
    });
    await needs.getByRole('link', { name: '14 messages' }).click();
    await page.waitForURL(/\/suspended/);
    assert.match((await page.locator('main').textContent()) ?? '', /What next:/);

    // The certificate is compared and approved. The login was just now, so it counts as proof.
    await page.goto('/partners');
    await page.locator('section.why a').first().click();
    await page.waitForURL(/\/certificates\//);
    assert.match((await page.locator('main').textContent()) ?? '', new RegExp(next.certificate.thumbprint));
    await page.locator('form[action$="/approve"] input[name=why]').fill('compared by telephone');
    await page.getByRole('button', { name: 'Approve' }).click();
    await page.waitForURL(/did=approve/);

    // What would be replayed is seen first.
    const replay = page.getByRole('button', { name: 'Replay 14 messages' });
    await daemon.waitFor('all would go on', async () => {
      await page.goto('/replay?reason=encode-recipient');
      return (await replay.count()) === 1;
    });
    assert.deepEqual(readdirSync(out), [], 'a preview sends nothing');
    await replay.click();
    await page.waitForURL(/done=14/);
    for (const id of ids) await daemon.reaches(id, 'sent');
    assert.equal(readdirSync(out).filter((name) => name.endsWith('.eml')).length, 14);

    await daemon.waitFor('nothing needs a person', async () => {
      await page.goto('/');
      return (await needs.textContent())?.includes('Nothing needs you');
    });
    const [approved] = (await daemon.queue.audit.list({})).filter(
      ({ what }) => what === 'certificate-approve',
    );
    assert.deepEqual(
      [approved?.subject, approved?.why],
      [next.certificate.thumbprint, 'compared by telephone'],
    );
    assert.match(approved?.by ?? '', /^person olga, console/);
  });
});
