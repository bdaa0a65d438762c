/** Passkeys in a real browser, with Chromium's virtual authenticator: made, used in each way, and removed. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Browser as Chromium, Page } from 'playwright-core';
import { cookiesOf, findingsOf, skipWithoutChromium, startChromium } from '../support/chromium.ts';
import { type ConsoleRoom, password, type Somebody, startConsoleRoom } from '../support/console.ts';
import { freePort } from '../support/net.ts';
import { skipWithout } from '../support/world.ts';

const shots = process.env.SEALPOST_SHOTS;

describe('passkeys in a browser', {
  skip: skipWithoutChromium || skipWithout('redis-server'),
  timeout: 1_800_000,
}, () => {
  let room: ConsoleRoom;
  let chromium: Chromium;
  let ada: Somebody;
  let page: Page;
  let baseURL: string;
  /** Says whether the person has shown a finger or a PIN. */
  let verify: (isVerified: boolean) => Promise<void>;
  let forget: () => Promise<void>;
  const errors: string[] = [];

  before(async () => {
    const port = await freePort();
    baseURL = `http://localhost:${port}`;
    room = await startConsoleRoom({ port, publicUrl: baseURL, stepUp: '1h' });
    ada = await room.person('ada', 'administrator');
    chromium = await startChromium();
    const context = await chromium.newContext({ baseURL, viewport: { width: 1280, height: 760 } });
    context.setDefaultTimeout(120_000);
    await context.addCookies(cookiesOf(ada.browser).map((each) => ({ ...each, domain: 'localhost' })));
    page = await context.newPage();
    page.on('pageerror', (error) => errors.push(String(error)));
    const session = await context.newCDPSession(page);
    await session.send('WebAuthn.enable');
    const { authenticatorId } = await session.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        ...{ protocol: 'ctap2', ctap2Version: 'ctap2_1', transport: 'internal' },
        ...{ hasResidentKey: true, hasUserVerification: true, isUserVerified: true },
        automaticPresenceSimulation: true,
      },
    });
    verify = async (isUserVerified) => {
      await session.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified });
    };
    forget = async () => {
      await session.send('WebAuthn.clearCredentials', { authenticatorId });
    };
  });
  after(async () => {
    await chromium?.close();
    await room?.stop();
  });

  const picture = async (name: string) => {
    if (shots !== undefined) await page.screenshot({ path: join(shots, `${name}.png`) });
  };
  const press = async (name: string) => {
    await page.getByRole('button', { name }).focus();
    await page.keyboard.press('Enter');
  };
  const logout = async () => {
    await press('Log out');
    await page.waitForURL(/\/login$/);
  };
  const audit = async () => (await room.queue.audit.list({ limit: 1 }))[0]?.what;

  it('are made, with the keyboard alone', async () => {
    await page.goto('/account');
    assert.deepEqual(await findingsOf(page), []);
    await page.locator('#field-name').focus();
    await page.keyboard.type('work laptop');
    await press('Make a passkey');
    await page.waitForURL(/passkeys\/new$/);
    assert.deepEqual(await findingsOf(page), []);
    await picture('passkey-new');
    await press('Go on');
    await page.waitForURL(/did=passkey$/);
    assert.equal(
      await page.locator('[role=status]').textContent(),
      'The passkey is there. Log in with it the next time.',
    );
    assert.match((await page.locator('tbody').textContent()) ?? '', /work laptop/);
    assert.deepEqual(await findingsOf(page), []);
    await picture('account');
    assert.equal(await audit(), 'passkey-add');
    // one for this device is enough
    await page.locator('#field-name').fill('again');
    await press('Make a passkey');
    await page.waitForURL(/passkeys\/new$/);
    await press('Go on');
    await page.getByText('This device has a passkey of yours already.').waitFor();
  });

  it('log in alone, without a word typed', async () => {
    await page.goto('/');
    await logout();
    assert.deepEqual(await findingsOf(page), []);
    await picture('login');
    await press('Log in with a passkey');
    await page.waitForURL(`${baseURL}/`);
    assert.match((await page.locator('.who').textContent()) ?? '', /ada/);
    assert.equal(await audit(), 'login');
  });

  it('log in beside a password where nothing was verified, and not alone then', async () => {
    await verify(false);
    await logout();
    await press('Log in with a passkey');
    await page.getByText('Nothing was done').waitFor();
    await page.getByLabel('Name').fill('ada');
    await page.getByLabel('Password').fill('not the password');
    await press('Log in with password and passkey');
    await page.getByText('The passkey was not accepted.').waitFor();
    await page.getByLabel('Name').fill('ada');
    await page.getByLabel('Password').fill(password);
    await press('Log in with password and passkey');
    await page.waitForURL(`${baseURL}/`);
    await verify(true);
  });

  it('confirm a grave act, which is done then', async () => {
    await page.goto('/account');
    room.ahead += 61 * 60_000;
    await page.getByRole('button', { name: 'Remove work laptop' }).focus();
    await page.keyboard.press('Enter');
    await page.getByText('Nothing has been done yet').waitFor();
    await picture('step-up');
    await press('Confirm with a passkey');
    await page.waitForURL(/did=passkey-removed$/);
    assert.equal(await audit(), 'passkey-remove');
    await room.registry.refresh();
    assert.deepEqual(room.registry.byName('ada')?.passkeys, []);
    await logout();
    await press('Log in with a passkey');
    await page.getByText('The passkey was not accepted.').waitFor();
    await forget();
    await press('Log in with a passkey');
    await page.getByText('Nothing was done').waitFor();
    assert.deepEqual(errors, []);
  });

  it('are not spoken of without scripts', async () => {
    const context = await chromium.newContext({ baseURL, javaScriptEnabled: false });
    const plain = await context.newPage();
    await plain.goto('/login');
    assert.equal(await plain.getByRole('button').count(), 1);
    await context.close();
  });
});
