/** The console for people. Holds no S/MIME keys and none of their passwords. */
import { createConsole } from '../src/console/index.ts';
import { runRole } from '../src/daemon/index.ts';

void runRole('console', async ({ config, log, queue, takeOver }) => {
  const room = await createConsole({ config, log, queue });
  const bound = await room.listen(takeOver);
  return { facts: { console: bound }, drain: (timeoutMs) => room.close(timeoutMs) };
});
