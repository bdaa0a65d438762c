/** Messages that wait for a certificate or key, as the other rooms know them. */

/** A suspended message whose reason code says that it waits for a certificate or key. */
export interface Held {
  id: string;
  direction: 'inbound' | 'outbound';
  /** Milliseconds since the epoch. */
  receivedAt: number;
  reason: string;
  /** Null for an outbound message. */
  mailbox: string | null;
  /** Key of the partner (`partnerKey`); null if unknown. */
  partner: string | null;
  /** Digest of the keys and certificates with which it was judged last (the fact `keys`); null if unknown. */
  keys: string | null;
  /** How often it was replayed. */
  times: number;
}

/** How many messages may be replayed on a day. */
export interface ReplayBudget {
  perPartner: number;
  perDay: number;
}

export interface Replays {
  /** What waits, in the order in which it came; up to 50,000 for each code. */
  held(direction: 'inbound' | 'outbound'): AsyncIterable<Held>;
  /** Jobs that wait for their turn on the queue that it would go to. */
  waiting(direction: 'inbound' | 'outbound'): Promise<number>;
  /**
   * Puts a held message back to work: decoded again, or sent. Nothing happens to one that was judged with these keys
   * already, has moved on, or was replayed `mostReplays` times. Errors: those of `Flow.decodeAgain`.
   *
   * @param keys digest of the keys and certificates as they are now
   * @param budget undefined for what a person does
   * @returns `full` if the budget of the day is used up
   */
  release(
    held: Held,
    keys: string,
    act: { by: string; why?: string },
    budget?: ReplayBudget,
  ): Promise<'released' | 'moved' | 'full'>;
}

/** One message is replayed so often at most: what fails in the end as it did is not tried for ever. */
export const mostReplays = 10;
