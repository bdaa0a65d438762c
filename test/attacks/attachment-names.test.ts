/** Names of attachments that a rule reads otherwise than who gets the file. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PartLister } from '../../src/handoff/index.ts';
import { partFileName } from '../../src/handoff/names.ts';
import { defaultMessageLimits } from '../../src/message/index.ts';
import { shortfallsOf } from '../../src/partner/index.ts';
import { attachmentsIn } from '../../src/pipeline/inbound-policy.ts';
import { configOf } from '../pipeline/support.ts';

const config = configOf(`
mailboxes:
  - name: edi
    addresses: [edi@own.example]
    policy: { attachments: { names: ["*.txt"] } }
    destinations: [{ type: directory, path: /a }]
`);
const policy = config.mailboxes[0]?.policy;
assert.ok(policy);

/** What a rule finds in a mail with one attachment of that name. */
function lacksOf(name: string, subject = 'x', rules = policy) {
  assert.ok(rules);
  const lister = new PartLister(defaultMessageLimits);
  const parameters = Array.from(
    { length: Math.ceil(name.length / 60) },
    (_, at) => `;\r\n filename*${at}="${name.slice(at * 60, at * 60 + 60).replaceAll('\\', '\\\\')}"`,
  ).join('');
  lister.write(
    Buffer.from(
      `MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment${parameters}\r\n\r\nx\r\n`,
    ),
  );
  lister.end();
  const parts = lister.parts(false);
  assert.equal(parts?.[0]?.originalFileName, name);
  const attachments = attachmentsIn(parts);
  const verdict = {
    ...{ encrypted: false, signature: 'none' as const, layers: [] },
    headers: { protection: 'none' as const, signed: false, encrypted: false, fields: [] },
  };
  const evidence = { verdict, sender: { by: undefined }, subject, attachments, receivedAt: 0 };
  return shortfallsOf([rules], {
    ...evidence,
    strong: config.strong,
  } as unknown as Parameters<typeof shortfallsOf>[1]).map(({ code }) => code);
}

const ordersOnly = { ...policy, attachments: { names: ['ORDERS_*.txt'] } } as typeof policy;

describe('a rule about the names of attachments', () => {
  const long = (end: string, length: number) => `${'a'.repeat(length - end.length)}${end}`;

  it('name-cut: a long name is not taken for its beginning, while the file keeps its end', () => {
    const name = `${long('.txt', 255)}.exe`;
    assert.match(partFileName(1, 'application/octet-stream', name), /\.exe$/);
    assert.deepEqual(lacksOf(name), ['policy-attachments']);
    assert.deepEqual(lacksOf(long('.txt', 255)), []);
    assert.deepEqual(lacksOf(long('.txt', 256)), ['policy-attachments'], 'nobody needs such a name');
  });

  it('name-with-folder: what stands before the last slash is not its name, as for the file', () => {
    const name = 'ORDERS_/../run.txt';
    assert.equal(partFileName(1, 'application/octet-stream', name), '01-run.txt');
    assert.deepEqual(lacksOf(name, 'x', ordersOnly), ['policy-attachments']);
    assert.deepEqual(lacksOf('C:\\mail\\ORDERS_1.txt', 'x', ordersOnly), []);
  });

  it('name-cut: nor for a subject that is its beginning', () => {
    const rules = { ...policy, attachments: { subjectIsName: true } } as typeof policy;
    const name = `${long('.txt', 255)}.exe`;
    assert.deepEqual(lacksOf(name, name.slice(0, 255), rules), ['policy-attachments']);
    assert.deepEqual(lacksOf('a.txt', 'a.txt', rules), []);
  });
});
