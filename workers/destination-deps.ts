import type { Config, MailboxConfig } from '../src/config/schema.ts';
import { readSecret } from '../src/config/secrets.ts';
import type { RoleContext } from '../src/daemon/role.ts';
import { type DestinationDeps, UrlSigner } from '../src/handoff/index.ts';

/** What every destination is made with. */
export function destinationDeps(
  { config, queue, log }: RoleContext,
  bodyPart: MailboxConfig['bodyPart'],
): DestinationDeps {
  const base = publicUrlOf(config.http);
  const signer = base === undefined ? undefined : new UrlSigner(queue.deriveKey('content url'), base);
  return {
    readSecret,
    signedUrl: signer && ((delivery, piece) => signer.sign(delivery.id, Date.now(), piece)),
    connectRedis: (prefix) => queue.connect('handoff', prefix),
    ensureKept: (connection, key) => queue.ensureKept(connection, key),
    redisPrefix: config.redis.prefix,
    bodyPart,
    limits: config.limits,
    log,
    now: Date.now,
  };
}

/** Where the HTTP listener is reached, when there is one. */
function publicUrlOf({ host, port, publicUrl }: Config['http']): string | undefined {
  return port === undefined ? undefined : (publicUrl ?? `http://${host}:${port}`);
}
