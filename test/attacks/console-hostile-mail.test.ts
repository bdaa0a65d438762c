/**
 * A mail with markup, ANSI, bidirectional characters and an enormous subject in every field changes nothing on any
 * page.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Browser, startConsole, type TestConsole } from '../support/console.ts';
import { makeWorld, skipWithout } from '../support/world.ts';

const evil = '<script>alert(1)</script>"><img src=x onerror=alert(2)>\'{{7*7}}\u202egpj.exe\u2066\u200b';
const ansi = '\u001b[31mred\u001b]0;title\u0007';

describe('a hostile mail in the console', { skip: skipWithout('openssl'), timeout: 1_800_000 }, () => {
  const world = makeWorld();
  let room: TestConsole;
  let operator: Browser;
  const ids: string[] = [];
  before(async () => {
    room = await startConsole(world, {
      // without a handoff role the first message stays decoded: a pause is heard of a second later only
      args: ['--only', 'console,receive,decrypt'],
      config: { limits: { headerSize: '16MiB' } },
    });
    ({ browser: operator } = await room.person('olga', 'operator', '--content'));
    const { daemon } = room;
    const { queue } = daemon;
    await queue.routes.pause('destination', 'orders\ndirectory', {
      by: `person ${evil}`,
      at: 1,
      why: `${evil}${ansi}`,
    });
    await daemon.waitFor(
      'it is paused',
      async () => (await queue.routes.paused('destination', ['orders\ndirectory']))[0],
    );
    const folded = Array.from({ length: 10_000 }, () => ` ${'x'.repeat(990)}`).join('\r\n');
    const header = (subject: string) =>
      [
        `From: "${evil}" <edi@partner.example>`,
        `To: "${evil}" <orders@own.example>`,
        `Subject: ${subject}`,
        `Message-ID: <${'<script>'}1@x>`,
        `X-Other: ${evil}`,
      ].join('\r\n');
    const body = `Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: inline; filename="${evil}"\r\n\r\n${evil}\r\n${ansi}\r\n`;
    const inside = `${header(evil)}\r\n${body}`;
    ids.push(await daemon.accept(world.mail(inside)));
    ids.push(await daemon.accept(Buffer.from(`${header(`${evil}\r\n${folded}`)}\r\n${body}`)));
    ids.push(await daemon.accept(Buffer.from(`${header(ansi)}\r\nContent-Type: ${evil}\r\n\r\n${evil}`)));
    await daemon.reaches(ids[0] ?? '', 'decoded');
    for (const id of ids.slice(1)) await daemon.reaches(id, 'suspended');
  });
  after(async () => {
    await room?.daemon.stop();
    world.remove();
  });

  /** What a page would need to be changed: markup that is not escaped, or a character that moves others. */
  const check = (path: string, text: string) => {
    assert.ok(!text.includes('<script>alert'), `${path}: a script`);
    assert.ok(!text.includes('<img'), `${path}: a picture`);
    assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u, path);
    assert.ok(text.length < 400_000, `${path} has ${text.length} characters`);
    for (const [, scripts = ''] of text.matchAll(/<script([^>]*)>/g))
      assert.match(scripts, /^ src="\/static\/[\w.]+" defer$/);
  };

  it('is text on every page, and short', async () => {
    const paths = [
      ...['/', '/messages', '/suspended', '/routes', '/partners', '/partners/acme', '/alerts', '/setup'],
      ...ids.flatMap((id) => [`/messages/${id}`, `/messages/${id}?did=${encodeURIComponent(evil)}`]),
      `/messages?partner=${encodeURIComponent(evil)}`,
      `/messages?address=${encodeURIComponent('edi@partner.example')}`,
      `/suspended?reason=${encodeURIComponent(evil)}&done=1${encodeURIComponent(evil)}`,
      `/setup?name=${encodeURIComponent(evil)}`,
      `/partners?name=${encodeURIComponent(evil)}`,
      '/suspended/preview?act=resume&direction=inbound',
    ];
    for (const path of paths) {
      const { status, text } = await operator.get(path);
      assert.ok(status === 200 || status === 400, `${path}: ${status} ${text.slice(0, 500)}`);
      check(path, text);
    }
    const paused = (await operator.get('/routes')).text;
    assert.ok(paused.includes('&lt;script'), 'it is shown, as text');
    assert.ok(paused.includes('\\u{1b}[31m'), 'and what would move the cursor is visible');
  });

  it('is text where its content is read, and its verdict shows what was under protection', async () => {
    const [id = ''] = ids;
    const { state } = await room.daemon.reaches(id, 'decoded');
    assert.equal(state, 'decoded');
    const page = await operator.get(`/messages/${id}`);
    check('verdict', page.text);
    assert.match(page.text, /Headers under protection/);
    assert.match(page.text, /our key/);
    const text = await operator.get(`/messages/${id}/text`);
    assert.equal(text.status, 200, text.to);
    check('text', text.text);
    assert.ok(text.text.includes('&lt;script>alert(1)&lt;/script>'));
    assert.ok(text.text.includes('\\u{1b}[31m'));
    const looks = await room.daemon.queue.audit.list({ id });
    assert.deepEqual(
      looks.map(({ what, by }) => [what, by.startsWith('person olga, console')]),
      [['content', true]],
    );
  });

  it('leaves as a file that no browser shows', async () => {
    const [id = ''] = ids;
    const { headers } = await operator.get(`/messages/${id}/original`);
    assert.match(String(headers['content-disposition']), /^attachment; filename="\w+\.eml"$/);
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.match(String(headers['content-security-policy']), /default-src 'none'/);
  });
});
