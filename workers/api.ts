/** The HTTP API for programs, and the webhook for events. Holds no S/MIME keys and none of their passwords. */
import { createApi, openEventWebhook } from '../src/api/index.ts';
import { runRole } from '../src/daemon/index.ts';
import { roomLog } from '../src/log.ts';

void runRole('api', async ({ config, log, queue, takeOver }) => {
  const { events } = config;
  const webhook = events && (await openEventWebhook({ ...queue, config: events, log: roomLog(log, 'api') }));
  const api =
    config.api.port === undefined ? undefined : await createApi({ config, log: roomLog(log, 'api'), queue });
  const bound = await api?.listen(takeOver);
  return {
    facts: { ...(bound === undefined ? {} : { api: bound }), webhooks: webhook ? 1 : 0 },
    troubles() {
      const trouble = webhook?.trouble();
      return trouble ? [{ what: 'webhook for events', ...trouble }] : [];
    },
    async drain(timeoutMs) {
      await Promise.all([api?.close(timeoutMs), webhook?.close()]);
    },
  };
});
