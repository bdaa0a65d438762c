/** The stream of events, as other rooms know it. */
import type { MessageOwner } from './ledger-types.ts';
import type { LedgerEvent, MessageRecord } from './types.ts';

/** Something that happened to a message. */
export interface FollowedEvent {
  /** Place in the stream. */
  id: string;
  event: LedgerEvent;
  /** The message as it is now. */
  record: MessageRecord;
}

/** What happens to messages, as it happens. It is recorded while somebody keeps it, and a day longer. */
export interface Events {
  /** Begins the recording, or keeps it for another day. */
  keep(): Promise<void>;
  /** Place of the newest event. */
  newest(): Promise<string>;
  /** The position of a follower; undefined before its first event. */
  position(follower: string): Promise<string | undefined>;
  moveTo(follower: string, id: string): Promise<void>;
  /** Takes or keeps the right to act for a follower; false while another owner has it. It expires. */
  claim(follower: string, owner: string): Promise<boolean>;
  release(follower: string, owner: string): Promise<void>;
  /**
   * Up to 500 events after a place, oldest first; `0-0` for all that are kept. `last` is the place to continue from,
   * `more` is true if there are further ones, and `missed` if some after that place may be gone. Events of messages
   * that were forgotten are left out.
   *
   * @param sees only events of messages for which it returns true; of the others, only the owner is read
   */
  read(
    after: string,
    sees?: (owner: MessageOwner) => boolean,
  ): Promise<{ events: FollowedEvent[]; last: string; more: boolean; missed: boolean }>;
}
