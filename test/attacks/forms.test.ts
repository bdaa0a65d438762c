/** Attacks with multipart/form-data: parts that one reader sees and another does not, and forms that hold a place. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readForm } from '../../src/api/form.ts';
import { SealpostError } from '../../src/errors.ts';

const message = '{"partner":"acme","text":"x"}';
const type = 'multipart/form-data; boundary=b';

const part = (disposition: string | undefined, content: string, ...fields: string[]) =>
  [
    '--b',
    ...(disposition === undefined ? [] : [`Content-Disposition: ${disposition}`]),
    ...fields,
    '',
    content,
    '',
  ].join('\r\n');
const first = part('form-data; name="message"', message);
const file = (more: string, ...fields: string[]) => part(`form-data; name="f"; ${more}`, 'octets', ...fields);
const end = '--b--\r\n';

interface Read {
  /** The body was closed: it holds no timer any more. */
  ended: boolean;
  message?: string;
  files?: { filename: string; type: string | undefined; content: string }[];
  refused?: string;
}

/** What is read of a form, in pieces of that many octets. */
async function read(form: string | Buffer, size = 7): Promise<Read> {
  const octets = Buffer.from(form);
  const state = { ended: false };
  async function* body() {
    try {
      for (let at = 0; at < octets.length; at += size) yield octets.subarray(at, at + size);
    } finally {
      state.ended = true;
    }
  }
  try {
    const opened = await readForm(type, body());
    const files: Read['files'] = [];
    try {
      for await (const each of opened.files)
        files.push({
          filename: each.filename,
          type: each.contentType,
          content: Buffer.concat(await Array.fromAsync(each.octets)).toString(),
        });
    } finally {
      await opened.close();
    }
    return { message: opened.message.toString(), files, ...state };
  } catch (error) {
    assert.ok(error instanceof SealpostError, String(error));
    return { refused: error.code, ...state };
  }
}

const refused = { refused: 'request-invalid', ended: true };

describe('attacks with forms', () => {
  it('every part comes, octet by octet, in any pieces', async () => {
    const form = `${first}${file('filename="größe 注文.txt"', 'Content-Type: text/plain')}${file('filename="a"')}${end}`;
    for (const size of [1, 2, 3, 5, 64, 10_000])
      assert.deepEqual(await read(form, size), {
        message,
        files: [
          { filename: 'größe 注文.txt', type: 'text/plain', content: 'octets' },
          { filename: 'a', type: undefined, content: 'octets' },
        ],
        ended: true,
      });
  });

  it('the part message may be a file, as browsers and curl send JSON', async () => {
    const blob = part(
      'form-data; name="message"; filename="blob"',
      message,
      'Content-Type: application/json',
    );
    assert.deepEqual(await read(`${blob}${file('filename="a"')}${end}`), {
      message,
      files: [{ filename: 'a', type: undefined, content: 'octets' }],
      ended: true,
    });
  });

  it('no part is left out: one without a name or disposition, or with a name of two lines, is refused', async () => {
    for (const bad of [
      part(undefined, 'octets', 'Content-Type: text/plain'),
      part('form-data; filename="a"', 'octets'),
      part('attachment; name="f"; filename="a"', 'octets'),
      part('form-data; name="f"', 'octets'),
      file(''),
      file('filename=""'),
    ])
      assert.deepEqual(await read(`${first}${bad}${end}`), refused, bad);
    // The name itself is looked at where the mail is made.
    const { files } = await read(`${first}${file("filename*=UTF-8''a%0d%0ab")}${end}`);
    assert.equal(files?.[0]?.filename, 'a\r\nb');
  });

  it('what two readers could take for different things is refused', async () => {
    for (const bad of [
      part(
        'form-data; name="f"; filename="a"',
        'octets',
        'Content-Disposition: form-data; name="g"; filename="b"',
      ),
      file('filename="a"', 'Content-Type: text/plain', 'Content-Type: text/html'),
      file('filename="a"', 'Content-Transfer-Encoding: base64'),
      file('filename="a"', 'Content-Transfer-Encoding: quoted-printable'),
      file('filename="a"', 'Content-Transfer-Encoding: binary', 'Content-Transfer-Encoding: base64'),
    ])
      assert.deepEqual(await read(`${first}${bad}${end}`), refused, bad);
    const latin1 = Buffer.from(`${first}${file('filename="größe.txt"')}${end}`, 'latin1');
    assert.deepEqual(await read(latin1), refused);
    const fine = await read(`${first}${file('filename="a"', 'Content-Transfer-Encoding: binary')}${end}`);
    assert.equal(fine.files?.length, 1);
  });

  it('a form that is cut anywhere is refused', async () => {
    const form = `${first}${file('filename="a"')}${end}`;
    for (let length = 0; length < form.length - 4; length += 1)
      assert.equal((await read(form.slice(0, length), 64)).refused, 'request-invalid', form.slice(0, length));
  });

  it('parts, their headers and the part message have limits', async () => {
    const many = (count: number) => `${first}${file('filename="a"').repeat(count)}${end}`;
    assert.equal((await read(many(100), 1000)).files?.length, 100);
    assert.deepEqual(await read(many(101), 1000), refused);
    assert.deepEqual(
      await read(`${first}${file('filename="a"', `X: ${'y'.repeat(16_384)}`)}${end}`, 999),
      refused,
    );
    const fields = Array.from({ length: 20 }, (_, index) => `X-${index}: y`);
    assert.deepEqual(await read(`${first}${file('filename="a"', ...fields)}${end}`), refused);
    const large = part('form-data; name="message"', 'x'.repeat(1024 * 1024 + 1));
    assert.deepEqual(await read(`${large}${end}`, 65_536), { refused: 'message-too-large', ended: true });
  });

  it('a form whose files nobody reads is closed, and nothing more of it is read', async () => {
    let pulled = 0;
    let ended = false;
    async function* body() {
      try {
        yield Buffer.from(`${first}--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n`);
        for (;;) {
          pulled += 1;
          yield Buffer.alloc(1000);
        }
      } finally {
        ended = true;
      }
    }
    const form = await readForm(type, body());
    await form.close();
    assert.deepEqual([pulled, ended], [0, true]);
  });
});
