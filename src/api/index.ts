/**
 * The HTTP API for programs. Begin with `route.ts` (what a route is) and `routes.ts` (all of them); `app.ts` is what
 * happens to each request before its route. It holds no keys: mail goes to `submit`, and what is shown is what is stored.
 */

export { type Api, type ApiParts, createApi, describeApi } from './app.ts';
export { type EventWebhook, openEventWebhook } from './event-webhook.ts';
