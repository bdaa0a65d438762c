/** The HTTP API for programs. Holds no S/MIME keys, and its environment has no passwords of any. */
import { createApi } from '../src/api/index.ts';
import { runRole } from '../src/daemon/index.ts';

await runRole('api', async ({ config, log, queue, takeOver }) => {
  const api = await createApi({ config, log, queue });
  const bound = await api.listen(takeOver);
  return { facts: { api: bound }, drain: (timeoutMs) => api.close(timeoutMs) };
});
