/**
 * The steps of a message, one file each: `decode` and `deliver` inbound, `submit` and `send` outbound, and `report` for
 * suspended messages. A step takes everything it works with (spool, queue, keys, destinations, clock) as arguments, and
 * opens nothing. The processes in `workers/` open these parts, register a step with its queue, and drain. `submit` is
 * called by every entrance for mail to a partner. Start reading with `decode.ts`; `stored.ts` is what it leaves for
 * `deliver.ts`.
 */
export { type DecodeParts, decodeStep } from './decode.ts';
export { type DecoderParts, decoderOptions } from './decoding.ts';
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
export { type SendParts, sendStep } from './send.ts';
export { readStoredContent } from './stored.ts';
export { Turns } from './turns.ts';
