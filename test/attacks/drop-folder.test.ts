/** Attacks of somebody who may write into the folder of a partner: links, FIFOs, a file exchanged while it is read. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  existsSync,
  ftruncateSync,
  futimesSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { stringify } from 'yaml';
import { checkConfig } from '../../src/config/check.ts';
import { startDrop } from '../support/drop.ts';
import { until } from '../support/net.ts';
import { useTestQueue } from '../support/queue.ts';

describe('attacks on a drop folder', () => {
  let test: Parameters<Parameters<typeof useTestQueue>[0]>[0];
  useTestQueue((opened) => {
    test = opened;
  });
  const place = () => ({ queue: test.queue, dataDir: test.server.dataDir });
  const secret = () => {
    const file = join(test.server.dataDir, 'secret');
    writeFileSync(file, 'the secret', { mode: 0o600 });
    return file;
  };

  it('a symlink, a hard link, a FIFO and a socket are refused, without blocking and unread', async () => {
    const file = secret();
    const drop = await startDrop(place());
    const sockets = createServer();
    try {
      const acme = join(drop.path, 'acme');
      symlinkSync(file, join(acme, 'symlink'));
      symlinkSync('/dev/zero', join(acme, 'device'));
      linkSync(file, join(acme, 'hardlink'));
      execFileSync('mkfifo', [join(acme, 'fifo')]);
      await new Promise<void>((resolve) => sockets.listen(join(acme, 'socket'), resolve));
      writeFileSync(join(acme, 'order'), '1');
      const names = ['symlink', 'device', 'hardlink', 'fifo', 'socket'];
      await until('all have failed', () =>
        names.every((name) => existsSync(join(drop.path, 'failed', 'acme', `${name}.error.json`))),
      );
      for (const name of names) assert.equal(drop.reason('acme', name).code, 'file-access', name);
      await until('the file beside them is sent', async () => (await drop.sent()).length === 1);
      assert.equal(readFileSync(file, 'utf8'), 'the secret');
    } finally {
      sockets.close();
      await drop.close();
    }
  });

  it("a link in the place of a partner's folder is not followed, and the other partners are served", async () => {
    const elsewhere = join(test.server.dataDir, 'elsewhere');
    mkdirSync(elsewhere, { recursive: true });
    writeFileSync(join(elsewhere, 'private'), 'the secret');
    const drop = await startDrop(place(), {}, (path) => {
      rmSync(join(path, 'acme'), { recursive: true });
      symlinkSync(elsewhere, join(path, 'acme'));
    });
    try {
      writeFileSync(join(drop.path, 'globex', 'order'), '1');
      await until('globex is served', async () => (await drop.sent('globex')).length === 1);
      await until('it is said', () => /acme: is a link/.test(drop.folder.trouble?.why ?? ''));
      assert.deepEqual(readdirSync(elsewhere), ['private']);
      assert.equal((await drop.sent()).length, 0);
    } finally {
      await drop.close();
    }
  });

  it('a link in the place of failed, or of the private folder, is not followed, and nothing is taken', async () => {
    for (const name of ['failed', '.sealpost']) {
      const elsewhere = join(test.server.dataDir, `elsewhere-${name}`);
      mkdirSync(elsewhere, { recursive: true });
      const drop = await startDrop(place(), {}, (path) => symlinkSync(elsewhere, join(path, name)));
      try {
        writeFileSync(join(drop.path, 'acme', 'empty'), '');
        await until('it is said', () => drop.folder.trouble !== undefined || name === 'failed');
        await new Promise((resolve) => setTimeout(resolve, 600));
        assert.deepEqual(readdirSync(elsewhere), []);
        assert.deepEqual(drop.names('acme'), ['empty']);
      } finally {
        await drop.close();
      }
    }
  });

  it('a private folder that others made or may use is not used', async () => {
    const drop = await startDrop(place(), {}, (path) => {
      mkdirSync(join(path, '.sealpost'));
      chmodSync(join(path, '.sealpost'), 0o770);
    });
    try {
      await until('it is said', () => /others may use it/.test(drop.folder.trouble?.why ?? ''));
    } finally {
      await drop.close();
    }
  });

  it('a writer that still holds the file cannot alter what is sent, while it is read or after', async () => {
    const size = 1_000_000;
    let handle = 0;
    let tries = 0;
    const drop = await startDrop(place(), {}, undefined, {}, (real) => ({
      submit(file) {
        tries += 1;
        const first = tries === 1;
        async function* octets() {
          let seen = 0;
          for await (const piece of file.octets) {
            yield piece;
            seen += piece.length;
            // The second half is other than the first; its size and time are put back.
            if (first && seen < size && seen + piece.length >= size / 2) alter();
          }
        }
        return real.submit({ ...file, octets: octets() });
      },
    }));
    const alter = () => {
      writeSync(handle, Buffer.alloc(size, 'B'), 0, size, 0);
      futimesSync(handle, 1000, 1000);
    };
    try {
      writeFileSync(join(drop.path, 'draft.tmp'), Buffer.alloc(size, 'A'));
      handle = openSync(join(drop.path, 'draft.tmp'), 'r+');
      // A time that can be put back to the nanosecond.
      futimesSync(handle, 1000, 1000);
      renameSync(join(drop.path, 'draft.tmp'), join(drop.path, 'acme', 'order'));
      await until('it is sent', async () => (await drop.sent()).length === 1);
      const text = (await drop.text((await drop.sent())[0])).split('\r\n\r\n')[1] ?? '';
      assert.equal(text.length, size);
      assert.ok(/^(?:A+|B+)$/.test(text), 'all of one time');
      assert.equal(tries, 2);
    } finally {
      closeSync(handle);
      await drop.close();
    }
  });

  it('what is written after the last octet was read is kept, and said', async () => {
    let handle = 0;
    const drop = await startDrop(place(), {}, undefined, {}, (real) => ({
      async submit(file) {
        const result = await real.submit(file);
        ftruncateSync(handle, 0);
        return result;
      },
    }));
    try {
      writeFileSync(join(drop.path, 'draft.tmp'), 'order');
      handle = openSync(join(drop.path, 'draft.tmp'), 'r+');
      renameSync(join(drop.path, 'draft.tmp'), join(drop.path, 'acme', 'order'));
      await until('it is in failed', () => existsSync(join(drop.path, 'failed', 'acme', 'order')));
      assert.match(
        drop.reason('acme', 'order').message ?? '',
        /was changed after it was sent as o[0-9a-f]{31}/,
      );
      assert.match(await drop.text((await drop.sent())[0]), /order$/);
    } finally {
      closeSync(handle);
      await drop.close();
    }
  });

  it('a folder that everyone may write to is not read, and fails the check', async () => {
    const drop = await startDrop(place(), {}, (path) => {
      writeFileSync(join(path, 'acme', 'order'), '1');
      chmodSync(join(path, 'acme'), 0o777);
    });
    try {
      await until('it is said', () => /everyone may write there/.test(drop.folder.trouble?.why ?? ''));
      assert.deepEqual(drop.names('acme'), ['order']);
      const checked = async () => {
        const file = join(test.server.dataDir, 'check.yaml');
        const partner = { name: 'acme', addresses: ['a@acme.example'], encrypt: false, sign: 'none' };
        const folders = [{ path: drop.path, client: 'erp' }];
        writeFileSync(file, stringify({ dataDir: test.server.dataDir, partners: [partner], folders }));
        const problems = await checkConfig(file);
        return problems.filter(({ severity }) => severity === 'error').map(({ message }) => message);
      };
      assert.deepEqual(await checked(), [`${join(drop.path, 'acme')}: everyone may write there`]);
      chmodSync(join(drop.path, 'acme'), 0o770);
      assert.deepEqual(await checked(), []);
      symlinkSync(test.server.dataDir, join(drop.path, 'other'));
      assert.deepEqual(await checked(), [`${join(drop.path, 'other')} is a link`]);
    } finally {
      await drop.close();
    }
  });
});
