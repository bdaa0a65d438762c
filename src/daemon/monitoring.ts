/** What the HTTP listener says about the daemon itself: whether it is alive and ready, and its metrics. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isLoopback } from '../config/index.ts';
import type { Log } from '../log.ts';
import type { Probed } from './probes.ts';

export interface MonitoringParts {
  /** What other machines must show to get the metrics. Without it, they get none. */
  token: string | undefined;
  /** Whether this process works, or with `whole` the installation. */
  probe(whole: boolean): Promise<Pick<Probed, 'ok' | 'problems'>>;
  measure(): Promise<{ contentType: string; text: string }>;
  log: Pick<Log, 'warn'>;
}

interface Request extends Pick<IncomingMessage, 'url' | 'headers'> {
  socket: Pick<IncomingMessage['socket'], 'remoteAddress'>;
}

interface Response {
  writeHead(status: number, headers?: Record<string, string>): unknown;
  end(text?: string): unknown;
}

/** Answers requests about the daemon. False for a path that is about something else, which is not answered. */
export type Monitoring = (request: Request, response: Response) => Promise<boolean>;

export function monitoring({ token, probe, measure, log }: MonitoringParts): Monitoring {
  const mayMeasure = guard(token);
  return async (request, response) => {
    switch (request.url) {
      // It answers, so its event loop runs. `/healthz` is the older name.
      case '/livez':
      case '/healthz':
        say(response, 200, ['ok']);
        return true;
      case '/readyz':
      case '/readyz?whole': {
        const whole = request.url.endsWith('?whole');
        const { ok, problems } = await probe(whole).catch(() => silent);
        say(response, ok ? 200 : 503, ok ? ['ok'] : problems);
        return true;
      }
      case '/metrics':
        if (mayMeasure(request)) await show(response, measure, log);
        else {
          response.writeHead(401, { 'WWW-Authenticate': 'Bearer' });
          response.end();
        }
        return true;
      default:
        return false;
    }
  };
}

const silent = { ok: false, problems: ['Redis does not answer'] };

function say(response: Response, status: number, lines: readonly string[]): void {
  response.writeHead(status, { 'Content-Type': 'text/plain' });
  response.end(`${lines.join('\n')}\n`);
}

async function show(response: Response, measure: MonitoringParts['measure'], log: Pick<Log, 'warn'>) {
  try {
    const { contentType, text } = await measure();
    response.writeHead(200, { 'Content-Type': contentType });
    response.end(text);
  } catch (err) {
    log.warn({ err }, 'metrics could not be collected');
    response.writeHead(503);
    response.end();
  }
}

/** This machine needs no token, unless a proxy speaks for another one. */
function guard(token: string | undefined): (request: Request) => boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  const expected = token === undefined || token === '' ? undefined : digest(token);
  return ({ socket, headers }) => {
    const forwarded = headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined;
    if (!forwarded && isLoopback((socket.remoteAddress ?? '').replace(/^::ffff:/, ''))) return true;
    const given = /^Bearer +([^ ]+) *$/i.exec(headers.authorization ?? '')?.[1];
    return expected !== undefined && given !== undefined && timingSafeEqual(digest(given), expected);
  };
}
