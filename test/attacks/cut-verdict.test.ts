/**
 * Lists in a verdict are cut where the sender wrote too much. A signer whose addresses were cut away looked like one
 * whose certificate has none, who may sign for any stranger.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Cursor, oids, parse, raw } from '../../src/asn1/index.ts';
import * as der from '../../src/asn1/writer.ts';
import { encodeEnvelopedData, encodeSignedData } from '../../src/cms/index.ts';
import { defaultMessageLimits } from '../../src/message/index.ts';
import { PartnerDirectory } from '../../src/partner/directory.ts';
import { judge } from '../../src/partner/policy.ts';
import { readSender } from '../../src/pipeline/read-sender.ts';
import { decodeSync } from '../../src/smime/index.ts';
import { alice, ca, entity, options } from './support.ts';

const longName = der.sequence(
  ...Array.from({ length: 17 }, () =>
    der.set(der.sequence(der.oid(oids.commonName), der.primitive(12, Buffer.alloc(60, 0x61)))),
  ),
);
const strangers = Array.from({ length: 990 }, (_, index) =>
  der.sequence(
    der.integer(0),
    der.sequence(longName, der.integer(index + 1)),
    der.sequence(der.oid(oids.rsaEncryption), der.nullValue()),
    der.octetString(Buffer.alloc(8, 1)),
  ),
);

/** Encrypted for Alice, and as the verdict has it for a thousand others. */
function forMany(content: Buffer, contentType: string): Buffer {
  const enveloped = encodeEnvelopedData(content, {
    recipients: [{ certificate: alice.certificate }],
    contentType,
  });
  const info = new Cursor(parse(enveloped));
  const type = info.next();
  const body = new Cursor(new Cursor(info.next()).next());
  const [version, recipients, encrypted] = [body.next(), body.next(), body.next()];
  const infos = [raw(new Cursor(recipients).next()), ...strangers];
  const inner = der.sequence(raw(version), der.set(...infos), raw(encrypted));
  return der.sequence(raw(type), der.explicit(0, inner));
}

const signer = ca.issue({ commonName: 'stranger', emails: ['stranger@b.example'] });
const signed = encodeSignedData(entity, { signers: [signer] });
let wordy = signed;
for (const type of [oids.signedData, oids.envelopedData, oids.envelopedData]) wordy = forMany(wordy, type);

function judged(object: Buffer, from: string) {
  const header = Buffer.from(
    `From: ${from}\r\nMIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: binary\r\n\r\n`,
  );
  const { verdict: decoded, content = Buffer.alloc(0) } = decodeSync(
    Buffer.concat([header, object]),
    options,
  );
  const directory = new PartnerDirectory([]);
  const { verdict, sender } = readSender(
    { verdict: decoded, head: content, header },
    defaultMessageLimits,
    directory,
  );
  const policy = {
    require: ['signed' as const],
    notSmime: 'suspend' as const,
    strong: { minimumRsaBits: 2048, minimumCurveBits: 224 },
  };
  return { verdict, judgement: judge(verdict, policy, sender, directory) };
}

describe('a signer whose addresses are cut away', () => {
  it('signs for its own address alone where all is said', () => {
    assert.deepEqual(judged(signed, 'stranger@b.example').judgement, { accept: true });
    assert.ok('suspend' in judged(signed, 'ceo@bank.example').judgement);
  });

  it('signs for nobody where its certificate has addresses and none can be read', () => {
    const odd = ca.issue({ commonName: 'odd', emails: ['stranger@b.example.', 'a@b@c d.example'] });
    const object = encodeSignedData(entity, { signers: [odd] });
    const { verdict, judgement } = judged(object, 'ceo@bank.example');
    assert.equal(verdict.signature, 'valid');
    assert.ok('suspend' in judgement, 'accepted as anybody');
    const without = encodeSignedData(entity, { signers: [ca.issue({ commonName: 'none' })] });
    assert.deepEqual(judged(without, 'ceo@bank.example').judgement, { accept: true });
  });

  it('signs for nobody where the verdict had no room for them', () => {
    const { verdict, judgement } = judged(wordy, 'ceo@bank.example');
    assert.equal(verdict.signature, 'valid');
    assert.equal(verdict.truncated, true);
    const [found] = verdict.layers.flatMap((layer) => ('signers' in layer ? layer.signers : []));
    assert.deepEqual(found?.emails, ['…']);
    assert.ok('suspend' in judgement, 'accepted as anybody');
  });
});
