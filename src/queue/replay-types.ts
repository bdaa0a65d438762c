/** Messages that wait for a certificate or key, as other rooms know them. */

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
  /** Digest of the keys and certificates with which it was last judged (the fact `keys`); null if unknown. */
  keys: string | null;
  /** How often it was replayed. */
  times: number;
}

/** How many messages may be replayed per day. */
export interface ReplayBudget {
  perPartner: number;
  perDay: number;
}

export interface Replays {
  /** Waiting messages in the order in which they came, up to 50,000 for each code. */
  held(direction: 'inbound' | 'outbound'): AsyncIterable<Held>;
  /** Jobs that wait for their turn on the queue that it would go to. */
  waiting(direction: 'inbound' | 'outbound'): Promise<number>;
  /**
   * Puts a held message back to work: decoded again, or sent. Does nothing to one that was already judged with these
   * keys, has moved on, or was replayed `mostReplays` times. Errors: those of `Flow.decodeAgain`.
   *
   * @param keys digest of the present keys and certificates
   * @param budget undefined if a person does it
   * @returns `full` if the budget of the day is used up
   */
  release(
    held: Held,
    keys: string,
    act: { by: string; why?: string },
    budget?: ReplayBudget,
  ): Promise<'released' | 'moved' | 'full'>;
}

/** One message is replayed at most this often. More would only fail in the same way. */
export const mostReplays = 10;
