/**
 * pkijs over WebCrypto: RSA with OAEP only, ECDH, AES. It decodes what it has encoded itself, since it does
 * not take PKCS#1 v1.5; its AES-GCM stands in EnvelopedData.
 */
import { webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { loop } from './worker-loop.ts';

const [task, keyFile = '', certFile = '', signerKey = '', signerCert = '', file = '', seconds = '1', cipher] =
  process.argv.slice(2);
const names = new Map([
  ['AES-256-CBC', 'AES-CBC'],
  ['AES-256-GCM', 'AES-GCM'],
]);
const name = names.get(cipher ?? '');
if (name === undefined) throw new Error(`WebCrypto has no ${cipher}`);

function octetsOf(pem: string): ArrayBuffer {
  const octets = Buffer.from(readFileSync(pem, 'utf8').replace(/-----[^-]+-----/g, ''), 'base64');
  return new Uint8Array(octets).buffer;
}

const recipient = pkijs.Certificate.fromBER(octetsOf(certFile));
const recipientKey = octetsOf(keyFile);
const signer = pkijs.Certificate.fromBER(octetsOf(signerCert));
const signing = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
const key = await webcrypto.subtle.importKey('pkcs8', octetsOf(signerKey), signing, false, ['sign']);
const algorithm = { name, length: 256 };

async function encrypt(content: ArrayBuffer): Promise<ArrayBuffer> {
  const enveloped = new pkijs.EnvelopedData();
  enveloped.addRecipientByCertificate(recipient, { oaepHashAlgorithm: 'SHA-256' });
  await enveloped.encrypt(algorithm, content);
  const info = new pkijs.ContentInfo({
    contentType: pkijs.ContentInfo.ENVELOPED_DATA,
    content: enveloped.toSchema(),
  });
  return info.toSchema().toBER(false);
}

async function sign(content: ArrayBuffer): Promise<ArrayBuffer> {
  const digest = await webcrypto.subtle.digest('SHA-256', content);
  const attribute = (type: string, value: asn1js.BaseBlock) => new pkijs.Attribute({ type, values: [value] });
  const signed = new pkijs.SignedData({
    version: 1,
    encapContentInfo: new pkijs.EncapsulatedContentInfo({
      eContentType: pkijs.ContentInfo.DATA,
      eContent: new asn1js.OctetString({ valueHex: content }),
    }),
    signerInfos: [
      new pkijs.SignerInfo({
        version: 1,
        sid: new pkijs.IssuerAndSerialNumber({ issuer: signer.issuer, serialNumber: signer.serialNumber }),
        signedAttrs: new pkijs.SignedAndUnsignedAttributes({
          type: 0,
          attributes: [
            attribute('1.2.840.113549.1.9.3', new asn1js.ObjectIdentifier({ value: pkijs.ContentInfo.DATA })),
            attribute('1.2.840.113549.1.9.4', new asn1js.OctetString({ valueHex: digest })),
          ],
        }),
      }),
    ],
    certificates: [signer],
  });
  await signed.sign(key, 0, 'SHA-256', content);
  const info = new pkijs.ContentInfo({
    contentType: pkijs.ContentInfo.SIGNED_DATA,
    content: signed.toSchema(true),
  });
  return info.toSchema().toBER(false);
}

async function decode(message: ArrayBuffer): Promise<void> {
  const enveloped = new pkijs.EnvelopedData({ schema: pkijs.ContentInfo.fromBER(message).content });
  await enveloped.decrypt(0, { recipientCertificate: recipient, recipientPrivateKey: recipientKey });
}

const content = new Uint8Array(readFileSync(file)).buffer;
if (task === 'encode') await loop(async () => void (await encrypt(await sign(content))), Number(seconds));
else {
  const message = await encrypt(content);
  await loop(() => decode(message), Number(seconds));
}
