import assert from 'node:assert/strict';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { checkConfig } from '../../src/config/check.ts';
import type { DropDoor, DroppedFile } from '../../src/drop/index.ts';
import { Settling } from '../../src/drop/settling.ts';
import { SealpostError } from '../../src/errors.ts';
import { isLocalDisk } from '../../src/files.ts';
import { startDrop } from '../support/drop.ts';
import { until } from '../support/net.ts';
import { useTestQueue } from '../support/queue.ts';

describe('files that stand still', () => {
  it('are those whose size, time and inode have not changed for the time given', () => {
    const settling = new Settling(2000);
    const file = (size: number, mtimeMs = 1, ino = 1) => ({ size, mtimeMs, ino });
    const look = (now: number, files: Record<string, ReturnType<typeof file>>) =>
      settling.look(new Map(Object.entries(files)), now);
    assert.deepEqual(look(0, { a: file(1), b: file(1) }), { still: [], next: 2000 });
    assert.deepEqual(look(1999, { a: file(1), b: file(2) }), { still: [], next: 1 });
    assert.deepEqual(look(2000, { a: file(1), b: file(2) }), { still: ['a'], next: 1999 });
    assert.deepEqual(look(3999, { b: file(2, 2) }).still, [], 'its time changed');
    assert.deepEqual(look(5999, { b: file(2, 2, 2) }).still, [], 'it was replaced');
    assert.deepEqual(look(6000, {}), { still: [], next: Number.POSITIVE_INFINITY });
    assert.deepEqual(look(9000, { b: file(2, 2, 2) }).still, [], 'it came anew');
  });
});

