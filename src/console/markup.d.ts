/**
 * What is used of htm, preact and preact-render-to-string (tsconfig.json leads here). Preact's own types bring those of
 * a browser along, `window` and `document` included, into every file of the project.
 */
declare const node: unique symbol;
/** An element, as Preact makes it. */
export interface VNode {
  readonly [node]: true;
}
export declare const Fragment: (props: { children?: unknown }) => VNode;
export declare function h(
  type: string | typeof Fragment,
  attributes: Record<string, unknown> | null,
  ...children: unknown[]
): VNode;
export declare function renderToString(node: VNode): string;
declare const htm: {
  bind(make: typeof h): (strings: TemplateStringsArray, ...values: unknown[]) => VNode | VNode[];
};
export default htm;
