/** Calls of docs/api.md with what they print. A test runs each against a daemon; ids, times and digests may differ. */
export interface ApiExample {
  title: string;
  /** Lines for a shell, with $TOKEN. */
  command: string[];
  prints: string[];
}

const api = 'http://127.0.0.1:8026/v1';
const curl = 'curl -sS -H "Authorization: Bearer $TOKEN"';

const orderMail = [
  `${curl} ${api}/messages \\`,
  '  -H "Content-Type: application/json" -H "Idempotency-Key: order-4711" \\',
  `  -d '{"partner":"acme","subject":"Order 4711","text":"See the attachment.",`,
  `       "attachments":[{"filename":"order.xml","content":"PG9yZGVyLz4="}],"metadata":{"order":"4711"}}'`,
];

/** A line of output as the page shows it: JSON that is too long for a line, in several. */
export function shown(line: string): string[] {
  if (line.length <= 116) return [line];
  return JSON.stringify(JSON.parse(line), null, 2).split('\n');
}

export const apiExamples: ApiExample[] = [
  {
    title: 'A mail in JSON',
    command: orderMail,
    prints: [
      '{"messages":[{"id":"o5d7a0b4e1f0c3a8d6b2e9f7c4a1d8b3","partner":"acme","recipients":["edi@acme.example"],"duplicate":false}]}',
    ],
  },
  {
    title: 'The same again: nothing new is made',
    command: orderMail,
    prints: [
      '{"messages":[{"id":"o5d7a0b4e1f0c3a8d6b2e9f7c4a1d8b3","partner":"acme","recipients":["edi@acme.example"],"duplicate":true}]}',
    ],
  },
  {
    title: 'A form with files, which are streamed',
    command: [
      `${curl} ${api}/messages \\`,
      `  -F 'message={"partner":"acme","subject":"Two files"};type=application/json' \\`,
      '  -F attachment=@order.xml -F attachment=@drawing.pdf',
    ],
    prints: [
      '{"messages":[{"id":"o1c9e8f2a7b6d5c4e3f2a1b0c9d8e7f6","partner":"acme","recipients":["edi@acme.example"],"duplicate":false}]}',
    ],
  },
  {
    title: 'A file alone, as an attachment of a new mail',
    command: [
      `${curl} "${api}/messages?partner=acme&filename=order.xml" \\`,
      '  -H "Content-Type: application/xml" --data-binary @order.xml',
    ],
    prints: [
      '{"messages":[{"id":"o9b8a7c6d5e4f3a2b1c0d9e8f7a6b5c4","partner":"acme","recipients":["edi@acme.example"],"duplicate":false}]}',
    ],
  },
  {
    title: 'A mail as it is',
    command: [
      `${curl} "${api}/messages?recipients=edi@acme.example" \\`,
      '  -H "Content-Type: message/rfc822" --data-binary @mail.eml',
    ],
    prints: [
      '{"messages":[{"id":"o3f2e1d0c9b8a7f6e5d4c3b2a1f0e9d8","partner":"acme","recipients":["edi@acme.example"],"duplicate":false}]}',
    ],
  },
  {
    title: 'Partners',
    command: [`${curl} ${api}/partners`],
    prints: ['{"partners":[{"name":"acme","addresses":["edi@acme.example","@acme.example"]}]}'],
  },
  {
    title: 'An error',
    command: [`${curl} ${api}/messages/o00000000000000000000000000000000`],
    prints: [
      '{"type":"urn:sealpost:message-unknown","title":"there is no such message","status":404,"code":"message-unknown","detail":"there is no message o00000000000000000000000000000000"}',
    ],
  },
];