describe('a drop folder', () => {
  let test: Parameters<Parameters<typeof useTestQueue>[0]>[0];
  useTestQueue((opened) => {
    test = opened;
  });
  const place = () => ({ queue: test.queue, dataDir: test.server.dataDir });
  const kept = (path: string) => {
    const folder = join(path, '.sealpost');
    return existsSync(folder) ? readdirSync(folder).flatMap((each) => readdirSync(join(folder, each))) : [];
  };

  it('sends content and mails, with what they ask for, and removes them', async () => {
    const drop = await startDrop(place(), { subject: 'Order {stem} for {partner}' });
    try {
      const put = (partner: string, name: string, text: string) =>
        writeFileSync(join(drop.path, partner, name), text);
      put('acme', 'Bestellung ü 4711.edi', "UNB+UNOC:3'");
      put(
        'globex',
        'mail.EML',
        'Subject: own\r\nX-Sealpost-Metadata: order=1\r\nX-Sealpost-Priority: 3\r\n\r\ntext\r\n',
      );
      await until('both are sent', async () => {
        const sent = [await drop.sent('acme'), await drop.sent('globex')];
        return sent.every(({ length }) => length === 1);
      });
      const [content] = await drop.sent('acme');
      const text = await drop.text(content);
      assert.match(text, /Subject: Order =\?utf-8\?B\?|Subject: Order Bestellung =\?utf-8\?B\?/);
      assert.match(text, /Content-Type: application\/EDIFACT\r\n/);
      assert.match(text, /filename\*=utf-8''Bestellung%20%C3%BC%204711\.edi\r\n/);
      assert.ok(text.endsWith("\r\n\r\nUNB+UNOC:3'"));
      assert.deepEqual(content?.metadata, { file: 'Bestellung ü 4711.edi' });
      assert.deepEqual(content?.origin.detail, { folder: drop.path, file: 'Bestellung ü 4711.edi' });
      const [mail] = await drop.sent('globex');
      assert.deepEqual(mail?.metadata, { file: 'mail.EML', order: '1' });
      assert.equal(mail?.delivery?.priority, 3);
      assert.match(await drop.text(mail), /Subject: own\r\n\r\ntext\r\n$/);
      await until('nothing is left', () => [...drop.names('acme'), ...kept(drop.path)].length === 0);
    } finally {
      await drop.close();
    }
  });

  it('leaves alone what is not meant for it yet, and takes it under its last name', async () => {
    const drop = await startDrop(place());
    try {
      for (const name of ['.hidden', 'a.tmp', 'b.PART']) writeFileSync(join(drop.path, 'acme', name), '1');
      mkdirSync(join(drop.path, 'acme', 'sub'));
      writeFileSync(join(drop.path, 'acme', 'sub', 'c'), '1');
      writeFileSync(join(drop.path, 'acme', 'done'), '1');
      await until('one is sent', async () => (await drop.sent()).length === 1);
      await sleep(500);
      assert.deepEqual(drop.names('acme'), ['.hidden', 'a.tmp', 'b.PART', 'sub']);
      renameSync(join(drop.path, 'acme', 'a.tmp'), join(drop.path, 'acme', 'a'));
      await until('it is sent', async () => (await drop.sent()).length === 2);
    } finally {
      await drop.close();
    }
  });

  it('is told of files by the kernel, or, on a network volume or without watch, looks by itself', async () => {
    const watches = () =>
      readdirSync('/proc/self/fdinfo')
        .map((fd) => {
          const path = `/proc/self/fdinfo/${fd}`;
          return existsSync(path) ? (readFileSync(path, 'utf8').match(/^inotify wd:/gm)?.length ?? 0) : 0;
        })
        .reduce((sum, each) => sum + each, 0);
    const first = (path: string) => writeFileSync(join(path, 'acme', 'first'), '1');
    const before = watches();
    for (const settings of [{ watch: true, scan: '1h' }, { watch: false }]) {
      const drop = await startDrop(place(), settings, first);
      try {
        const isTold = settings.watch && (await isLocalDisk(drop.path));
        await until('the first is sent', async () => (await drop.sent()).length === 1);
        assert.equal(watches() > before, isTold);
        if (settings.watch && !isTold) continue;
        writeFileSync(join(drop.path, 'acme', 'second'), '2');
        await until('the second is sent', async () => (await drop.sent()).length === 2);
      } finally {
        await drop.close();
      }
    }
    assert.equal(await isLocalDisk('/proc'), false, 'only known file systems are local');
  });

  it('does not take a file that is being written, however slowly', async () => {
    // On a busy machine, two lines may be a second apart that were meant to be less.
    const drop = await startDrop(place(), { settle: '4s' });
    try {
      const file = join(drop.path, 'acme', 'slow');
      for (let line = 0; line < 12; line += 1) {
        appendFileSync(file, `line ${line}\n`);
        await sleep(400);
      }
      assert.deepEqual(drop.names('acme'), ['slow']);
      await until('it is sent', async () => (await drop.sent()).length === 1);
      const [record] = await drop.sent();
      assert.match(await drop.text(record), /line 0\n(?:.*\n)*line 11\n$/);
    } finally {
      await drop.close();
    }
  });

  it('puts what cannot be sent into failed, with the reason, and never over another file', async () => {
    const drop = await startDrop(place(), { maxSize: '1KiB' });
    try {
      const fill = () => {
        writeFileSync(join(drop.path, 'acme', 'empty'), '');
        writeFileSync(join(drop.path, 'acme', 'large'), Buffer.alloc(1025));
        writeFileSync(join(drop.path, 'acme', 'two.eml'), 'From: <a@b.example>\nFrom: <c@d.example>\n\n1');
        writeFileSync(join(drop.path, 'acme', 'con\ntrol'), '1');
        writeFileSync(Buffer.concat([Buffer.from(join(drop.path, 'acme', 'x')), Buffer.from([0xff])]), '1');
        writeFileSync(join(drop.path, 'acme', `${'n'.repeat(250)}.x`), Buffer.alloc(1025));
        writeFileSync(join(drop.path, 'lost'), '1');
        mkdirSync(join(drop.path, 'nobody'), { recursive: true });
        writeFileSync(join(drop.path, 'nobody', 'order'), '1');
        mkdirSync(join(drop.path, 'foreign'), { recursive: true });
        writeFileSync(join(drop.path, 'foreign', 'order'), '1');
        writeFileSync(join(drop.path, 'acme', 'edge'), Buffer.alloc(1024));
      };
      fill();
      const failed = (partner: string) => {
        const folder = join(drop.path, 'failed', partner);
        // neither the reasons nor their drafts
        const names = existsSync(folder) ? readdirSync(folder) : [];
        return names.filter((each) => !each.endsWith('.json') && !each.startsWith('.'));
      };
      await until('all have failed', () => failed('acme').length === 6 && failed('foreign').length === 1);
      await until('nobody', () => failed('nobody').length === 1 && failed('no-partner').length === 1);
      await until('edge is sent', async () => (await drop.sent()).length === 1);
      const codes = ['empty', 'large', 'two.eml', 'con\ntrol', 'x%FF'].map(
        (name) => drop.reason('acme', name).code,
      );
      assert.deepEqual(codes, [
        'message-empty',
        'message-too-large',
        'mime-malformed',
        'request-invalid',
        'request-invalid',
      ]);
      const unknown = drop.reason('nobody', 'order');
      const foreign = drop.reason('foreign', 'order');
      assert.equal(unknown.code, 'partner-unknown');
      assert.equal(foreign.message, unknown.message?.replace('nobody', 'foreign'));
      assert.equal(foreign.hint, unknown.hint);
      assert.equal(drop.reason('no-partner', 'lost').code, 'partner-unknown');
      fill();
      await until('all have failed again', () => failed('acme').length === 12);
      assert.equal(failed('acme').filter((name) => /^large\.[0-9a-f]{16}$/.test(name)).length, 1);
      assert.equal(readdirSync(join(drop.path, 'failed', 'acme')).length, 24, 'a reason beside each');
      assert.equal((await drop.sent()).length, 1, 'edge has the same name and content: one message');
    } finally {
      await drop.close();
    }
  });

  it('continues what a crash left, and sends nothing twice', async () => {
    let committed = 0;
    let dead = true;
    const drop = await startDrop(place(), {}, undefined, {}, (real) => ({
      async submit(file) {
        const result = await real.submit(file);
        committed += 1;
        // It died between the commit and the removal.
        if (dead) throw new SealpostError('redis-unreachable', 'dead');
        return result;
      },
    }));
    try {
      writeFileSync(join(drop.path, 'acme', 'order'), 'once');
      await until('it is committed', () => committed > 0);
      await drop.folder.stop(1000);
      assert.equal(kept(drop.path).length, 1);
      dead = false;
      drop.another();
      await until('it is removed', () => kept(drop.path).length === 0);
      assert.equal((await drop.sent()).length, 1);
      writeFileSync(join(drop.path, 'acme', 'order'), 'another');
      await until('other content is another message', async () => (await drop.sent()).length === 2);
      writeFileSync(join(drop.path, 'acme', 'order-2'), 'once');
      await until('and so is another name', async () => (await drop.sent()).length === 3);
    } finally {
      await drop.close();
    }
  });

  it('is worked on by one process, and by the next when that one stops', async () => {
    const sent = { first: 0, second: 0 };
    const counted = (who: keyof typeof sent) => (real: DropDoor) => ({
      submit(file: DroppedFile) {
        sent[who] += 1;
        return real.submit(file);
      },
    });
    const drop = await startDrop(place(), {}, undefined, {}, counted('first'));
    try {
      writeFileSync(join(drop.path, 'acme', 'a'), '1');
      await until('the first sends', () => sent.first === 1);
      drop.another(counted('second'));
      writeFileSync(join(drop.path, 'acme', 'b'), '1');
      await until('b is sent', async () => (await drop.sent()).length === 2);
      assert.deepEqual(sent, { first: 2, second: 0 });
      await drop.folder.stop(1000);
      writeFileSync(join(drop.path, 'acme', 'c'), '1');
      await until('the second sends', () => sent.second === 1);
    } finally {
      await drop.close();
    }
  });

  it('waits while the client is unknown or the store is away, and goes on by itself', async () => {
    let full = true;
    const drop = await startDrop(place(), {}, undefined, {}, (real) => ({
      submit(file) {
        if (full) throw new SealpostError('queue-full', 'no room');
        return real.submit(file);
      },
    }));
    try {
      writeFileSync(join(drop.path, 'acme', 'order'), '1');
      await until('there is a trouble', () => /no room/.test(drop.folder.trouble?.why ?? ''));
      full = false;
      await until('it is sent', async () => (await drop.sent()).length === 1);
      await until('the trouble is over', () => drop.folder.trouble === undefined);
      const { clients } = drop.registry.document;
      const own = clients.at(-1);
      await drop.registry.change((document) => void document.clients.pop());
      writeFileSync(join(drop.path, 'acme', 'later'), '1');
      await until('the client is missed', () => /there is no client/.test(drop.folder.trouble?.why ?? ''));
      assert.deepEqual(drop.names('acme'), ['later'], 'nothing is taken');
      await drop.registry.change((document) => void (own && document.clients.push(own)));
      await until('it is sent, too', async () => (await drop.sent()).length === 2);
    } finally {
      await drop.close();
    }
  });

  it('that is not there is named by check and by the role, and is read when it comes', async () => {
    const drop = await startDrop(place(), { scan: '1s' }, (path) => rmSync(path, { recursive: true }));
    const checked = async () => {
      const file = join(test.server.dataDir, 'check.yaml');
      const partner = { name: 'acme', addresses: ['a@acme.example'], encrypt: false, sign: 'none' };
      const folders = [{ path: drop.path, client: 'erp' }];
      writeFileSync(file, stringify({ dataDir: test.server.dataDir, partners: [partner], folders }));
      return (await checkConfig(file)).filter(({ setting }) => setting.startsWith('folders'));
    };
    try {
      const why = () => drop.folder.trouble?.why;
      await until('it is said', () => why() === `${drop.path}: there is no such folder`);
      const [problem, ...more] = await checked();
      assert.deepEqual([problem?.severity, more.length], ['warning', 0]);
      assert.match(problem?.message ?? '', /does not exist, so nothing is read from it$/);
      mkdirSync(drop.path);
      await until('it is read', () => why() === undefined);
      assert.deepEqual(await checked(), []);
    } finally {
      await drop.close();
    }
  });

  it('sends the oldest first, and by name, with few calls for many files', async () => {
    const order: string[] = [];
    let most = 0;
    let at = 0;
    const count = 1500;
    const drop = await startDrop(
      place(),
      {},
      (path) => {
        for (let file = 0; file < count; file += 1) {
          const name = join(path, 'acme', `f${String((file * 7919) % count).padStart(5, '0')}`);
          writeFileSync(name, '1');
          utimesSync(name, 1000, 1000);
        }
        writeFileSync(join(path, 'acme', 'zz-oldest'), '1');
        utimesSync(join(path, 'acme', 'zz-oldest'), 1, 1);
      },
      {},
      () => ({
        async submit({ name, octets }) {
          order.push(name);
          at += 1;
          most = Math.max(most, at);
          for await (const _ of octets);
          at -= 1;
          return [{ id: 'o1', duplicate: false }];
        },
      }),
    );
    try {
      await until('all are sent', () => order.length === count + 1 && drop.names('acme').length === 0);
      assert.ok(order.indexOf('zz-oldest') < 16);
      assert.ok(most <= 16, `${most} at a time`);
      // With sixteen at a time, each is at most a few places away from its own.
      const names = order.filter((name) => name !== 'zz-oldest');
      const sorted = names.toSorted();
      const far = names.filter((name, index) => Math.abs(sorted.indexOf(name) - index) > 32);
      assert.deepEqual(far, []);
    } finally {
      await drop.close();
      rmSync(drop.path, { recursive: true, force: true });
    }
  });
});
