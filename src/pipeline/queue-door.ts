/** What is behind the queue of a client: the client, the partners, and `submit`. */
import type { Client, Rates } from '../client/index.ts';
import { SealpostError } from '../errors.ts';
import type { OutboundIntake } from '../queue/index.ts';
import type { SealedRequest } from '../sealed/index.ts';
import { Outgoing, type PartnerBook, type Request, type Submitted, submit, type To } from './submit.ts';

export interface QueueDoorParts {
  /** Errors: `client-unknown`, `clients-changed`. */
  client(name: string): Client;
  partners: PartnerBook;
  intake: OutboundIntake;
  rates: Rates;
  now: () => Date;
}

/** A request from a queue, opened and of the right form. */
export type QueuedRequest = SealedRequest & { octets: Buffer };

export function queueDoor(
  parts: QueueDoorParts,
): (client: string, request: QueuedRequest) => Promise<Submitted[]> {
  const { partners, intake, rates, now } = parts;
  return async (name, request) => {
    const { from, metadata, idempotencyKey } = request;
    return await submit(
      { partners, rates, withIntake: (work) => work(intake), now },
      {
        client: parts.client(name),
        to: toOf(request),
        outgoing: outgoingOf(request),
        origin: { kind: 'queue', detail: { client: name } },
        from,
        metadata: metadata && { ...metadata },
        idempotencyKey,
        delivery: deliveryOf(request),
      },
    );
  };
}

function toOf({ partner, recipients }: QueuedRequest): To {
  if (partner !== undefined) return { partner, recipients };
  if (recipients !== undefined) return { recipients };
  throw new SealpostError('request-invalid', 'the message has no partner and no recipients');
}

function outgoingOf({ mail, filename, contentType, subject, octets }: QueuedRequest): Outgoing {
  if (mail) {
    if (filename !== undefined || contentType !== undefined || subject !== undefined)
      throw new SealpostError('request-invalid', 'a mail takes no filename, contentType or subject');
    return Outgoing.mail(() => [octets], 'the mail');
  }
  return Outgoing.content(() => [octets], 'the content', { type: contentType, name: filename, subject });
}

function deliveryOf({ priority, notBefore, notAfter }: QueuedRequest): Request['delivery'] {
  const delivery = {
    ...(priority === undefined ? {} : { priority }),
    ...(notBefore === undefined ? {} : { notBefore }),
    ...(notAfter === undefined ? {} : { notAfter }),
  };
  return Object.keys(delivery).length === 0 ? undefined : delivery;
}
