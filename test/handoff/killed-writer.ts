/** A process that is in the middle of writing a large message for ever: its test kills it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createDestination } from '../../src/handoff/index.ts';
import { crlf, delivery, deps, never } from './support.ts';

async function* content() {
  yield crlf('Content-Type: text/plain\n\n');
  for (let chunk = 0; ; chunk++) {
    yield Buffer.alloc(65536, 'x');
    if (chunk === 4) process.stdout.write('in the middle\n');
    if (chunk > 4) await sleep(50);
  }
}

const made = await createDestination({ type: 'directory', path: String(process.argv[2]) }, deps());
await made.deliver(delivery(Buffer.alloc(0), { content, contentOctets: 100_000_000 }), never);
