/**
 * DKIM (RFC 6376, RFC 8463): signatures of domains over whole mails, and the records of their keys. Begin with
 * `signing.ts`. What is signed are the octets that leave, so nothing may change them afterwards.
 */
export { type RecordFault, recordFault, recordLine, recordName, recordText } from './record.ts';
export type { DkimKey } from './signature.ts';
export { Signing } from './signing.ts';
