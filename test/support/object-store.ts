/**
 * A real object store for tests: Ceph's RADOS Gateway over one monitor and one storage daemon that keeps its objects
 * in memory, each a process of its own on loopback.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { freePort, reachable } from './net.ts';
import { runOk } from './peers/run.ts';
import { makeTlsFiles } from './tls.ts';

/** What must be installed; for `skipWithout`. */
export const objectStorePrograms = ['ceph-mon', 'ceph-osd', 'ceph', 'monmaptool', 'radosgw', 'radosgw-admin'];

export interface TestObjectStore {
  port: number;
  endpoint: string;
  tlsEndpoint: string;
  /** Certificate of the TLS endpoint. */
  caFile: string;
  /** Settings `spool.s3` for the bucket; the credentials are in files. */
  settings: Record<string, unknown>;
  /** As the owner of the bucket. */
  client: S3Client;
  bucket: string;
  /** kill -9 of the gateway; the objects stay. */
  kill(): Promise<void>;
  /** Starts the gateway again. */
  start(): Promise<void>;
  /** Ends everything and removes the folder. */
  stop(): Promise<void>;
}

/**
 * No authentication inside of the cluster: what is tested is the gateway. Short waits, so that it starts in seconds.
 */
function cephConf(folder: string, fsid: string, monitor: number, frontends: string): string {
  return `[global]
fsid = ${fsid}
mon host = [v2:127.0.0.1:${monitor}]
public addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
ms bind msgr1 = false
ms mon client mode = crc
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon max pg per osd = 1000
paxos propose interval = 0.05
paxos min wait = 0.01
mon tick interval = 1
osd heartbeat interval = 1
run dir = ${folder}
admin socket = ${folder}/$name.asok
pid file = ${folder}/$name.pid
log file = ${folder}/$name.log
crash dir = ${folder}
[mon.a]
mon data = ${folder}/mon
mon data avail crit = 1
mon data avail warn = 2
[osd.0]
osd data = ${folder}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd memory target = 939524096
[client.rgw]
rgw data = ${folder}/rgw
rgw frontends = ${frontends}
rgw thread pool size = 32
rgw num rados handles = 1
rgw enable lc threads = false
rgw enable quota threads = false
rgw run sync thread = false
`;
}

/** Starts a store with a user and a bucket. It takes some seconds. */
export async function startObjectStore(): Promise<TestObjectStore> {
  const folder = mkdtempSync(join(tmpdir(), 'sealpost-s3-'));
  for (const name of ['mon', 'osd', 'rgw']) mkdirSync(join(folder, name));
  const tls = await makeTlsFiles();
  const [monitor, port, tlsPort] = [await freePort(), await freePort(), await freePort()];
  const frontends = `beast endpoint=127.0.0.1:${port} ssl_endpoint=127.0.0.1:${tlsPort} ssl_certificate=${tls.cert} ssl_private_key=${tls.key}`;
  const fsid = randomUUID();
  const conf = join(folder, 'ceph.conf');
  writeFileSync(conf, cephConf(folder, fsid, monitor, frontends));
  const tool = (program: string, ...args: string[]) =>
    runOk(program, ['-c', conf, ...args], { timeout: 60_000, env: { CEPH_CONF: conf } });

  const running = new Set<ChildProcess>();
  const run = (program: string, ...args: string[]): ChildProcess => {
    const output = openSync(join(folder, `${program}.out`), 'a');
    const child = spawn(program, ['-c', conf, '-f', ...args], { stdio: ['ignore', output, output] });
    running.add(child);
    child.once('exit', () => running.delete(child));
    return child;
  };
  const killAll = () => {
    for (const child of running) child.kill('SIGKILL');
  };
  process.once('exit', killAll);
  const ended = (child: ChildProcess) =>
    new Promise<void>((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve();
      else child.once('exit', () => resolve());
    });

  const keyring = join(folder, 'keyring');
  await runOk('ceph-authtool', [
    '--create-keyring',
    keyring,
    '--gen-key',
    '-n',
    'mon.',
    '--cap',
    'mon',
    'allow *',
  ]);
  const map = join(folder, 'monmap');
  await runOk('monmaptool', ['--create', '--fsid', fsid, '--addv', 'a', `[v2:127.0.0.1:${monitor}]`, map]);
  await tool('ceph-mon', '-i', 'a', '--mkfs', '--keyring', keyring, '--monmap', map);
  run('ceph-mon', '-i', 'a');
  const osd = randomUUID();
  await tool('ceph', 'osd', 'new', osd);
  await tool('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', osd);
  await tool('ceph', 'osd', 'crush', 'add', 'osd.0', '1', 'root=default', 'host=localhost');
  run('ceph-osd', '-i', '0');
  const [id, secret] = ['SEALPOSTTEST', 'a-secret-of-the-tests'];
  const keys = ['--access-key', id, '--secret-key', secret];
  await tool('radosgw-admin', '-n', 'client.rgw', 'user', 'create', '--uid=t', '--display-name=t', ...keys);

  let gateway: ChildProcess;
  const start = async () => {
    gateway = run('radosgw', '-n', 'client.rgw');
    await reachable(port);
  };
  await start();
  const endpoint = `http://127.0.0.1:${port}`;
  const credentials = { accessKeyId: id, secretAccessKey: secret };
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials });
  const bucket = 'spool';
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  const secretFile = (name: string, text: string) => {
    writeFileSync(join(folder, name), `${text}\n`, { mode: 0o600 });
    return { file: join(folder, name) };
  };
  return {
    port,
    endpoint,
    tlsEndpoint: `https://localhost:${tlsPort}`,
    caFile: tls.cert,
    settings: {
      endpoint,
      bucket,
      pathStyle: true,
      accessKeyId: secretFile('access-key-id', id),
      secretAccessKey: secretFile('secret-access-key', secret),
    },
    client,
    bucket,
    async kill() {
      gateway.kill('SIGKILL');
      await ended(gateway);
    },
    start,
    async stop() {
      process.off('exit', killAll);
      client.destroy();
      const children = [...running];
      killAll();
      await Promise.all(children.map(ended));
      tls.remove();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
