import * as der from '../../src/asn1/writer.ts';

/** One element as the fuzzer sees it: its own tolerant reader, not the one under test. */
export interface Node {
  /** Identifier octets. */
  tag: Buffer;
  children: Node[] | undefined;
  value: Buffer;
  /** Written with an indefinite length. */
  indefinite: boolean;
  /** Length octets that lie, instead of the right ones. */
  length?: Buffer;
}

/** Reads elements until something is not one; returns what it understood and where it stopped. */
export function readNodes(
  octets: Buffer,
  start = 0,
  end: number = octets.length,
  depth = 0,
): [Node[], number] {
  const nodes: Node[] = [];
  let at = start;
  while (at + 2 <= end) {
    const first = octets[at] ?? 0;
    let header = at + 1;
    if ((first & 0x1f) === 0x1f) while (header < end && ((octets[header++] ?? 0) & 0x80) !== 0);
    const tag = octets.subarray(at, header);
    const short = octets[header++] ?? 0;
    if (first === 0 && short === 0) return [nodes, at + 2];
    const constructed = (first & 0x20) !== 0;
    if (short === 0x80) {
      if (!constructed || depth > 40) return [nodes, at];
      const [children, next] = readNodes(octets, header, end, depth + 1);
      nodes.push({ tag, children, value: Buffer.alloc(0), indefinite: true });
      at = next;
      continue;
    }
    let length = short;
    if (short > 0x80) {
      const count = short & 0x7f;
      if (count > 4 || header + count > end) return [nodes, at];
      length = octets.readUIntBE(header, count);
      header += count;
    }
    if (header + length > end) return [nodes, at];
    const value = octets.subarray(header, header + length);
    let children: Node[] | undefined;
    if (depth < 40 && (constructed || looksNested(first, value))) {
      const [found, stopped] = readNodes(octets, header, header + length, depth + 1);
      if (stopped === header + length && (constructed || found.length > 0)) children = found;
    }
    nodes.push({ tag, children, value, indefinite: false });
    at = header + length;
  }
  return [nodes, at];
}

/** An OCTET STRING may hold another structure. */
function looksNested(identifier: number, value: Buffer): boolean {
  return identifier === 0x04 && value.length > 2 && (value[0] === 0x30 || value[0] === 0x31);
}

export function writeNode(node: Node): Buffer {
  const content = node.children === undefined ? node.value : Buffer.concat(node.children.map(writeNode));
  if (node.length !== undefined) return Buffer.concat([node.tag, node.length, content]);
  if (node.indefinite) return Buffer.concat([node.tag, Buffer.from([0x80]), content, der.endOfContents]);
  // the writer's header starts with a tag octet, which is replaced
  return Buffer.concat([node.tag, der.header(0, 0, content.length).subarray(1), content]);
}

/** All elements, each with the list that contains it. */
export function allNodes(nodes: Node[]): { list: Node[]; index: number }[] {
  return nodes.flatMap((node, index) => [{ list: nodes, index }, ...allNodes(node.children ?? [])]);
}
