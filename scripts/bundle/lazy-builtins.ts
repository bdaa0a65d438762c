/**
 * Has a module of Node loaded when it is first used, and not when the file is that names it: `node:tls` reads 140
 * certificates of authorities, `node:assert` and `node:child_process` take a dozen files along, and most commands use
 * none of them.
 */
import { isBuiltin } from 'node:module';
import {
  type AnyNode,
  type FunctionExpression,
  type ObjectPattern,
  type Program,
  parse,
  type VariableDeclarator,
} from 'acorn';

interface Change {
  start: number;
  end: number;
  text: string;
}

/** @param text of a CommonJS file as esbuild makes it */
export function lazyBuiltins(text: string): string {
  const program = parse(text, { ecmaVersion: 'latest', sourceType: 'script' });
  const changes: Change[] = [];
  for (const body of bodiesOf(program)) changes.push(...changesOf(text, body));
  let made = text;
  for (const { start, end, text: by } of changes.sort((a, b) => b.start - a.start))
    made = made.slice(0, start) + by + made.slice(end);
  return made;
}

/** The file itself, and the functions that hold the files of libraries. */
function bodiesOf(program: Program): (Program | FunctionExpression)[] {
  const bodies: (Program | FunctionExpression)[] = [program];
  walk(program, (node) => {
    if (
      node.type === 'Property' &&
      node.method &&
      node.key.type === 'Literal' &&
      node.value.type === 'FunctionExpression'
    )
      bodies.push(node.value);
  });
  return bodies;
}

function changesOf(text: string, body: Program | FunctionExpression): Change[] {
  const statements = body.type === 'Program' ? body.body : body.body.body;
  return statements.flatMap((statement) => {
    if (statement.type !== 'VariableDeclaration' || statement.declarations.length !== 1) return [];
    const [declared] = statement.declarations;
    const name = declared && nameOf(declared);
    if (declared?.init == null || name === undefined) return [];
    const uses = usesOf(body, name);
    if (uses === undefined) return [];
    const load = text.slice(declared.init.start, declared.init.end);
    const kept = `${name}_`;
    if (text.includes(kept)) return [];
    return [
      {
        start: statement.start,
        end: statement.end,
        text: `var ${kept}, ${name} = () => ${kept} ??= ${load};`,
      },
      ...uses.map(({ start, end, isShort }) => ({
        ...{ start, end },
        text: isShort ? `${name}: ${name}()` : `(${name}())`,
      })),
    ];
  });
}

/** Of a variable that is a module of Node, and nothing else. */
function nameOf({ id, init }: VariableDeclarator): string | undefined {
  if (id.type !== 'Identifier' || init?.type !== 'CallExpression') return undefined;
  const { callee } = init;
  const [first] = init.arguments;
  const called = lastOf(callee);
  if (called === '__toESM' && init.arguments.length === 1 && first?.type === 'CallExpression')
    return lastOf(first.callee) === 'require' && isOfNode(first.arguments[0]) ? id.name : undefined;
  return (called === 'require' || called === '__require') && isOfNode(first) ? id.name : undefined;
}

const isOfNode = (node: AnyNode | undefined) =>
  node?.type === 'Literal' && typeof node.value === 'string' && isBuiltin(node.value);

/** `f`, `x.f` or `(0, x.f)`. */
function lastOf(callee: AnyNode | undefined): string | undefined {
  if (callee?.type === 'Identifier') return callee.name;
  if (callee?.type === 'SequenceExpression') return lastOf(callee.expressions.at(-1));
  if (callee?.type === 'MemberExpression' && callee.property.type === 'Identifier')
    return callee.property.name;
  return undefined;
}

interface Use {
  start: number;
  end: number;
  /** `{ name }` */
  isShort: boolean;
}

/** Undefined if the name also means something else, or is set again. */
function usesOf(body: AnyNode, name: string): Use[] | undefined {
  const uses: Use[] = [];
  let declared = 0;
  let isOther = false;
  walk(body, (node, parent) => {
    if (node.type === 'ObjectPattern') isOther ||= node.properties.some((each) => isSetIn(each, name));
    if (node.type !== 'Identifier' || node.name !== name) return;
    if (parent.type === 'MemberExpression' && parent.property === node && !parent.computed) return;
    if (parent.type === 'VariableDeclarator' && parent.id === node) {
      declared++;
      return;
    }
    if (
      (parent.type === 'MethodDefinition' || parent.type === 'PropertyDefinition') &&
      parent.key === node &&
      !parent.computed
    )
      return;
    if (parent.type === 'Property' && parent.key === node && !parent.computed) {
      if (parent.shorthand) uses.push({ start: node.start, end: node.end, isShort: true });
      return;
    }
    if (parent.type === 'Property' && parent.shorthand) return;
    if (isBound(node, parent)) isOther = true;
    uses.push({ start: node.start, end: node.end, isShort: false });
  });
  return declared === 1 && !isOther ? uses : undefined;
}

/** `{ name }` and `{ x: name }` of a pattern; others are found where they stand. */
function isSetIn(part: ObjectPattern['properties'][number], name: string): boolean {
  return part.type === 'Property' && part.value.type === 'Identifier' && part.value.name === name;
}

/** Whether an identifier gets a value, or a meaning of its own, where it stands. */
function isBound(node: AnyNode, parent: AnyNode): boolean {
  switch (parent.type) {
    case 'FunctionDeclaration':
    case 'FunctionExpression':
    case 'ArrowFunctionExpression':
      return parent.body !== node;
    case 'ClassDeclaration':
    case 'ClassExpression':
      return parent.id === node;
    case 'AssignmentExpression':
    case 'AssignmentPattern':
      return parent.left === node;
    case 'UpdateExpression':
    case 'CatchClause':
    case 'RestElement':
    case 'ArrayPattern':
    case 'ObjectPattern':
    case 'LabeledStatement':
      return true;
    default:
      return false;
  }
}

function walk(node: AnyNode, see: (node: AnyNode, parent: AnyNode) => void, parent: AnyNode = node): void {
  see(node, parent);
  for (const value of Object.values(node))
    for (const each of Array.isArray(value) ? value : [value]) if (isNode(each)) walk(each, see, node);
}

function isNode(value: unknown): value is AnyNode {
  return (
    typeof value === 'object' &&
    value !== null &&
    'type' in value &&
    typeof value.type === 'string' &&
    'start' in value
  );
}
