/** Keys and messages for the benches, made by openssl in a temporary folder. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const sizes = {
  '10 KB': 10 * 1024,
  '1 MB': 1024 ** 2,
  '25 MB': 25 * 1024 ** 2,
  '100 MB': 100 * 1024 ** 2,
};
export type SizeName = keyof typeof sizes;

export interface Material {
  folder: string;
  key: string;
  cert: string;
  /** A file of base64 text of that size: what a business document looks like to a cipher. */
  content(size: SizeName): string;
  /** A mail, encrypted by openssl with the given cipher flag (such as -aes256), for `cert` unless given. */
  encrypted(size: SizeName, cipher: string, recipient?: { name: string; cert: string }): string;
  remove(): void;
}

export function openssl(args: string[]): Buffer {
  return execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1024 ** 3 });
}

const providers = ['-provider', 'legacy', '-provider', 'default'];

export function makeMaterial(): Material {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-bench-'));
  const key = join(folder, 'key.pem');
  const cert = join(folder, 'cert.pem');
  const files = ['-nodes', '-keyout', key, '-out', cert];
  openssl(['req', '-x509', '-newkey', 'rsa:2048', ...files, '-days', '30', '-subj', '/CN=bench']);
  const content = (size: SizeName) => {
    const file = join(folder, `content-${sizes[size]}`);
    if (!existsSync(file)) {
      const text = randomBytes(Math.ceil((sizes[size] * 3) / 4))
        .toString('base64')
        .slice(0, sizes[size] - 100);
      const lines = text.replace(/(.{74})/g, '$1\r\n');
      writeFileSync(file, `Content-Type: application/octet-stream\r\n\r\n${lines}`.slice(0, sizes[size]));
    }
    return file;
  };
  return {
    folder,
    key,
    cert,
    content,
    encrypted(size, cipher, recipient = { name: '', cert }) {
      const file = join(folder, `mail-${sizes[size]}${cipher}${recipient.name}.eml`);
      const into = ['-in', content(size), '-out', file, ...providers, recipient.cert];
      if (!existsSync(file)) openssl(['cms', '-encrypt', '-binary', cipher, ...into]);
      return file;
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
