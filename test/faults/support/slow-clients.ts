/**
 * Slow clients in a process of their own, since each needs a descriptor at both ends: `node slow-clients.ts PORT
 * FIRST_ADDRESS ADDRESSES EACH`. Client n of them sits at 127.1.n/250.n%250+2. Every five seconds each says one octet
 * of a command that never ends. It reports to its parent how many were greeted, refused with 421, and are open now.
 */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface SlowClients {
  greeted: number;
  refused: number;
  open: number;
  /** Neither greeted nor refused yet. */
  waiting: number;
}

const [port = 0, first = 0, addresses = 0, each = 0] = process.argv.slice(2).map(Number);
const counts: SlowClients = { greeted: 0, refused: 0, open: 0, waiting: addresses * each };

function begin(localAddress: string): void {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  let answered = false;
  const answer = (text: string) => {
    if (answered) return;
    answered = true;
    counts.waiting -= 1;
    if (text.startsWith('220')) counts.greeted += 1;
    if (text.startsWith('421')) counts.refused += 1;
  };
  counts.open += 1;
  const timer = setInterval(() => socket.writable && socket.write('E'), 5000);
  socket.on('data', (chunk) => answer(chunk.toString('latin1')));
  socket.on('error', () => {});
  socket.on('close', () => {
    clearInterval(timer);
    counts.open -= 1;
    answer('');
  });
}

setInterval(() => process.send?.(counts), 100);
process.on('disconnect', () => process.exit());
for (let at = first; at < first + addresses; at++) {
  for (let count = 0; count < each; count++) begin(`127.1.${Math.floor(at / 250)}.${(at % 250) + 2}`);
  // A listener's backlog is some hundred.
  await sleep(40);
}
