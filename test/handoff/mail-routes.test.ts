/** The way to the server of a mail destination: the settings of a route to a partner, and the same code behind them. */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { configSchema } from '../../src/config/schema.ts';
import { createDestination } from '../../src/handoff/index.ts';
import type { DestinationDeps } from '../../src/handoff/types.ts';
import { changeLevels, createLog } from '../../src/log.ts';
import { Tokens } from '../../src/oauth/tokens.ts';
import type { RouteRate } from '../../src/smtp/sender.ts';
import { type BearerServer, startBearerServer } from '../support/bearer-smtp.ts';
import { makeIssuedTls, makeTlsFiles, type TlsFiles } from '../support/tls.ts';
import { startTlsPeer, type TlsPeer, type TlsPeerOptions } from '../support/tls-peer.ts';
import { clientSecret, startTokenServer, type TokenServer } from '../support/token-server.ts';
import { skipWithoutUnbound, startUnbound, type Unbound } from '../support/unbound.ts';
import { crlf, delivery, deps, never } from './support.ts';

let own: TlsFiles;
let issued: Awaited<ReturnType<typeof makeIssuedTls>>;
const stops: (() => void | Promise<void>)[] = [];
before(async () => {
  own = await makeTlsFiles('DNS:localhost,DNS:mx.erp.test');
  issued = await makeIssuedTls('DNS:localhost');
});
after(async () => {
  await Promise.all(stops.map((stop) => stop()));
  own.remove();
  issued.remove();
});

async function peer(options: Partial<TlsPeerOptions> = {}): Promise<TlsPeer> {
  const made = await startTlsPeer({ cert: own.cert, key: own.key, ...options });
  stops.push(made.stop);
  return made;
}

