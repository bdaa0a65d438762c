/**
 * The pages of the console in a real browser, as people of each role: seen, acted on, without scripts, mouse or room.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { BrowserContext, Browser as Chromium, Locator, Page } from 'playwright-core';
import { cookiesOf, findingsOf, skipWithoutChromium, startChromium } from '../support/chromium.ts';
import { type Browser, startConsole, type TestConsole } from '../support/console.ts';
import { makeWorld, skipWithout, textEntity } from '../support/world.ts';

/** Where pictures for the documents go; none are taken without it. */
const shots = process.env.SEALPOST_SHOTS;

const hostile =
  '<script>document.title="owned"</script><img src=x onerror="document.title=1">\u202egpj.exe\u001b[31m';

describe('the pages of the console', {
  skip: skipWithoutChromium || skipWithout('openssl'),
  timeout: 1_800_000,
}, () => {
  const world = makeWorld();
  let room: TestConsole;
  let chromium: Chromium;
  let viewer: Browser;
  let operator: Browser;
  let administrator: Browser;
  let suspended: string;
  let delivered: string;
  /** Decoded, and not handed off: its content is kept. */
  let waiting: string;
  /** The path of a certificate that waits for approval. */
  let certificate: string;

  before(async () => {
    const secret = { file: world.file('hook.secret', 'a secret of the web hook') };
    room = await startConsole(world, {
      args: ['--only', 'console,receive,decrypt,handoff,outbound'],
      // A login is fresh for the whole file, however slow the machine is.
      console: { secondFactor: false, stepUp: '2h' },
      config: {
        mailboxes: [
          {
            ...{ name: 'orders', addresses: ['orders@own.example'] },
            destinations: [{ type: 'directory', path: join(world.folder, 'inbox') }],
          },
          {
            ...{ name: 'invoices', addresses: ['invoices@own.example'] },
            destinations: [{ type: 'webhook', url: 'http://127.0.0.1:9/in', allowPrivate: true, secret }],
          },
        ],
        partners: [
          {
            ...{
              name: 'acme',
              addresses: ['edi@partner.example'],
              certificates: [world.partner.certFile],
              identity: 'own',
            },
            ...{ from: 'orders@own.example', route: { host: '127.0.0.1', port: 9, tls: 'none' } },
          },
          {
            ...{ name: 'globex', addresses: ['edi@globex.example'], encrypt: false, sign: 'none' },
            ...{ from: 'orders@own.example', route: { host: '127.0.0.1', port: 9, tls: 'none' } },
          },
        ],
        retry: { attempts: 30, firstDelay: '1h', maxDelay: '1h' },
        retention: { original: '1d' },
      },
    });
    const { daemon } = room;
    delivered = await daemon.accept(world.mail(textEntity('an order')));
    await daemon.reaches(delivered, 'delivered');
    const plain = (text: string) =>
      Buffer.from(`From: edi@partner.example\r\nSubject: ${hostile}\r\n\r\n${text}\r\n`);
    suspended = await daemon.accept(plain('one'));
    await daemon.accept(plain('two'));
    await daemon.reaches(suspended, 'suspended');
    const next = world.party('edi@partner.example', { freshKey: true });
    const renewed = world.mail(textEntity('an invoice'), { signer: next });
    waiting = await daemon.accept(renewed, { to: ['invoices@own.example'] });
    await daemon.waitFor('an attempt failed', async () =>
      (await daemon.queue.ledger.get(waiting))?.events.some(({ type }) => type === 'retried'),
    );
    ({ browser: viewer } = await room.person('vera', 'viewer'));
    ({ browser: operator } = await room.person('olga', 'operator', '--content'));
    ({ browser: administrator } = await room.person('ada', 'administrator', '--content'));
    const grants = [
      '--scope',
      'send,read',
      '--partner',
      'acme',
      '--mailbox',
      'orders',
      '--sender',
      '@own.example',
    ];
    const made = await daemon.command(['tokens', 'add', 'erp', ...grants, '--note', 'the ERP system']);
    assert.equal(made.code, 0, made.stderr);
    chromium = await startChromium();
    certificate = await daemon.waitFor(
      'the new certificate waits',
      async () =>
        /<section class="why">.*?href="(\/certificates\/[^"]+)"/s.exec(
          (await viewer.get('/partners')).text,
        )?.[1],
    );
  });
  after(async () => {
    await chromium?.close();
    await room?.daemon.stop();
    world.remove();
  });

  const open = async (
    who: Browser,
    options: Parameters<Chromium['newContext']>[0] = {},
  ): Promise<BrowserContext> => {
    const context = await chromium.newContext({ baseURL: room.url, ...options });
    // a busy machine is slow, and no page is wrong for that
    context.setDefaultTimeout(120_000);
    await context.addCookies(cookiesOf(who));
    return context;
  };
  /** For everybody, for those who act, and for administrators. */
  const looks = () => [
    '/',
    '/messages',
    `/messages/${suspended}`,
    `/messages/${delivered}`,
    `/messages/${waiting}`,
    certificate,
    '/suspended',
    '/partners',
    '/partners/acme',
    '/routes',
    '/alerts',
    '/setup',
  ];
  const acts = ['/suspended/preview?act=terminate&reason=not-smime', '/replay'];
  const text = () => `/messages/${waiting}/text`;
  const rights = ['/account', '/users', '/users/olga', '/clients', '/clients/erp'];
  /** Errors of scripts, and what the policy for content refused. */
  const listen = (page: Page): string[] => {
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error') errors.push(message.text());
    });
    return errors;
  };
  const picture = async (page: Page, name: string) => {
    if (shots === undefined) return;
    await page.waitForTimeout(300);
    await page.screenshot({ path: join(shots, `${name}.png`) });
  };
  const nameOf = (path: string) =>
    path
      .replace(/\?.*/, '')
      .split('/')
      .filter(Boolean)
      .slice(0, 3)
      .join('-')
      .replace(suspended, 'suspended')
      .replace(delivered, 'delivered')
      .replace(waiting, 'waiting')
      .replace(/^certificates-.*/, 'certificate') || 'now';
  /** Ids that stand twice, and fields that do not say what they are, and what counts if they are left alone. */
  const lacks = `(() => {
    const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
    const twice = ids.filter((id, at) => ids.indexOf(id) !== at);
    const fields = 'main input:not([type=hidden], [type=checkbox], [autocomplete]), main select, main fieldset';
    const silent = [...document.querySelectorAll(fields)].filter((each) => {
      const said = document.getElementById(each.getAttribute('aria-describedby') ?? '')?.textContent ?? '';
      return each.required ? said.length < 4 : !/^.+ Default: .+\\./.test(said);
    });
    return [...twice, ...silent.map(({ id, className }) => id + className)];
  })()`;

  const wide = { colorScheme: 'light', viewport: { width: 1280, height: 900 } } as const;
  const phone = { colorScheme: 'dark', viewport: { width: 390, height: 844 } } as const;
  /** Each page, in a window and on a phone: what axe-core finds in one of them, and whether it fits. */
  async function walk(who: Browser, paths: readonly string[], axe: 'wide' | 'phone' | 'both'): Promise<void> {
    const context = await open(who, wide);
    const page = await context.newPage();
    const errors = listen(page);
    for (const path of paths) {
      await page.emulateMedia({ colorScheme: wide.colorScheme });
      await page.setViewportSize(wide.viewport);
      await page.goto(path);
      assert.ok((await page.title()).endsWith(' - Sealpost'), path);
      assert.deepEqual(await page.evaluate(lacks), [], path);
      if (axe === 'wide' || axe === 'both') assert.deepEqual(await findingsOf(page), [], path);
      await picture(page, `${nameOf(path)}-light`);
      await page.emulateMedia({ colorScheme: phone.colorScheme });
      await page.setViewportSize(phone.viewport);
      const over = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';
      assert.equal(await page.evaluate(over), 0, `${path} is wider than a phone`);
      if (axe === 'phone' || axe === 'both')
        assert.deepEqual(await findingsOf(page), [], `${path} on a phone`);
      await picture(page, `${nameOf(path)}-dark`);
    }
    assert.deepEqual(errors, []);
    await context.close();
  }

  it('are without findings of axe-core and errors for an operator, light, and fit a phone in the dark', () =>
    walk(operator, [...looks(), ...acts, text()], 'wide'));
  it('the same for a viewer, who finds on none of them what it may not do', async () => {
    await walk(viewer, looks(), 'phone');
    const context = await open(viewer);
    const page = await context.newPage();
    for (const path of [...acts, text(), ...rights.slice(1)])
      assert.equal((await page.goto(path))?.status(), 403, path);
    await context.close();
  });
  it('the same for an administrator, with people, clients and tokens', async () => {
    // what a check finds is on the page, too
    const check = async (who: Browser) => {
      await who.get('/setup');
      return (await who.post('/setup/check', {})).status;
    };
    assert.equal(await check(operator), 403);
    assert.ok(!(await operator.get('/setup')).text.includes('Check now'));
    assert.equal(await check(administrator), 303);
    await room.daemon.waitFor('the answer of the check', async () =>
      /<h3><bdi>[^<]+<\/bdi>: [^<]*console/.test((await administrator.get('/setup')).text),
    );
    await walk(administrator, rights, 'both');
    await walk(administrator, [...looks(), ...acts], 'wide');
  });
  it('the same for somebody who comes, and who has to show again who it is', async () => {
    const context = await chromium.newContext({ ...phone, baseURL: room.url });
    context.setDefaultTimeout(120_000);
    const page = await context.newPage();
    for (const path of ['/login', '/welcome']) {
      await page.goto(path);
      assert.deepEqual(await findingsOf(page), [], path);
      await picture(page, `${nameOf(path)}-dark`);
    }
    await context.close();
    await walk(operator, ['/step-up?to=/'], 'both');
  });

  it('lead to each link, field and button with the Tab key, and show where that is', async () => {
    const context = await open(administrator, { ...wide, javaScriptEnabled: false });
    const page = await context.newPage();
    const places = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]';
    // what is folded is opened by its summary, which is one of them
    const number = `(() => {
      for (const each of document.querySelectorAll('details')) each.open = true;
      const all = [...document.querySelectorAll('${places}')].filter((each) => each.checkVisibility());
      all.forEach((each, at) => each.setAttribute('data-at', at));
      return all.length;
    })()`;
    const here = `(() => {
      const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
      const seen = outlineStyle !== 'none' && outlineWidth !== '0px';
      return [document.activeElement.getAttribute('data-at') ?? '', seen ? '' : document.activeElement.outerHTML];
    })()`;
    for (const path of [...looks(), ...acts, text(), ...rights]) {
      await page.goto(path);
      const all = Number(await page.evaluate(number));
      assert.ok(all > 10, path);
      const reached = new Set<string>();
      for (let at = 0; at < all + 50 && reached.size < all; at++) {
        await page.keyboard.press('Tab');
        const [place = '', unseen = ''] = (await page.evaluate<string[]>(here)) ?? [];
        assert.equal(unseen, '', path);
        if (place !== '') reached.add(place);
      }
      assert.equal(reached.size, all, path);
    }
    await context.close();
  });

  it('find what a broken page has', async () => {
    const context = await open(operator);
    const page = await context.newPage();
    await page.goto('/messages');
    await page.evaluate("document.querySelector('label').remove()");
    assert.match((await findingsOf(page)).join(), /label/);
    await context.close();
  });

  it('are of use without scripts: a message is found and ended, with the keyboard alone', async () => {
    const context = await open(operator, { javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto('/messages');
    await page.keyboard.press('Tab');
    const skip = page.locator('.skip');
    assert.equal(await skip.evaluate((each) => each === each.ownerDocument.activeElement), true);
    await page.locator('#field-state').focus();
    await page.keyboard.type('suspended');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.waitForURL(/state=suspended/);
    const first = page.locator('tbody a').first();
    await first.focus();
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/messages\/i/);
    const id = new URL(page.url()).pathname.split('/').at(-1) ?? '';
    const form = page.locator(`form[action="/messages/${id}/terminate"]`);
    await form.locator('input[name=why]').focus();
    await page.keyboard.type('not for us');
    await page.keyboard.press('Enter');
    // Ended by a person who has shown who it is just now: the login counts.
    await page.waitForURL(/did=terminate/);
    assert.equal(await page.locator('[role=status]').textContent(), 'It is terminated.');
    const record = await room.daemon.queue.ledger.get(id);
    assert.equal(record?.state, 'terminated');
    const [entry] = await room.daemon.queue.audit.list({ id });
    assert.deepEqual([entry?.what, entry?.why], ['terminate', 'not for us']);
    assert.match(entry?.by ?? '', /^person olga, console/);
    await context.close();
  });

  /** Presses Tab until that has the focus. */
  const tabTo = async (page: Page, to: Locator) => {
    await to.waitFor();
    for (let at = 0; at < 300; at++) {
      await page.keyboard.press('Tab');
      if (await to.evaluate((each) => each === each.ownerDocument.activeElement)) return;
    }
    assert.fail(`Tab does not lead to ${to}`);
  };
  const press = async (page: Page, to: Locator, text?: string) => {
    await tabTo(page, to);
    if (text === undefined) return await page.keyboard.press('Enter');
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.type(text);
  };
  const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });

  it('are of use without scripts: a person is added, disabled and removed, with the keyboard alone', async () => {
    const context = await open(administrator, { javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto('/users');
    await press(page, page.locator('#field-name'), 'kay');
    await press(page, page.locator('#field-role'), 'operator');
    await press(page, page.locator('#field-mailboxes'), 'orders');
    await press(page, button(page, 'Add, and show the invitation'));
    await page.getByText('kay is added').first().waitFor();
    const listed = async () => {
      const { stdout } = await room.daemon.command(['users', 'list', '--json']);
      return JSON.parse(stdout.toString()).find(({ name }: { name: string }) => name === 'kay');
    };
    const { role, mailboxes, disabled } = await listed();
    assert.deepEqual([role, mailboxes, disabled], ['operator', ['orders'], false]);
    await page.goto('/users');
    await press(page, page.locator('a[href="/users/kay"]'));
    await page.waitForURL(/\/users\/kay$/);
    await press(page, button(page, 'Disable'));
    await page.waitForURL(/did=disable/);
    assert.equal((await listed()).disabled, true);
    await press(page, button(page, 'Remove'));
    await page.waitForURL(/did=user-removed/);
    assert.equal(await listed(), undefined);
    await context.close();
  });

  it('are of use without scripts: a client is added, its token made and revoked, and it removed, with the keyboard alone', async () => {
    const context = await open(administrator, { javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto('/clients');
    await press(page, page.locator('#field-name'), 'crm');
    await press(page, page.locator('#field-partners'), 'acme');
    await press(page, button(page, 'Add the client'));
    await page.waitForURL(/\/clients\/crm\?did=/);
    await press(page, page.locator('#field-note'), 'by hand');
    await press(page, button(page, 'Make it, and show it'));
    await page.waitForURL(/\/clients\/crm\/tokens$/);
    await page.goto('/clients/crm');
    const tokens = async () => {
      const { stdout } = await room.daemon.command(['tokens', 'list', '--json']);
      return JSON.parse(stdout.toString())
        .filter(({ client }: { client: string }) => client === 'crm')
        .map(({ note }: { note: string }) => note);
    };
    assert.deepEqual(await tokens(), ['by hand']);
    await press(page, page.locator('summary', { hasText: 'Rotate, revoke' }));
    await press(page, button(page, 'Revoke'));
    await page.waitForURL(/did=token-revoked/);
    assert.deepEqual(await tokens(), []);
    await page.goto('/clients');
    await press(page, page.locator('a[href="/clients/crm"]'));
    await page.waitForURL(/\/clients\/crm$/);
    await press(page, button(page, 'Remove the client'));
    await page.waitForURL(/did=client-removed/);
    const { stdout } = await room.daemon.command(['clients', 'list', '--json']);
    const names = JSON.parse(stdout.toString()).map(({ name }: { name: string }) => name);
    assert.deepEqual([names.includes('crm'), names.includes('erp')], [false, true]);
    await context.close();
  });

  it('come up to date by themselves', async () => {
    const context = await open(operator);
    const page = await context.newPage();
    await page.goto('/messages');
    const before = await page.locator('tbody tr').count();
    await page.locator('.stream', { hasText: 'live' }).waitFor();
    const id = await room.daemon.accept(world.mail(textEntity('while somebody looks')));
    await page.locator(`a[href="/messages/${id}"]`).first().waitFor({ timeout: 60_000 });
    assert.equal(await page.locator('tbody tr').count(), before + 1);
    await context.close();
  });

  it('pause a partner for who may, and show no act to who may not', async () => {
    const seen = await open(viewer);
    const page = await seen.newPage();
    for (const path of ['/routes', `/messages/${suspended}`, '/suspended', '/partners/acme']) {
      await page.goto(path);
      assert.equal(await page.locator('main form[method=post]').count(), 0, path);
    }
    assert.equal((await viewer.post('/routes/act', { path: 'partners/acme/pause', why: '' })).status, 403);
    await seen.close();
    const context = await open(operator);
    const acts = await context.newPage();
    await acts.goto('/routes');
    const route = acts.locator('section', { hasText: 'to acme' });
    await route.locator('summary').click();
    await route.getByRole('button', { name: 'Pause' }).click();
    await acts.waitForURL(/did=pause/);
    assert.equal(await room.daemon.queue.routes.resume('partner', 'acme'), true);
    await context.close();
  });
});
