/** The audit trail, as the other rooms know it. */

/** What somebody did by hand. */
export interface AuditEntry {
  /** Milliseconds since the epoch. */
  at: number;
  by: string;
  what:
    | 'resume'
    | 'retry'
    | 'terminate'
    | 'decode'
    | 'save'
    | 'content'
    | 'original'
    | 'reload'
    | 'check'
    | 'backup'
    | 'restore'
    | 'restore-release'
    | 'client-add'
    | 'client-grant'
    | 'client-remove'
    | 'clients-accept'
    | 'token-add'
    | 'token-revoke'
    | 'certificate-approve'
    | 'certificate-reject'
    | 'certificate-revoke'
    | 'certificate-pin'
    | 'certs-accept'
    | 'mailbox-pause'
    | 'mailbox-resume'
    | 'mailbox-poll'
    | 'route-pause'
    | 'route-resume'
    | 'partner-remove'
    | 'partner-rename'
    | 'alert-silence'
    | 'alert-unsilence'
    | 'alert-test'
    | 'login'
    | 'logout'
    | 'step-up'
    | 'denied'
    | 'password-set'
    | 'person-add'
    | 'person-change'
    | 'person-disable'
    | 'person-enable'
    | 'person-reset'
    | 'person-remove'
    | 'person-logout'
    | 'passkey-add'
    | 'passkey-remove'
    | 'users-accept'
    | 'second-asked'
    | 'second-confirmed'
    | 'second-refused';
  /**
   * Name of the client, person, partner, mailbox, destination (`MAILBOX/NAME`) or operation, id of the token, or
   * SHA-256 of the certificate.
   */
  subject?: string;
  /** Of the message; absent if there was none. */
  id?: string;
  why?: string;
}

export interface AuditQuery {
  /** Milliseconds since the epoch; `until` is not included. */
  since?: number;
  until?: number;
  by?: string;
  id?: string;
  /** Default 100. */
  limit?: number;
  /** Continues after the page that returned it. */
  cursor?: string;
}

/** The audit trail: append-only, and trimmed at its old end by `retention.audit`. */
export interface Audit {
  /** Records acts on anything but messages. Acts on messages are recorded by their own step. */
  add(entry: AuditEntry): Promise<void>;
  /** Newest first. */
  list(query: AuditQuery): Promise<AuditEntry[]>;
  /** The same, and the cursor of the next page; null at the end. Errors: `usage` for a broken cursor. */
  page(query: AuditQuery): Promise<{ entries: AuditEntry[]; cursor: string | null }>;
}