const pinOf = (file: string) =>
  createHash('sha256')
    .update(new X509Certificate(readFileSync(file)).publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');

/** Hands one mail to a destination with these settings. */
async function handOff(settings: Record<string, unknown>, changes: Partial<DestinationDeps> = {}) {
  const config = configSchema.parse({
    mailboxes: [{ name: 'edi', destinations: [{ type: 'smtp', recipients: ['a@erp.test'], ...settings }] }],
  });
  const [wanted] = config.mailboxes[0]?.destinations ?? [];
  assert.ok(wanted);
  const destination = await createDestination(wanted, deps(changes));
  const outcome = await destination.deliver(delivery(crlf('Subject: order\n\n4711\n')), never);
  await destination.close();
  const code = 'done' in outcome ? 'done' : 'retry' in outcome ? outcome.retry : outcome.suspend;
  return { code, said: String(outcome.facts?.message ?? ''), pace: destination.pace, outcome };
}
const heard = ({ lines }: TlsPeer) => lines.filter((line) => line.startsWith('tls '));

describe('two mail destinations, each with what its own server needs', () => {
  it('pins: the right key is enough, another one hears nothing', async () => {
    for (const type of ['smtp', 'lmtp'] as const) {
      const [right, wrong] = [await peer(), await peer()];
      const way = { type, host: '127.0.0.1', tls: 'required' };
      assert.equal((await handOff({ ...way, port: right.port, pins: [pinOf(own.cert)] })).code, 'done');
      const refused = await handOff({ ...way, port: wrong.port, pins: [pinOf(issued.cert)] });
      assert.equal(refused.code, 'tls-failed');
      assert.match(refused.said, /not one of the pinned/);
      assert.deepEqual([right.taken.length, heard(wrong)], [1, []]);
    }
  });

  it('has its dialogue in the log while that is at debug, without the mail', async () => {
    for (const type of ['smtp', 'lmtp'] as const) {
      const server = await peer();
      const lines: Record<string, string>[] = [];
      const log = createLog('info', 'test', { write: (line) => void lines.push(JSON.parse(line)) });
      const way = { type, name: 'erp', host: '127.0.0.1', port: server.port, pins: [pinOf(own.cert)] };
      const changes = { log, owner: 'mailbox edi' };
      assert.equal((await handOff(way, changes)).code, 'done');
      assert.deepEqual(lines, []);
      changeLevels(log, { smtp: 'debug' });
      assert.equal((await handOff(way, changes)).code, 'done');
      const said = lines.map(({ direction, line }) => `${direction} ${line}`);
      for (const expected of [type === 'lmtp' ? /^> LHLO / : /^> EHLO /, /^> MAIL FROM:/, /^< 250/])
        assert.ok(
          said.some((each) => expected.test(each)),
          `${expected} in ${said.join('\n')}`,
        );
      assert.ok(lines.every(({ destination, owner }) => destination === 'erp' && owner === 'mailbox edi'));
      assert.doesNotMatch(JSON.stringify(lines), /4711/);
    }
  });

  it('a client certificate: shown by the one that has it', async () => {
    const server = await peer({ clientCa: issued.ca });
    const way = { host: '127.0.0.1', port: server.port, pins: [pinOf(own.cert)] };
    const { cert, key } = issued;
    assert.equal((await handOff({ ...way, clientCertificate: { cert, key } })).code, 'done');
    assert.deepEqual(server.taken, [{ secure: true, client: 'CN=server' }]);
    assert.equal((await handOff(way)).code, 'tls-failed');
    assert.equal(server.taken.length, 1);
  });

  it('a rate: what is too much begins no connection, and waits in line', async () => {
    const server = await peer();
    let left = 1;
    const rate: RouteRate = {
      take: async () => (left-- > 0 ? 0 : 5000),
      room: () => Math.max(0, left),
      rests: () => (left > 0 ? 0 : 5000),
    };
    const names: string[] = [];
    const rated = (name: string) => {
      names.push(name);
      return rate;
    };
    const way = { host: '127.0.0.1', port: server.port, pins: [pinOf(own.cert)] };
    const limited = { ...way, name: 'slow', rate: { messages: 1 } };
    assert.equal((await handOff(limited, { rate: rated })).code, 'done');
    const held = await handOff(limited, { rate: rated });
    assert.deepEqual(held.outcome, {
      ...{ retry: 'rate-limited', untried: true, inLine: true, after: 5000, peer: undefined },
      facts: { message: '127.0.0.1 of destination slow: ' },
    });
    assert.equal(held.pace?.room(), 0);
    assert.equal((await handOff(way, { rate: rated })).code, 'done', 'one without a rate');
    assert.deepEqual([server.taken.length, names], [2, ['slow', 'slow']]);
  });
});

describe('a mail destination whose server wants a token', () => {
  let tokenServer: TokenServer;
  let server: BearerServer;
  before(async () => {
    tokenServer = await startTokenServer();
    server = await startBearerServer(own, (_user, token) => tokenServer.valid.has(token));
    stops.push(tokenServer.stop, server.stop);
  });

  it('gets one, and logs in with it; another with the wrong secret says what to look at', async () => {
    const way = (user: string) => ({
      ...{ host: 'localhost', port: server.port, ca: own.cert, user },
      oauth2: { tokenUrl: tokenServer.url, clientId: 'me', clientSecret: { env: 'X' } },
    });
    const tokens = (secret: string) => new Tokens({ readSecret: () => secret, refreshTokens: undefined });
    const sent = await handOff(way('erp@own.test'), { network: { tokens: tokens(clientSecret) } });
    assert.equal(sent.code, 'done', sent.said);
    const refused = await handOff(way('other@own.test'), { network: { tokens: tokens('wrong') } });
    assert.equal(refused.code, 'token-failed');
    assert.match(refused.said, /AADSTS7000215/);
    assert.deepEqual(
      server.logins.map(({ user, taken }) => [user, taken]),
      [['erp@own.test', true]],
    );
    assert.equal(server.mails.length, 1);
  });
});

describe('a mail destination without a host', { skip: skipWithoutUnbound() }, () => {
  let [server, unbound]: [TlsPeer | undefined, Unbound | undefined] = [undefined, undefined];
  const parts = () => {
    assert.ok(server && unbound);
    return { port: server.port, server, dns: unbound.dns() };
  };
  before(async () => {
    const started = await peer();
    const records = (domain: string, digest: string) => ({
      name: domain,
      signed: true,
      records: ['@ IN MX 10 mx', 'mx IN A 127.0.0.1', `_${started.port}._tcp.mx IN TLSA 3 1 1 ${digest}`],
    });
    server = started;
    unbound = await startUnbound([
      records('erp.test', pinOf(own.cert)),
      records('other.test', pinOf(issued.cert)),
    ]);
    stops.push(unbound.stop);
  });

  it('goes where the MX records say, to a server that the TLSA records know, and to no other', async () => {
    const { port, server: mx, dns } = parts();
    assert.equal((await handOff({ port }, { network: { dns } })).code, 'done');
    const taken = mx.taken.length;
    const other = await handOff({ port, recipients: ['a@other.test'] }, { network: { dns } });
    assert.equal(other.code, 'tls-failed');
    assert.match(other.said, /no TLSA record matches/);
    assert.deepEqual([taken, mx.taken.length], [1, 1]);
  });

  it('follows the MTA-STS policy of the domain if it is to', async () => {
    const { port, server: mx, dns } = parts();
    const before = mx.lines.length;
    const policy = { id: '1', mode: 'enforce', mx: ['elsewhere.test'], maxAge: 86_400 } as const;
    const asked: string[] = [];
    const sts = {
      policyOf: async (domain: string) => {
        asked.push(domain);
        return { ...policy, mx: [...policy.mx] };
      },
    };
    const way = { port, dane: 'off', mtaSts: true };
    const refused = await handOff(way, { network: { dns, sts } });
    assert.equal(refused.code, 'tls-failed');
    assert.match(refused.said, /does not name the host mx\.erp\.test/);
    assert.deepEqual([asked, mx.lines.length], [['erp.test'], before]);
    await handOff({ ...way, mtaSts: false }, { network: { dns, sts } });
    assert.deepEqual(asked, ['erp.test']);
  });
});
