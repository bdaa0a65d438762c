/**
 * The HTTP API for programs. Begin with `route.ts` (what a route is) and `routes.ts` (all of them). `app.ts` has what
 * happens to each request before its route. The API holds no keys: it gives mail to `submit`, and shows what is stored.
 */

export type { Verb } from '../client/index.ts';
export { seesAll } from '../client/index.ts';
/** Types of answers, for code that shows them. */
export { alertList } from './alert-schemas.ts';
/** The same operations for the console, and the same checks before them. */
export { sendAnswer } from './answer.ts';
export { type ApiParts, createApi, describeApi } from './app.ts';
export { certificateDetail, certificateList } from './certificate-schemas.ts';
export { type CheckReport, checkReport } from './checks.ts';
export {
  type ClientInfo,
  clientActed,
  clientList,
  type TokenInfo,
  tokenList,
  tokenMade,
} from './client-schemas.ts';
export { type EventWebhook, openEventWebhook } from './event-webhook.ts';
export { RequestLimits } from './limits.ts';
export { createListener, type RunningServer, runServer } from './listener.ts';
export { type Asked, type Caller, jsonOf, Operations, type OperationsParts } from './operations.ts';
export { Origins } from './origin.ts';
export {
  type BulkAct,
  bulkActs,
  bulkResult,
  type MailboxInfo,
  mailboxList,
  overview,
  preview,
  type RouteInfo,
  routeActed,
  routeList,
  suspendedList,
} from './overview-schemas.ts';
export { type PartnerDetail, partnerDetail } from './partner-detail.ts';
export { type Problem, problemOf, refusal } from './problem.ts';
export { parseQuery } from './query.ts';
export { type MatrixList, matrixList, replayList } from './readiness-schemas.ts';
export type { Answer } from './route.ts';
export {
  acted,
  type MessageDetail,
  messageDetail,
  messageList,
  messageVerdict,
  partnerList,
  submitted,
} from './schemas.ts';
export { setupReport } from './setup.ts';
export { failedLogins, type UserInfo, userActed, userInvited, userList } from './user-schemas.ts';
export type { MessageVerdict } from './view.ts';
