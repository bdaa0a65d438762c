import {
  Cursor,
  children,
  childrenOf,
  type Element,
  type Header,
  oid,
  oids,
  raw,
  readAlgorithm,
  tags,
} from '../asn1/index.ts';
import { SealpostError } from '../errors.ts';
import type { Sink } from '../message/index.ts';
import type { Certificate } from '../pki/index.ts';
import { digestByOid } from './algorithms.ts';
import type { Action } from './ber-stream.ts';
import { readCertificateSet } from './certificate-set.ts';
import { ContentDigests } from './content-digests.ts';
import {
  type ContentContext,
  type ContentReader,
  type DetachedContent,
  enterSequence,
  incomplete,
  unexpected,
} from './content-reader.ts';
import type { SignedTail } from './report.ts';
import { readSignerInfos, type SignerInfo, verifySigner } from './signer-info.ts';

const structure = 'SignedData';

const steps = { version: 0, digests: 1, content: 2, certificates: 3, crls: 4, signers: 5 };

/** CMS types that PKCS#7 nests directly instead of in an OCTET STRING. */
const cmsTypes: readonly string[] = [
  oids.signedData,
  oids.envelopedData,
  oids.digestedData,
  oids.encryptedData,
];

/** Computed if a sender lists no digest algorithms but signs anyway. */
const likelyDigests = ['sha1', 'sha256', 'sha384', 'sha512'];

/**
 * `SignedData ::= SEQUENCE { version, digestAlgorithms SET OF, encapContentInfo, certificates [0]
 * OPTIONAL, crls [1] OPTIONAL, signerInfos SET OF }` (RFC 5652 section 5.1).
 */
