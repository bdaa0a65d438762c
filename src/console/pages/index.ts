/** All pages of the console. */
import type { PageRoute } from '../page.ts';
import { alertPages } from './alerts.ts';
import { clientPages } from './clients.ts';
import { messagePages } from './messages.ts';
import { nowPages } from './now.ts';
import { partnerPages } from './partners.ts';
import { routePages } from './routes.ts';
import { setupPages } from './setup.ts';
import { suspendedPages } from './suspended.ts';
import { userPages } from './users.ts';

export const pages: readonly PageRoute[] = [
  ...nowPages,
  ...messagePages,
  ...suspendedPages,
  ...partnerPages,
  ...routePages,
  ...alertPages,
  ...setupPages,
  ...userPages,
  ...clientPages,
];
