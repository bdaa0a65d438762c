/** The notice on a page after an act. The query has a word that selects it, never its text. */
const words = {
  resume: 'It is resumed: the step that failed is done again.',
  retry: 'It is retried now.',
  terminate: 'It is terminated.',
  'decode-again': 'It is decoded again.',
  pause: 'It is paused.',
  resumed: 'It goes on.',
  poll: 'Its folder is looked into now.',
  approve:
    'The certificate counts from now on. What waited for it goes on by itself, or replay it at once on Suspended.',
  reject: 'The certificate counts for nothing.',
  revoke: 'The certificate is revoked.',
  silence: 'The alerts are silenced.',
  unsilence: 'The silence has ended.',
  test: 'A test is on its way.',
  passkey: 'The passkey is there. Log in with it the next time.',
  'passkey-removed': 'The passkey counts no more. Remove it on the device as well.',
  changed: 'The rights count from now on.',
  disable: 'The person is disabled. Its logins end within a second.',
  enable: 'The person may log in again.',
  'end-sessions': 'Its logins end within a second. It may log in again.',
  'user-removed': 'The person is removed.',
  granted: 'The grants count from now on.',
  'client-added': 'The client is there. It needs a token.',
  'client-removed': 'The client is removed, with its tokens.',
  check: 'The files are being checked. What is found appears below, within some seconds.',
  'token-revoked': 'The token is refused from now on.',
} as const;
export type Told = keyof typeof words;

/** @param word of the query; any other word says nothing */
export function told(word: string | undefined): string {
  return Object.entries(words).find(([name]) => name === word)?.[1] ?? '';
}

/** A path with such a word. */
export const telling = (path: string, word: Told): string => `${path}?did=${word}`;
