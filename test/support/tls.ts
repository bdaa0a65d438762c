import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runOk } from './peers/run.ts';

export interface TlsFiles {
  cert: string;
  key: string;
  pem: string;
  remove(): void;
}

/** A self-made certificate by openssl. */
export async function makeTlsFiles(names = 'DNS:localhost,IP:127.0.0.1', days = 2): Promise<TlsFiles> {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-tls-'));
  const cert = join(folder, 'cert.pem');
  const key = join(folder, 'key.pem');
  const args = `req -x509 -newkey rsa:2048 -nodes -days ${days} -subj /CN=localhost`.split(' ');
  const named = ['-addext', `subjectAltName=${names}`];
  await runOk('openssl', [...args, ...named, '-keyout', key, '-out', cert]);
  return {
    cert,
    key,
    pem: readFileSync(cert, 'utf8'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** A certificate that an authority of its own has issued; the authority is the second one in the file. */
export async function makeIssuedTls(
  names: string,
  extensions: string[] = [],
): Promise<TlsFiles & { ca: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-tls-'));
  const file = (name: string) => join(folder, name);
  const openssl = (line: string) => runOk('openssl', line.split(' '), { cwd: folder });
  await openssl('req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem');
  await openssl('req -newkey rsa:2048 -nodes -subj /CN=server -keyout key.pem -out server.csr');
  writeFileSync(file('names'), [`subjectAltName=${names}`, ...extensions, ''].join('\n'));
  await openssl(
    'x509 -req -in server.csr -CA ca.pem -CAkey ca.key -set_serial 2 -days 2 -extfile names -out server.pem',
  );
  const pem = readFileSync(file('server.pem'), 'utf8') + readFileSync(file('ca.pem'), 'utf8');
  writeFileSync(file('cert.pem'), pem);
  return {
    ...{ cert: file('cert.pem'), key: file('key.pem'), ca: file('ca.pem'), pem },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
