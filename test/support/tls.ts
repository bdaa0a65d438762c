import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runOk } from './peers/run.ts';

export interface TlsFiles {
  cert: string;
  key: string;
  pem: string;
  remove(): void;
}

/** A self-made certificate for localhost and 127.0.0.1, by openssl. */
export async function makeTlsFiles(): Promise<TlsFiles> {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-tls-'));
  const cert = join(folder, 'cert.pem');
  const key = join(folder, 'key.pem');
  const args = 'req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost'.split(' ');
  const names = ['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  await runOk('openssl', [...args, ...names, '-keyout', key, '-out', cert]);
  return {
    cert,
    key,
    pem: readFileSync(cert, 'utf8'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
