/** Short ways for tests to put a message through the queue. */
import type { IntakeResult, QueueRoom } from '../../src/queue/index.ts';

/** Stores octets for a mailbox, as the SMTP listener would. */
export async function accept(
  queue: QueueRoom,
  octets: Buffer | string,
  mailbox = 'edi',
): Promise<IntakeResult> {
  const writer = queue.intake.begin();
  await writer.write(Buffer.from(octets));
  const [result] = await queue.intake.commit(writer, [
    {
      mailbox,
      origin: { kind: 'smtp', detail: { address: '192.0.2.1' } },
      envelope: { from: 'partner@example.com', to: ['edi@example.net'] },
      messageId: '<1@example.com>',
    },
  ]);
  if (!result) throw new Error('nothing was accepted');
  return result;
}

/** Waits until `test` returns something other than undefined or false; fails after two minutes. */
export async function until<T>(test: () => Promise<T | undefined | false>): Promise<T> {
  const deadline = Date.now() + 300_000;
  for (;;) {
    const value = await test();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline) throw new Error('it did not happen');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
