import { parseCrl } from '../../src/pki/index.ts';
import type { DecodeOptions } from '../../src/smime/index.ts';
import { certificates, firstPart, identity, type Row, read, tsv } from './row.ts';
import { say } from './rows-small.ts';

const { decodes, refused, noKey } = say;

/** Where SOURCES.md expects more than OpenSSL objects to, and the reason that it names in words. */
const validatorReasons: Record<string, string | null> = {
  validMail: null,
  longValidity: null,
  // RFC 8550 section 3 lets a certificate be without addresses; partner/policy.ts decides what that is worth
  noEmail: null,
  expired: 'expired',
  notYetValid: 'not-yet-valid',
  keyUsage: 'key-usage',
  extKeyUsage: 'extended-key-usage',
  shortKey: 'key-too-small',
  revoked: 'revoked',
};

/** Mails of the field, by VERDICTS.tsv (OpenSSL 3.0: is the signature good; does it chain) and SOURCES.md. */
export function bouncyCastleMails(): Row[] {
  const root = certificates('bc-java-mail/validator.root.crt');
  const rows = tsv('VERDICTS.tsv')
    .filter(([file = '', how = '']) => file.startsWith('bc-java-mail/') && /crypto only: CMS Ver/.test(how))
    .map(([file = '', how = '', said = '']): Row => {
      const at = new Date(`${/attime=([^;]+)/.exec(how)?.[1]?.trim().replace(' ', 'T')}Z`);
      const reason = validatorReasons[/validator\.(.*)\.eml/.exec(file)?.[1] ?? ''];
      // no anchor is known for the others: OpenSSL found the signature good and the chain not
      const chained = reason === null;
      const crls = [parseCrl(read('bc-java-mail/validator.revoked.crl'))];
      const trust = {
        anchors: root,
        // signed with MD5 in 2006
        md5: 'weak' as const,
        ...(reason === 'revoked' ? { crls, revocation: 'soft' as const } : {}),
      };
      return {
        file,
        source: `SOURCES.md; VERDICTS.tsv: ${how}: ${said}; the octets by the boundary`,
        options: { at: Number.isNaN(at.getTime()) ? new Date('2007-01-01') : at, trust },
        expect: decodes(['multipart/signed'], {
          content: firstPart(read(file)),
          signature: chained ? 'valid' : 'untrusted',
          ...(reason === undefined ? {} : { reasons: [reason] }),
        }),
      };
    });
  const folder = (name: string) => `bc-java-mail/${name}`;
  const key = identity('bc-java-mail/key.pem', 'bc-java-mail/cert.pem');
  // OpenSSL opened the one whose name is right, and printed its start; the other two are interop.md 4
  const opened = ['test128.message', 'test192.message', 'test256.message'].map((name): Row => {
    const known = tsv('KEYS.tsv').find(([, file = '']) => file === folder('test192.message'))?.[3];
    return {
      file: folder(name),
      source: `interop.md 4: Bouncy Castle decrypts it; KEYS.tsv: ${known}`,
      options: { identities: [key] },
      expect: decodes(['enveloped-data'], { cipher: `aes-${name.slice(4, 7)}-cbc` }),
    };
  });
  return [
    ...rows,
    ...opened,
    ...['basicAS2.message', 'rawAS2.message'].map(
      (name): Row => ({
        file: folder(name),
        source: 'SOURCES.md: a real AS2 message; the octets by the boundary',
        expect: decodes(['multipart/signed'], {
          content: firstPart(read(folder(name))),
          signature: 'untrusted',
        }),
      }),
    ),
    {
      file: folder('brokenEnv.message'),
      source: 'SURVEY.tsv: a detached signature whose content is not there; OpenSSL: invalid mime type',
      expect: refused('cms-malformed'),
    },
    {
      file: folder('attachonly.eml'),
      source: 'its own header: no S/MIME type',
      expect: decodes([], { content: read(folder('attachonly.eml')), signature: 'none' }),
    },
    ...['dotnet_encrypted_mail.eml', 'outlook_2010_beta_sime_msg.eml'].map((name) => ({
      file: folder(name),
      source: 'KEYS.tsv',
      expect: noKey('no private key exists: parsed up to decrypt-no-key'),
    })),
  ];
}

/** NIST-test-policy-n (PKITS section 3). */
function policyOid(name: string): string {
  return name === 'any-policy'
    ? '2.5.29.32.0'
    : `2.16.840.1.101.3.2.1.48.${name.replace('NIST-test-policy-', '')}`;
}

/** Policy inputs of RFC 5280 section 6.1.1; `Trust` passes them on to the path validation. */
function withPolicies(inputs: string[], anchors: DecodeOptions['trust']['anchors']): DecodeOptions['trust'] {
  const [policies = '', explicit, mapping, any] = inputs;
  const trust = {
    anchors,
    revocation: 'hard' as const,
    policies: policies.split(',').map(policyOid),
    requireExplicitPolicy: explicit === 'true',
    inhibitPolicyMapping: mapping === 'true',
    inhibitAnyPolicy: any === 'true',
  };
  return trust;
}

/** The 224 mails of PKITS, once for each row of its tests: 20 have several policy inputs. */
export function pkits(): Row[] {
  const folder = 'pkits-nist-2004';
  const anchors = certificates(`${folder}/certs/TrustAnchorRootCertificate.crt`);
  const stated = new Map(tsv(`${folder}/EXPECTED.tsv`).map(([mail = '', , , verdict]) => [mail, verdict]));
  return tsv(`${folder}/PKITS-TESTS.tsv`)
    .slice(1)
    .flatMap(([test = '', , name = '', verdict = '', ...inputs]): Row[] => {
      const mail = `Signed${name.replace(/(?:Subpart|Part)\d+$/, '')}.eml`;
      const expected = stated.get(mail);
      if (expected === undefined) return [];
      // with the default inputs both tables speak, and must agree
      const isDefault = inputs.slice(0, 4).join() === 'any-policy,false,false,false';
      if (isDefault && expected !== '?' && expected !== verdict)
        throw new Error(`${mail}: the tables differ`);
      const trusted = verdict === 'valid';
      return [
        {
          file: `${folder}/smime/${mail}`,
          source: `PKITS ${test}; EXPECTED.tsv: ${expected}`,
          options: { at: new Date('2004-11-09T11:33:20Z'), trust: withPolicies(inputs, anchors) },
          expect: decodes(['signed-data'], { signature: trusted ? 'valid' : 'untrusted' }),
        },
      ];
    });
}

export function rfc9788(): Row[] {
  const file = 'rfc9788/smime-multipart-hp.eml';
  const trust = { anchors: certificates('rfc9788/lamps-rsa-ca.pem') };
  return [
    {
      file,
      source: 'SOURCES.md: verifies under the CA of RFC 9216; the octets by the boundary',
      options: { trust, at: new Date('2026-01-01') },
      expect: decodes(['multipart/signed'], {
        content: firstPart(read(file)),
        signature: 'valid',
        reasons: [null],
      }),
    },
    {
      file: 'rfc9788/smime-signed-enc-hp-baseline-reply.eml',
      source: 'KEYS.tsv: the key is in RFC 9216, not in the corpora',
      expect: noKey('no private key exists here: parsed up to decrypt-no-key'),
    },
  ];
}
