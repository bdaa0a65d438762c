/** `smtp-sink` of Postfix, which takes every mail and keeps none. */
import { spawn } from 'node:child_process';
import { freePort } from '../test/support/net.ts';

export async function startSink(): Promise<{ port: number; stop: () => void }> {
  const port = await freePort();
  // As root it wants to be told whom to become.
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const sink = spawn('smtp-sink', [...user, '-c', `127.0.0.1:${port}`, '1000'], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
  });
  sink.on('exit', (code) => {
    if (code !== null) throw new Error(`smtp-sink ended with ${code}`);
  });
  return { port, stop: () => void sink.kill() };
}
