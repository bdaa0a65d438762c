import fc from 'fast-check';
import { encodeEnvelopedData } from '../../src/cms/index.ts';
import { allNodes, type Node, readNodes, writeNode } from './ber.ts';
import { alice } from './keys.ts';
import { mostOctets } from './target.ts';

/** One step of a mutation; its numbers are taken modulo what there is to choose from. */
export interface Step {
  kind:
    | 'delete'
    | 'repeat'
    | 'swap'
    | 'replace'
    | 'tag'
    | 'length'
    | 'indefinite'
    | 'deepen'
    | 'value'
    | 'number'
    | 'graft'
    | 'octet'
    | 'cut'
    | 'insert'
    | 'splice'
    | 'line'
    | 'token';
  at: number;
  other: number;
  octets: Uint8Array;
}

/** A script: what is mutated, how often, and what is put around it. */
export interface Script {
  seed: number;
  other: number;
  steps: Step[];
  wrap: 'none' | 'none-again' | 'encrypt' | 'encrypt-nested' | 'encrypt-aead' | 'mail';
}

const nat = fc.nat(0x7fffffff);
const structured = [
  'delete',
  'repeat',
  'swap',
  'replace',
  'tag',
  'length',
  'indefinite',
  'deepen',
  'value',
  'number',
  'graft',
] as const;
const flat = ['octet', 'cut', 'insert', 'splice', 'line', 'token'] as const;
/** Octets that mean something somewhere. */
const telling = fc.constantFrom(
  ...[
    '00',
    '80',
    'ff',
    '30803080',
    '0500',
    '0000',
    '028200ff',
    '24800400',
    '7fffffff',
    '84ffffffff',
    '88ffffffffffffffff',
  ].map((hex) => Uint8Array.from(Buffer.from(hex, 'hex'))),
  ...[
    '\r\n\r\n',
    '\n',
    '\r',
    '--b\r\n',
    '--b--',
    '=',
    '=\r\n',
    '-----BEGIN CMS-----\n',
    '-----END CMS-----\n',
    'begin 644 x\n',
    'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=b\r\n',
    'Content-Type: application/pkcs7-mime\r\n',
    'Content-Transfer-Encoding: quoted-printable\r\n',
    'Content-Transfer-Encoding: base64\r\n',
    "; name*0*=utf-8''a; name*1=b",
  ].map((text) => Uint8Array.from(Buffer.from(text))),
);
const octets = fc.oneof(fc.uint8Array({ maxLength: 12 }), telling);
const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...structured) },
    { weight: 2, arbitrary: fc.constantFrom(...flat) },
  ),
  at: nat,
  other: nat,
  octets,
});

export const script: fc.Arbitrary<Script> = fc.record({
  seed: nat,
  other: nat,
  steps: fc.array(step, { minLength: 1, maxLength: 6 }),
  wrap: fc.constantFrom(
    'none',
    'none',
    'none',
    'none-again',
    'encrypt',
    'encrypt-nested',
    'encrypt-aead',
    'mail',
  ),
});

/** Applies a script to the inputs so far. */
export function mutate({ seed, other, steps, wrap }: Script, inputs: readonly Buffer[]): Buffer {
  const first = inputs[seed % inputs.length] ?? Buffer.alloc(0);
  const second = inputs[other % inputs.length] ?? Buffer.alloc(0);
  const tree = steps.filter(({ kind }) => structured.some((each) => each === kind));
  let made = tree.length > 0 ? throughMail(first, (object) => mutateTree(object, second, tree)) : first;
  // each step is bounded: a line 1,500 times over and then cut into words took half a gigabyte
  for (const each of steps)
    if (flat.some((kind) => kind === each.kind))
      made = mutateFlat(made, second, each).subarray(0, mostOctets);
  return wrapped(made.subarray(0, mostOctets), wrap);
}

/** Finds the base64 of a CMS object in a mail and mutates what it means; else the octets themselves. */
function throughMail(input: Buffer, change: (object: Buffer) => Buffer): Buffer {
  if (input[0] === 0x30) return change(input);
  const text = input.toString('latin1');
  const [body] = /(?<=\n\r?\n)M[A-Za-z0-9+/=\r\n]{40,}/.exec(text) ?? [];
  if (body === undefined) return input;
  const lines = change(Buffer.from(body, 'base64'))
    .toString('base64')
    .replace(/.{1,76}/g, '$&\r\n');
  return Buffer.from(
    text.replace(body, () => lines),
    'latin1',
  );
}

function mutateTree(object: Buffer, second: Buffer, steps: readonly Step[]): Buffer {
  const [nodes] = readNodes(object);
  for (const each of steps) {
    const all = allNodes(nodes);
    const place = all[each.at % Math.max(1, all.length)];
    if (place === undefined || all.length > 4000) break;
    changeNode(place.list, place.index, all, second, each);
  }
  return Buffer.concat(nodes.map(writeNode));
}

