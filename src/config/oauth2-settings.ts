import { z } from 'zod';

interface Parts {
  secret: () => z.ZodType<{ file: string } | { env: string }>;
}

/** A login by bearer token, the same for IMAP and for SMTP. */
export function oauth2Settings({ secret }: Parts) {
  return z
    .strictObject({
      accessToken: secret()
        .optional()
        .describe('A bearer token that another program keeps fresh. It is read again at each login.'),
      tokenUrl: z
        .url()
        .optional()
        .describe('Token endpoint. Default with serviceAccount: the one that its file names.'),
      clientId: z.string().optional().describe('Client id.'),
      clientSecret: secret()
        .optional()
        .describe(
          'Client secret. Without refreshToken, tokens are requested with it alone (client credentials).',
        ),
      refreshToken: secret()
        .optional()
        .describe(
          'Refresh token of a user who has consented. If the endpoint replaces it, the new one is kept in Redis, sealed. To start again, write a different one here.',
        ),
      serviceAccount: secret()
        .optional()
        .describe(
          'JSON key file of a Google service account with domain-wide delegation, instead of clientId. Tokens are requested for the login name.',
        ),
      scope: z
        .string()
        .optional()
        .describe(
          'Scope: https://outlook.office365.com/.default for Exchange Online with a client secret, https://mail.google.com/ for Gmail.',
        ),
    })
    .optional()
    .describe('OAuth 2.0 bearer login instead of a password.');
}
