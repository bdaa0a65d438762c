/** How answers are written, and what happens to a body that the client is still sending. */
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { hasCode, SealpostError } from '../errors.ts';
import { limitAnswer } from '../net/index.ts';
import { type Problem, problemOf, problemType, refusal } from './problem.ts';
import type { Answer } from './route.ts';

export function sendAnswer(reply: FastifyReply, answer: Answer): FastifyReply {
  if ('json' in answer)
    return reply
      .code(answer.status)
      .headers(answer.headers ?? {})
      .send(answer.json);
  if ('live' in answer) {
    reply.hijack();
    void answer.live();
    return reply;
  }
  const { stream, type, octets, fileName } = answer;
  limitAnswer(reply.raw);
  return reply
    .code(200)
    .headers({
      'Content-Type': type,
      'Content-Length': octets,
      'Content-Disposition': `attachment; filename="${fileName}"`,
    })
    .send(Readable.from(stream, { objectMode: false }));
}

export function sendProblem(reply: FastifyReply, error: unknown): FastifyReply {
  const problem: Problem = problemOf(error);
  if (problem.status === 401) reply.header('WWW-Authenticate', 'Bearer realm="sealpost"');
  if (problem.status === 429 || problem.status === 503) reply.header('Retry-After', '5');
  return reply.code(problem.status).type(problemType).send(JSON.stringify(problem));
}

/** A fastify error as one of ours. */
export function ours(error: unknown): unknown {
  if (error instanceof SealpostError) return error;
  if (hasCode(error, 'FST_ERR_CTP_INVALID_MEDIA_TYPE'))
    return refusal('media-type-unsupported', 'the type of the body is not a media type');
  if (error instanceof Error && 'statusCode' in error && Number(error.statusCode) < 500)
    return refusal('request-invalid', 'the request is malformed');
  return error;
}

const lingerOctets = 1024 * 1024;
const lingerMs = 2000;

/**
 * A client that is answered while it still sends should be able to read the answer. Closing the connection at once
 * would take the answer away. So a little more is read and dropped before the connection is cut.
 */
export function lingerThenCut({ raw }: FastifyRequest): void {
  const { socket } = raw;
  if (raw.complete || socket.destroyed) return;
  const before = socket.bytesRead;
  const started = performance.now();
  raw.on('error', () => undefined);
  raw.resume();
  const watch = setInterval(() => {
    const over = socket.bytesRead - before > lingerOctets || performance.now() - started > lingerMs;
    if (over && !raw.complete) socket.destroy();
    if (over || raw.complete || socket.destroyed) clearInterval(watch);
  }, 50);
}