const copy = (node: Node): Node => ({ ...node, ...(node.children && { children: node.children.map(copy) }) });

function changeNode(
  list: Node[],
  index: number,
  all: ReturnType<typeof allNodes>,
  second: Buffer,
  { kind, at, other, octets: given }: Step,
): void {
  const node = list[index];
  const elsewhere = all[other % all.length];
  const from = elsewhere?.list[elsewhere.index];
  if (node === undefined || from === undefined) return;
  switch (kind) {
    case 'delete':
      list.splice(index, 1);
      return;
    case 'repeat': {
      const wanted = 1 + (other % (other % 11 === 0 ? 1200 : 3));
      // repeated repetitions must not fill the fuzzer's own memory
      const most = Math.floor(4000 / allNodes([node]).length);
      for (let times = Math.min(wanted, most); times > 0; times--) list.splice(index, 0, copy(node));
      return;
    }
    case 'swap': {
      const next = list[index + 1];
      if (next !== undefined) list.splice(index, 2, next, node);
      return;
    }
    case 'replace':
      list[index] = copy(from);
      return;
    case 'graft': {
      const [donors] = readNodes(second);
      const donor = allNodes(donors)[other % Math.max(1, allNodes(donors).length)];
      const donated = donor?.list[donor.index];
      if (donated !== undefined) list[index] = donated;
      return;
    }
    case 'tag':
      node.tag = Buffer.from(given.length > 0 && at % 3 === 0 ? given.slice(0, 6) : [other & 0xff]);
      return;
    case 'length':
      node.length = Buffer.from(given.length > 0 ? given : [other & 0xff]);
      return;
    case 'indefinite':
      node.indefinite = !node.indefinite;
      return;
    case 'deepen': {
      let inner = copy(node);
      for (let depth = 1 + (other % 90); depth > 0; depth--)
        inner = { tag: node.tag, children: [inner], value: Buffer.alloc(0), indefinite: at % 2 === 0 };
      list[index] = inner;
      return;
    }
    case 'number': {
      const big = Buffer.alloc(1 + (other % 40), at & 0xff);
      node.children = undefined;
      node.value = big;
      return;
    }
    case 'value':
      node.children = undefined;
      node.value = Buffer.from(given);
      return;
  }
}

function mutateFlat(input: Buffer, second: Buffer, { kind, at, other, octets: given }: Step): Buffer {
  const where = at % (input.length + 1);
  const until = Math.min(input.length, where + (other % 64));
  switch (kind) {
    case 'octet': {
      const made = Buffer.from(input);
      if (where < made.length) made[where] = other & 0xff;
      return made;
    }
    case 'cut':
      return other % 4 === 0
        ? input.subarray(0, where)
        : Buffer.concat([input.subarray(0, where), input.subarray(until)]);
    case 'insert':
      return Buffer.concat([input.subarray(0, where), given, input.subarray(where)]);
    case 'splice':
      return Buffer.concat([input.subarray(0, where), second.subarray(other % (second.length + 1))]);
    case 'line': {
      const lines = input.toString('latin1').split('\n');
      const line = lines[other % lines.length] ?? '';
      lines.splice(at % lines.length, 0, ...Array(1 + (other % 17 === 0 ? 1500 : 0)).fill(line));
      return Buffer.from(lines.join('\n'), 'latin1');
    }
    case 'token': {
      // letters, digits or a parameter of a header go
      const words = input.toString('latin1').split(/\b/);
      words[at % words.length] = other % 2 === 0 ? '' : Buffer.from(given).toString('latin1');
      return Buffer.from(words.join(''), 'latin1');
    }
    default:
      return input;
  }
}

const nestedTypes = [2, 3, 5, 6].map((last) => `1.2.840.113549.1.7.${last}`);

/** Puts the mutated octets where only somebody with the key would look. */
function wrapped(octets: Buffer, wrap: Script['wrap']): Buffer {
  const recipients = [{ certificate: alice.certificate }];
  if (wrap === 'encrypt') return encodeEnvelopedData(octets, { recipients });
  if (wrap === 'encrypt-aead')
    return encodeEnvelopedData(octets, { recipients, contentEncryption: 'aes-128-gcm' });
  if (wrap === 'encrypt-nested') {
    const contentType = nestedTypes[octets.length % nestedTypes.length] ?? '1.2.840.113549.1.7.2';
    return encodeEnvelopedData(octets, { recipients, contentType });
  }
  if (wrap === 'mail') {
    const head =
      'From: a@example.com\r\nContent-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n';
    return Buffer.concat([
      Buffer.from(head),
      Buffer.from(octets.toString('base64').replace(/.{1,76}/g, '$&\r\n')),
    ]);
  }
  return octets;
}
