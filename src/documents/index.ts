/**
 * `sealpost/types`: what other programs get from Sealpost, as schemas (zod) with their types. The JSON Schemas in docs/
 * are made from these, and what makes the documents takes its types from here, so they are one. What is exported here
 * is public; a new version may add fields.
 */

export { type Verdict, verdictSchema as verdictDocument } from '../smime/verdict/verdict-schema.ts';
export {
  type AlertChangeDocument,
  type AlertsDocument,
  alertChange,
  alertFields,
  alertsDocument,
} from './alert.ts';
export {
  type EventsDocument,
  eventsDocument,
  type MessageEvent,
  messageEvent,
} from './event.ts';
export { type HandoffDocument, handoffDocument, type TestDocument, testDocument } from './handoff.ts';
export { type ReportDocument, reportDocument } from './report.ts';
