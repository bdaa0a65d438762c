/**
 * The steps of a message, one file each: `decode` and `deliver` inbound, `submit` and `send` outbound, and `report` for
 * suspended messages. A step takes everything that it works with (spool, queue, keys, destinations, clock) as
 * arguments, and opens nothing. The processes in `workers/` open these parts, register a step with its queue, and
 * drain. Every door for mail to a partner calls `submit`. Begin with `decode.ts`; `stored.ts` is what it leaves for
 * `deliver.ts`. The two steps that need the codec are loaded when they are made.
 */

import type { PartnerConfig } from '../config/index.ts';
import type { SubmissionDoor } from '../smtp/index.ts';
import type { DecodeParts, decodeStep as makeDecodeStep } from './decode.ts';
import type { DecoderParts, decoderOptions as makeDecoderOptions } from './decoding.ts';
import type { DropDoorParts, dropDoor as makeDropDoor } from './drop-door.ts';
import type { ExplainerParts } from './explanation.ts';
import type { alertMailer as makeAlertMailer, noticeMailer as makeNoticeMailer } from './own-mail.ts';
import type { queueDoor as makeQueueDoor, QueueDoorParts } from './queue-door.ts';
import type { sendStep as makeSendStep, SendParts } from './send.ts';
import type { SubmissionDoorParts } from './submission-door.ts';

/** See `decodeStep` in `decode.ts`. */
export async function decodeStep(parts: DecodeParts): Promise<ReturnType<typeof makeDecodeStep>> {
  return (await import('./decode.ts')).decodeStep(parts);
}

/** See `explain` in `explanation.ts`, which is loaded with the first message that is refused. */
export function explainer(
  parts: Omit<ExplainerParts, 'partners'> & { partners: readonly PartnerConfig[] },
): DecodeParts['explain'] {
  let loaded: Promise<DecodeParts['explain']> | undefined;
  const load = async (): Promise<DecodeParts['explain']> => {
    const [{ explain }, { PartnerBook }] = await Promise.all([
      import('./explanation.ts'),
      import('./submit.ts'),
    ]);
    const made = { ...parts, partners: new PartnerBook(parts.partners) };
    return (...message) => explain(made, ...message);
  };
  return async (...message) => {
    loaded ??= load();
    return await (await loaded)(...message);
  };
}

/** See `alertMailer` in `own-mail.ts`, which is loaded with the first mail. */
export function alertMail(...given: Parameters<typeof makeAlertMailer>): ReturnType<typeof makeAlertMailer> {
  let loaded: Promise<ReturnType<typeof makeAlertMailer>> | undefined;
  return async (mail, key) => {
    loaded ??= import('./own-mail.ts').then(({ alertMailer }) => alertMailer(...given));
    return await (await loaded)(mail, key);
  };
}

/** See `noticeMailer` in `own-mail.ts`, which is loaded with the first mail. */
export function noticeMail(
  ...given: Parameters<typeof makeNoticeMailer>
): ReturnType<typeof makeNoticeMailer> {
  let loaded: Promise<ReturnType<typeof makeNoticeMailer>> | undefined;
  return async (...notice) => {
    loaded ??= import('./own-mail.ts').then(({ noticeMailer }) => noticeMailer(...given));
    return await (await loaded)(...notice);
  };
}

/** See `decoderOptions` in `decoding.ts`. */
export async function decoderOptions(parts: DecoderParts): Promise<ReturnType<typeof makeDecoderOptions>> {
  return (await import('./decoding.ts')).decoderOptions(parts);
}

/** See `sendStep` in `send.ts`. */
export async function sendStep(parts: SendParts): Promise<ReturnType<typeof makeSendStep>> {
  return (await import('./send.ts')).sendStep(parts);
}

/** See `submissionDoor` in `submission-door.ts`. */
export async function openSubmissionDoor(parts: SubmissionDoorParts): Promise<SubmissionDoor> {
  return (await import('./submission-door.ts')).submissionDoor(parts);
}

/** See `drop-door.ts`. The partner book is already made. */
export async function openDropDoor(
  parts: Omit<DropDoorParts, 'partners'> & { partners: readonly PartnerConfig[] },
): Promise<ReturnType<typeof makeDropDoor>> {
  const [{ dropDoor }, { PartnerBook }] = await Promise.all([
    import('./drop-door.ts'),
    import('./submit.ts'),
  ]);
  return dropDoor({ ...parts, partners: new PartnerBook(parts.partners) });
}

/** See `queue-door.ts`. The partner book is already made. */
export async function openQueueDoor(
  parts: Omit<QueueDoorParts, 'partners'> & { partners: readonly PartnerConfig[] },
): Promise<ReturnType<typeof makeQueueDoor>> {
  const [{ queueDoor }, { PartnerBook }] = await Promise.all([
    import('./queue-door.ts'),
    import('./submit.ts'),
  ]);
  return queueDoor({ ...parts, partners: new PartnerBook(parts.partners) });
}

export type { DecodeParts } from './decode.ts';
export type { DecoderParts } from './decoding.ts';
export { type DeliverParts, deliverStep } from './deliver.ts';
export {
  contentUrls,
  type Destinations,
  type DestinationsParts,
  openDestinations,
  openLocalDestinations,
  openReportRoutes,
  type ReportRoute,
  type ReportRoutes,
} from './destinations.ts';
export { type ReportParts, reportStep } from './report.ts';
export type { SendParts } from './send.ts';
export { readStoredContent } from './stored.ts';
export { Turns } from './turns.ts';
