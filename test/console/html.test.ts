/** Templates: what strangers wrote cannot become markup, and cannot move, hide or reorder text. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { html, short, textOf } from '../../src/console/html.ts';
import { certificateBody, certificates, timeLine } from '../../src/console/views/partners.ts';

const script = '<script>alert(1)</script>';

describe('templates', () => {
  it('escapes text and attributes', () => {
    assert.equal(textOf(html`<p title=${`"${script}`}>${script}</p>`).includes('<script'), false);
    assert.equal(textOf(html`<i>${'a & b < c'}</i>`), '<i>a &amp; b &lt; c</i>');
    assert.equal(textOf(html`<i class=${'x" onclick="y'}></i>`), '<i class="x&quot; onclick=&quot;y"></i>');
    assert.equal(textOf(html`${script}`), '&lt;script>alert(1)&lt;/script>');
    assert.equal(textOf([html`<b>${[script, [script]]}</b>`]).includes('<script'), false);
  });

  it('shows what would move, hide or reorder text', () => {
    assert.equal(
      textOf(html`<p>${'a\u202eb\u001b[31mc\u200b'}</p>`),
      '<p>a\\u{202e}b\\u{1b}[31mc\\u{200b}</p>',
    );
    assert.equal(textOf(html`<p title=${'\u2066'}></p>`), '<p title="\\u{2066}"></p>');
    assert.equal(textOf(html`<p>${['\u202e']}</p>`), '<p>\\u{202e}</p>');
    assert.equal(textOf(html`<pre>${'a\n\tb'}</pre>`), '<pre>a\n\tb</pre>');
  });

  it('look-alike-names: shows letters of other scripts as such, where certificates are compared', () => {
    const certificate = {
      ...{ id: '0'.repeat(16), partner: 'acme', identity: null, uses: ['verify' as const] },
      ...{ state: 'waiting' as const, reason: 'waits for approval', serialNumber: '1', version: 1 },
      ...{ subject: 'CN=\u0430cme', issuer: 'CN=R\u043eot', emails: ['\u0435di@acme.example'] },
      ...{ serialNumberWindows: '01', sha1: '0'.repeat(40), sha256: '0'.repeat(64), key: 'p256' },
      ...{ notBefore: '2026-01-01T00:00:00.000Z', notAfter: '2028-01-01T00:00:00.000Z' },
      ...{ from: null, until: null, source: 'traffic' as const, firstSeen: null, lastSeen: null },
      ...{ findings: ['another subject; before: CN=\u0441'], revocation: null, rule: null, decided: null },
      pem: '',
    };
    const now = new Date('2026-11-30T12:00:00Z');
    const one = textOf(certificateBody({ certificate, may: true, csrf: '', now, said: '' }));
    for (const escaped of ['{430}cme', 'R\\u{43e}ot', '{435}di@', 'CN=\\u{441}'])
      assert.ok(one.includes(escaped));
    for (const page of [
      one,
      textOf(certificates([certificate], now)),
      textOf(timeLine([certificate], now)),
    ]) {
      assert.ok(page.includes('\\u{430}cme'));
      assert.doesNotMatch(page, /\p{Script=Cyrillic}/u);
    }
  });

  it('keeps the space of a line end between words and elements, and none between elements', () => {
    const text = textOf(html`<p>a
      <b>b</b>
      c ${'d'}
      e</p>`);
    assert.equal(text, '<p>a <b>b</b> c d e</p>');
    assert.equal(
      textOf(html`<ul>
        <li>1</li>
        <li>2</li>
      </ul>`),
      '<ul><li>1</li><li>2</li></ul>',
    );
  });

  it('cuts long text between characters, and says how long it is', () => {
    assert.equal(short('x'.repeat(10), 10), 'x'.repeat(10));
    assert.equal(short('x'.repeat(11), 10), `${'x'.repeat(10)}… (11 characters)`);
    assert.equal(short(`a${'😀'.repeat(9)}`, 4), 'a😀… (19 characters)');
  });

  it('has no way in for markup', () => {
    const root = join(import.meta.dirname, '../../src/console');
    for (const file of globSync('**/*.ts', { cwd: root }))
      assert.doesNotMatch(readFileSync(join(root, file), 'utf8'), /dangerouslySetInnerHTML|innerHTML/, file);
  });
});
