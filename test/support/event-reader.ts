/** A program that follows the events of the API. */
import assert from 'node:assert/strict';

export interface Seen {
  id: string;
  event: string;
  data: ReturnType<typeof JSON.parse>;
}

/** A reader of server-sent events. */
export class Reader {
  readonly seen: Seen[] = [];
  ended = false;
  readonly #stop = new AbortController();

  static async open(url: string, token: string, lastId?: string): Promise<Reader> {
    const reader = new Reader();
    const answer = await fetch(`${url}/v1/events`, {
      headers: {
        authorization: `Bearer ${token}`,
        accept: 'text/event-stream',
        ...(lastId === undefined ? {} : { 'last-event-id': lastId }),
      },
      signal: reader.#stop.signal,
    });
    assert.equal(answer.status, 200, answer.status === 200 ? '' : await answer.text());
    assert.equal(answer.headers.get('content-type'), 'text/event-stream');
    void reader.#read(answer);
    return reader;
  }

  async #read(answer: Response): Promise<void> {
    let text = '';
    try {
      for await (const chunk of answer.body ?? []) {
        text += Buffer.from(chunk).toString();
        const blocks = text.split('\n\n');
        text = blocks.pop() ?? '';
        for (const block of blocks) this.#take(block);
      }
    } catch {}
    this.ended = true;
  }

  #take(block: string): void {
    const fields = new Map(
      block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.replace(/^\w*: ?/, '')]),
    );
    const data = fields.get('data');
    if (data !== undefined)
      this.seen.push({
        id: fields.get('id') ?? '',
        event: fields.get('event') ?? 'message',
        data: JSON.parse(data),
      });
  }

  of(id: string): Seen[] {
    return this.seen.filter(({ data }) => data.message?.id === id);
  }

  close(): void {
    this.#stop.abort();
  }
}
