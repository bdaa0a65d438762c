import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type MonitoringParts, monitoring } from '../../src/daemon/monitoring.ts';

interface Asked {
  url: string;
  from?: string;
  headers?: Record<string, string>;
}

/** What is answered: the status, and the text. Undefined if the request is about something else. */
async function ask({ url, from = '127.0.0.1', headers = {} }: Asked, parts: Partial<MonitoringParts> = {}) {
  const warned: string[] = [];
  const answer = monitoring({
    token: 'the-token',
    probe: async () => ({ ok: true, problems: [] }),
    measure: async () => ({ contentType: 'text/plain; version=0.0.4', text: 'sealpost_up 1\n' }),
    log: { warn: (_fields: unknown, message?: string) => void warned.push(message ?? '') },
    ...parts,
  });
  let [status, text] = [0, ''];
  const response = {
    writeHead: (given: number) => {
      status = given;
    },
    end: (given = '') => {
      text += given;
    },
  };
  const isOurs = await answer({ url, headers, socket: { remoteAddress: from } }, response);
  return isOurs ? [status, text, ...warned] : undefined;
}

describe('what the HTTP listener says about the daemon', () => {
  it('is that it is alive, under both names, and nothing under others', async () => {
    assert.deepEqual(await ask({ url: '/livez' }), [200, 'ok\n']);
    assert.deepEqual(await ask({ url: '/healthz' }), [200, 'ok\n']);
    for (const url of ['/', '/livez/', '/metrics/', '/metrics?x', '/readyz?x', '/v1/messages/x/content'])
      assert.equal(await ask({ url }), undefined, url);
  });

  it('is whether it is ready, or the whole installation, and why not', async () => {
    const asked: boolean[] = [];
    const probe = async (whole: boolean) => {
      asked.push(whole);
      return whole ? { ok: false, problems: ['one', 'two'] } : { ok: true, problems: [] };
    };
    assert.deepEqual(await ask({ url: '/readyz' }, { probe }), [200, 'ok\n']);
    assert.deepEqual(await ask({ url: '/readyz?whole' }, { probe }), [503, 'one\ntwo\n']);
    assert.deepEqual(asked, [false, true]);
    const away = { probe: () => Promise.reject(new Error('away')) };
    assert.deepEqual(await ask({ url: '/readyz' }, away), [503, 'Redis does not answer\n']);
  });

  it('is its metrics, for this machine and for whoever shows the token', async () => {
    const url = '/metrics';
    const given = [200, 'sealpost_up 1\n'];
    const refused = [401, ''];
    const bearer = (authorization: string) => ({ authorization });
    for (const from of ['127.0.0.1', '::1', '::ffff:127.0.0.1'])
      assert.deepEqual(await ask({ url, from }), given);
    const from = '192.0.2.7';
    assert.deepEqual(await ask({ url, from }), refused);
    assert.deepEqual(await ask({ url, from, headers: bearer('Bearer the-token') }), given);
    assert.deepEqual(await ask({ url, from, headers: bearer('bearer  the-token ') }), given);
    for (const wrong of ['Bearer the-toke', 'Bearer the-token2', 'Bearer ', 'Basic the-token', 'the-token'])
      assert.deepEqual(await ask({ url, from, headers: bearer(wrong) }), refused, wrong);
  });

  it('is nothing of metrics for another machine without a token, or behind a proxy of this one', async () => {
    const url = '/metrics';
    for (const token of [undefined, '']) {
      const other = { url, from: '192.0.2.7', headers: { authorization: 'Bearer ' } };
      assert.deepEqual(await ask(other, { token }), [401, ''], String(token));
      assert.equal((await ask({ url }, { token }))?.[0], 200);
    }
    for (const headers of [{ 'x-forwarded-for': '127.0.0.1' }, { forwarded: 'for=127.0.0.1' }])
      assert.deepEqual(await ask({ url, headers }), [401, '']);
  });

  it('is 503 while metrics cannot be collected, with a line in the log', async () => {
    const measure = () => Promise.reject(new Error('away'));
    const answer = await ask({ url: '/metrics' }, { measure });
    assert.deepEqual(answer, [503, '', 'metrics could not be collected']);
  });
});
