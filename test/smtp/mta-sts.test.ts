import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { allowsHost, type KeptPolicy, readPolicy, recordId, StsPolicies } from '../../src/smtp/mta-sts.ts';

describe('the record of MTA-STS', () => {
  it('has an id, or there is none', () => {
    for (const [texts, id] of [
      [['v=STSv1; id=20260101T1;'], '20260101T1'],
      [['v=STSv1;id=a'], 'a'],
      [['v=spf1 -all', 'v=STSv1 ; id=a ; x-more=1'], 'a'],
      [['v=STSv1; id=a; id=b'], 'a'],
      [[], undefined],
      [['v=STSv1; id=a', 'v=STSv1; id=a'], undefined],
      [['v=STSv1'], undefined],
      [['v=STSv1;'], undefined],
      [['v=stsv1; id=a'], undefined],
      [['v=STSv1; id=a-b'], undefined],
      [[`v=STSv1; id=${'a'.repeat(32)}`], 'a'.repeat(32)],
      [[`v=STSv1; id=${'a'.repeat(33)}`], undefined],
      [[`v=STSv1; id=a; ${'n'.repeat(32)}=1`], 'a'],
      [[`v=STSv1; id=a; ${'n'.repeat(33)}=1`], undefined],
      [['v=STSv1; id=a; ;'], undefined],
      [['v=STSv1; id=a; broken'], undefined],
    ] as const)
      assert.equal(recordId(texts), id, texts.join(' | '));
  });
});

describe('the policy of MTA-STS', () => {
  const policy = (...lines: string[]) => readPolicy(`${lines.join('\r\n')}\r\n`, 'a');
  const whole = [
    'version: STSv1',
    'mode: enforce',
    'mx: mail.example.com',
    'mx: *.example.net',
    'max_age: 86400',
  ];

  it('is read', () => {
    assert.deepEqual(policy(...whole), {
      ...{ id: 'a', mode: 'enforce', mx: ['mail.example.com', '*.example.net'], maxAge: 86_400 },
    });
    assert.deepEqual(readPolicy(whole.join('\n'), 'a')?.mx.length, 2, 'with LF alone');
    assert.equal(policy('version: STSv1', 'mode: none', 'max_age: 1')?.mode, 'none');
    assert.equal(policy(...whole, 'mode: none')?.mode, 'enforce', 'the first one counts');
    assert.equal(policy(...whole.slice(0, 4), 'max_age: 9999999999')?.maxAge, 31_557_600);
    assert.equal(policy(...whole, 'extension: anything')?.mode, 'enforce');
  });

  it('is none when something is missing or wrong', () => {
    for (const at of [0, 1, 4])
      assert.equal(policy(...whole.filter((_, index) => index !== at)), undefined, whole[at]);
    for (const line of ['version: STSv2', 'mode: Enforce', 'mode: off', 'max_age: -1', 'max_age: 1e3'])
      assert.equal(policy(line, ...whole), undefined, line);
    for (const mx of ['*', '*.', 'a.*.example.com', 'a b', '-a.example', 'a..b'])
      assert.equal(policy(...whole, `mx: ${mx}`), undefined, mx);
    assert.equal(policy('version: STSv1', 'mode: enforce', 'max_age: 1'), undefined, 'no host');
    assert.equal(
      policy(...whole, ...Array.from({ length: 1000 }, (_, at) => `mx: h${at}.example`)),
      undefined,
    );
    assert.equal(readPolicy('<html>', 'a'), undefined);
  });

  it('names hosts, with a star for exactly one label', () => {
    const mx = ['mail.example.com', '*.example.net'];
    for (const [host, named] of [
      ['mail.example.com', true],
      ['MAIL.example.com.', true],
      ['a.mail.example.com', false],
      ['example.com', false],
      ['a.example.net', true],
      ['a.b.example.net', false],
      ['example.net', false],
      ['.example.net', false],
      ['*.example.net', true],
      ['evilexample.net', false],
    ] as const)
      assert.equal(allowsHost({ mx }, host), named, host);
  });
});