export class SignedDataReader implements ContentReader {
  readonly #context: ContentContext;
  #step = -1;
  #digestNames: string[] = [];
  #contentType: string | undefined;
  #digests: ContentDigests | undefined;
  #sink: Sink | undefined;
  #octets = 0;
  #isObject = false;
  #ended = false;
  readonly #tail: Omit<SignedTail, 'signers'> = {
    type: 'signed-data',
    certificates: [],
    otherCertificates: 0,
    crls: [],
    ocspResponses: [],
  };
  #signers: SignerInfo[] = [];

  constructor(context: ContentContext) {
    this.#context = context;
  }

  open(header: Header, depth: number): Action {
    if (depth === 0) return enterSequence(structure, header);
    if (depth === 1) {
      this.#advance(stepOf(header, this.#step), header);
      return this.#step === steps.content ? 'enter' : 'collect';
    }
    // EncapsulatedContentInfo ::= SEQUENCE { eContentType OID, eContent [0] EXPLICIT OCTET STRING }
    if (depth === 2) {
      if (header.cls === 0 && this.#contentType === undefined) return 'collect';
      if (header.cls === 2 && header.tag === 0 && this.#sink === undefined) return 'enter';
    }
    if (depth === 3 && this.#sink === undefined) {
      this.#begin(false);
      if (header.cls === 0 && header.tag === tags.octetString) return 'stream';
      // PKCS#7 allowed any type here; its content octets are what is signed (RFC 5652 section 5.2.1).
      this.#isObject = true;
      return 'collect';
    }
    throw unexpected(structure, header);
  }

  #advance(step: number, header: Header): void {
    const skipsContent = step > steps.content && this.#step < steps.content;
    if (step <= this.#step || skipsContent || (this.#step < 0 && step !== steps.version)) {
      throw unexpected(structure, header);
    }
    this.#step = step;
  }

  element(element: Element, depth: number): void {
    if (depth === 3 && this.#isObject) {
      const octets = element.source.subarray(element.contentStart, element.contentEnd);
      // the next layer needs tag and length, which are not signed
      this.chunk(octets, cmsTypes.includes(this.#contentType ?? '') ? raw(element) : octets);
    } else if (depth === 2) {
      if (element.tag !== tags.oid) throw unexpected(structure, element);
      this.#contentType = oid(element);
    } else if (this.#step === steps.digests) {
      this.#digestNames = childrenOf(element, tags.sequence, { maxElements: 100 }).map((algorithm) => {
        const { oid: dotted } = readAlgorithm(algorithm);
        return digestByOid(dotted)?.name ?? dotted;
      });
    } else if (this.#step === steps.certificates) {
      this.#readCertificates(element);
    } else if (this.#step === steps.crls) {
      this.#readRevocation(element);
    } else if (this.#step === steps.signers) {
      this.#signers = readSignerInfos(raw(element), this.#context.limits.signers, this.#context.budget);
    }
  }

  #begin(detached: boolean): void {
    if (this.#contentType === undefined) throw incomplete(structure);
    const { handlers, options, limits, budget } = this.#context;
    if (!detached && options.detached !== undefined) {
      // one signature over two contents can deceive readers (threats S6)
      throw new SealpostError('cms-malformed', 'a detached signature that brings content of its own');
    }
    this.#sink = handlers.onHead({
      type: 'signed-data',
      contentType: this.#contentType,
      digestAlgorithms: this.#digestNames,
      detached,
    });
    if (detached) return;
    const names = this.#digestNames.length === 0 ? likelyDigests : this.#digestNames;
    this.#digests = new ContentDigests(names, limits.signedContentKept, budget);
  }

  /** @param given what is passed on as content, if it is not what is signed */
  chunk(octets: Buffer, given: Buffer = octets): void {
    this.#octets += octets.length;
    const most = this.#context.limits.contentOctets;
    if (this.#octets > most) throw new SealpostError('cms-limit', `more than ${most} octets of content`);
    this.#digests?.write(octets);
    this.#sink?.write(given);
  }

  close(depth: number): void {
    if (depth !== 1 || this.#step !== steps.content || this.#ended) return;
    if (this.#sink === undefined) this.#begin(true);
    this.#digests?.end();
    this.#sink?.end();
    this.#ended = true;
    this.#context.contentEnded();
  }

  #readCertificates(element: Element): void {
    const { certificates, others } = readCertificateSet(
      element,
      this.#context.limits.certificates,
      this.#context.budget,
    );
    this.#tail.certificates.push(...certificates);
    this.#tail.otherCertificates = others;
  }

  /**
   * `RevocationInfoChoices ::= SET OF CHOICE { crl, other [1] { format OID, info ANY } }` (RFC 5652 section 10.2.1).
   */
  #readRevocation(element: Element): void {
    for (const choice of children(element, { maxElements: this.#context.limits.certificates })) {
      if (choice.cls === 0) {
        this.#tail.crls.push(raw(choice));
      } else if (choice.cls === 2 && choice.tag === 1) {
        const cursor = new Cursor(choice);
        const format = oid(cursor.expect(tags.oid));
        const info = cursor.next();
        if (format === oids.ocspResponse) this.#tail.ocspResponses.push(raw(info));
      }
    }
  }

  finish(): void {
    if (!this.#ended || this.#step !== steps.signers) throw incomplete(structure);
    const { handlers, options, budget } = this.#context;
    const content: DetachedContent | undefined = this.#digests?.result ?? options.detached;
    const certificates = [...this.#tail.certificates, ...(options.certificates ?? [])];
    const contentType = this.#contentType ?? oids.data;
    const inheritedKey = (certificate: Certificate) =>
      options.inheritedKey?.(certificate, this.#tail.certificates);
    const context = { contentType, content, certificates, known: options.known, inheritedKey, budget };
    const signers = this.#signers.map((signer) => verifySigner(signer, context));
    handlers.onTail({ ...this.#tail, signers });
  }
}

function stepOf(header: Header, step: number): number {
  if (header.cls === 0 && header.tag === tags.integer) return steps.version;
  if (header.cls === 0 && header.tag === tags.set)
    return step < steps.digests ? steps.digests : steps.signers;
  if (header.cls === 0 && header.tag === tags.sequence) return steps.content;
  if (header.cls === 2 && header.tag === 0) return steps.certificates;
  if (header.cls === 2 && header.tag === 1) return steps.crls;
  throw unexpected(structure, header);
}
