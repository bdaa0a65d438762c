/** Templates: what strangers wrote cannot become markup, and cannot move, hide or reorder text. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { html, short, textOf } from '../../src/console/html.ts';

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
