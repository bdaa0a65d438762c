/** HTML that costs whoever looks at the text of a mail more than its length. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { textOf } from '../../src/console/html.ts';
import type { PageCall } from '../../src/console/page.ts';
import { messagePages } from '../../src/console/pages/messages.ts';
import { wordsOf } from '../../src/console/pages/words.ts';

/** The page of a mail, and how long it takes. */
async function look(mail: string): Promise<{ text: string; ms: number }> {
  const route = messagePages.find(({ url }) => url === '/messages/:id/text');
  async function* octets() {
    yield Buffer.from(mail);
  }
  const answer = { stream: octets(), type: 'message/rfc822', octets: mail.length, fileName: 'x.eml' };
  const call: Pick<PageCall, 'params'> & { operations: Pick<PageCall['operations'], 'call'> } = {
    params: { id: '0'.repeat(32) },
    operations: { call: async () => answer },
  };
  const began = performance.now();
  const page = await route?.handle(Object.assign(Object.create(null), call));
  assert.ok(page && 'body' in page);
  return { text: textOf(page.body), ms: performance.now() - began };
}

const html = (body: string) => `Content-Type: text/html; charset=utf-8\r\n\r\n${body}`;

describe('the text of a mail in HTML', () => {
  it('costs what its length does: a row of cells held the console up for 23 seconds', async () => {
    await look(html('<p>warm'));
    const bombs = ['<table><tr>', '<td>x', '<', '<!--', '<style>', '<a b=c ', '&#', '</p>', '\n ', '<div>'];
    for (const bomb of bombs) {
      const { ms } = await look(html(`<table><tr>${bomb.repeat(Math.floor(900_000 / bomb.length))}`));
      assert.ok(ms < 5000, `${bomb}: ${ms} ms`);
    }
  });

  it('needs nothing of its headers but what MIME says: 140,000 recipients are not read', async (t) => {
    const read: string[] = [];
    const { MailParser } = await import('mailparser');
    const own: unknown = Reflect.get(MailParser.prototype, 'processHeaders');
    assert.ok(typeof own === 'function');
    Reflect.set(MailParser.prototype, 'processHeaders', function of(this: unknown, lines: { key: string }[]) {
      read.push(...(lines ?? []).map(({ key }) => key));
      return Reflect.apply(own, this, [lines]);
    });
    t.after(() => Reflect.set(MailParser.prototype, 'processHeaders', own));
    const to = `To: ${'a@b.c, '.repeat(140_000)}\r\nReferences: ${'a b '.repeat(10)}\r\n`;
    const { text } = await look(`${to}Content-Type: text/plain; charset=utf-8\r\n\r\nOrder 4711`);
    assert.match(text, /Order 4711/);
    const within = `Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nfirst
--b\r\nContent-Type: message/rfc822\r\n\r\n${to.slice(0, 500)}\r\n\r\nsecond\r\n--b
Content-Type: application/pdf; name=order.pdf\r\nContent-Disposition: attachment\r\n\r\n12345\r\n--b--\r\n`;
    const parts = await look(within);
    assert.match(parts.text, /first/);
    assert.match(parts.text, /order\.pdf.*application\/pdf/s);
    assert.deepEqual([...new Set(read)].sort(), ['content-disposition', 'content-type']);
  });

  it('is its words, and no markup', async () => {
    const { text } = await look(
      html('<style>p { color: red }</style><p class="x">Order 4711 &amp; 4712<br>a &lt; b &#x41;&#66;</p>'),
    );
    assert.match(text, /Order 4711 &amp; 4712\na &lt; b AB</);
    assert.doesNotMatch(text, /color: red|class="x"/);
    assert.equal(wordsOf('1 < 2 &#xd800; &unknown; &#0;'), '1 < 2 &#xd800; &unknown; &#0;');
  });
});