describe('the policies of domains', () => {
  function world() {
    const stored = new Map<string, KeptPolicy>();
    const state = { now: 1_000_000, id: 'a', text: '', fetched: 0, asked: 0, dns: true, stored };
    const policies = () =>
      new StsPolicies({
        store: {
          get: async (domain) => stored.get(domain),
          put: async (domain, policy) => void stored.set(domain, policy),
        },
        texts: async (name) => {
          assert.equal(name, '_mta-sts.example.com');
          state.asked += 1;
          if (!state.dns) throw new Error('SERVFAIL');
          return state.id === '' ? [] : [`v=STSv1; id=${state.id}`];
        },
        fetch: async (host) => {
          assert.equal(host, 'mta-sts.example.com');
          state.fetched += 1;
          if (state.text === '') throw new Error('404');
          return state.text;
        },
        now: () => state.now,
      });
    return { state, policies };
  }
  const enforce = (maxAge: number) =>
    `version: STSv1\nmode: enforce\nmx: mx.example.com\nmax_age: ${maxAge}\n`;

  it('are fetched once, looked up again after five minutes, and fetched again when the id is another', async () => {
    const { state, policies } = world();
    state.text = enforce(864_000);
    const some = policies();
    for (const domain of ['example.com', 'EXAMPLE.com.'])
      assert.equal((await some.policyOf(domain))?.mode, 'enforce');
    assert.deepEqual([state.asked, state.fetched], [1, 1]);
    state.now += 299_999;
    await some.policyOf('example.com');
    assert.equal(state.asked, 1);
    state.now += 1;
    await some.policyOf('example.com');
    assert.deepEqual([state.asked, state.fetched], [2, 1], 'the id is the same');
    state.id = 'b';
    state.text = 'version: STSv1\nmode: none\nmax_age: 100\n';
    state.now += 300_000;
    assert.equal((await some.policyOf('example.com'))?.mode, 'none');
    assert.equal(state.fetched, 2);
  });

  it('are fetched anew after a day although the id is the same', async () => {
    const { state, policies } = world();
    state.text = enforce(864_000);
    const some = policies();
    await some.policyOf('example.com');
    state.now += 86_400_000;
    await some.policyOf('example.com');
    assert.equal(state.fetched, 2);
  });

  it('hold until they are over, to the millisecond, whatever became of record, host and process', async () => {
    for (const broken of ['record', 'host', 'dns'] as const) {
      const { state, policies } = world();
      state.text = enforce(1000);
      assert.equal((await policies().policyOf('example.com'))?.mode, 'enforce');
      if (broken === 'record') state.id = '';
      if (broken === 'dns') state.dns = false;
      if (broken === 'host') [state.id, state.text] = ['b', ''];
      const some = policies();
      state.now += 999_999;
      assert.equal((await some.policyOf('example.com'))?.mode, 'enforce', broken);
      state.now += 1;
      assert.equal(await some.policyOf('example.com'), undefined, broken);
      assert.equal(await policies().policyOf('example.com'), undefined, broken);
    }
  });

  it('of a clock that was ahead do not count', async () => {
    const { state, policies } = world();
    state.text = enforce(1000);
    await policies().policyOf('example.com');
    state.now -= 1;
    state.id = '';
    assert.equal(await policies().policyOf('example.com'), undefined);
  });

  it('fail with their store, and are looked up again when it is back', async () => {
    const { state, policies } = world();
    state.text = enforce(1000);
    const some = policies();
    const get = state.stored.get.bind(state.stored);
    state.stored.get = () => {
      throw new Error('away');
    };
    await assert.rejects(some.policyOf('example.com'), /away/);
    state.stored.get = get;
    assert.equal((await some.policyOf('example.com'))?.mode, 'enforce');
  });
});
