/**
 * What a binding file of BizTalk Server says about receive locations, send ports and parties. Passwords are left out
 * here.
 */
import {
  child,
  children,
  decodeXml,
  type Element,
  invalid,
  readInner,
  readXml,
  textAt,
  type XmlBudget,
  xmlBudget,
} from './xml.ts';

/** Settings by name, of an adapter or of a pipeline component. It knows for which of them nobody has asked. */
export class Properties {
  readonly #values: ReadonlyMap<string, string>;
  readonly #asked = new Set<string>();

  constructor(values: Iterable<readonly [string, string]>) {
    this.#values = new Map(values);
  }

  get(name: string): string | undefined {
    this.#asked.add(name);
    return this.#values.get(name);
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  /** Names of those that were not asked for. */
  get others(): string[] {
    return [...this.#values.keys()].filter((name) => !this.#asked.has(name));
  }
}

/** What a binding has of a pipeline. */
export interface Pipeline {
  name: string;
  /** Settings of the MIME/SMIME component that differ from those of the pipeline; undefined if none do. */
  mime: Properties | undefined;
  /** Names of its other components, as far as the binding has them. */
  others: string[];
}

export interface ReceiveLocation {
  port: string;
  name: string;
  adapter: string;
  address: string;
  settings: Properties;
  /** Names of settings that held something secret. */
  secrets: string[];
  pipeline: Pipeline;
  enabled: boolean;
  /** What the port does with its mail: 0 none, 1 drop, 2 keep. */
  authentication: string;
  hasWindow: boolean;
}

export interface Transport {
  adapter: string;
  address: string;
  settings: Properties;
  secrets: string[];
  retryCount: string | undefined;
  /** Minutes. */
  retryInterval: string | undefined;
  /** Times of day, `HH:MM`. */
  window: { from: string; to: string } | undefined;
  ordered: boolean;
}

export interface Certificate {
  name: string;
  /** SHA-1, as Windows shows it. */
  thumbprint: string;
}

export interface SendPort {
  name: string;
  isDynamic: boolean;
  isTwoWay: boolean;
  primary: Transport | undefined;
  backup: Transport | undefined;
  pipeline: Pipeline;
  certificate: Certificate | undefined;
  priority: string | undefined;
  stopsOnFailure: boolean;
  hasFilter: boolean;
}

export interface Party {
  name: string;
  aliases: { name: string; value: string }[];
  sendPorts: string[];
  certificate: Certificate | undefined;
}

export interface Bindings {
  locations: ReceiveLocation[];
  ports: SendPort[];
  parties: Party[];
  /** Names of what else the file contains. */
  others: string[];
}

/** Errors: `import-invalid`. */
export function readBindings(octets: Buffer): Bindings {
  const budget = xmlBudget();
  const root = readXml(decodeXml(octets), budget);
  if (root.name !== 'BindingInfo')
    throw invalid(
      `its root is not BindingInfo`,
      'export the bindings of the application from BizTalk Server',
    );
  const locations = children(child(root, 'ReceivePortCollection'), 'ReceivePort').flatMap((port) =>
    children(child(port, 'ReceiveLocations'), 'ReceiveLocation').map((each) =>
      locationOf(port, each, budget),
    ),
  );
  const ports = children(child(root, 'SendPortCollection'), 'SendPort').map((each) => portOf(each, budget));
  const parties = children(child(root, 'PartyCollection'), 'Party').map(partyOf);
  const others = [
    ...children(child(root, 'DistributionListCollection'), 'DistributionList').map(
      (each) => `send port group ${nameOf(each)}`,
    ),
    ...children(child(root, 'ModuleRefCollection'), 'ModuleRef')
      .filter((each) => (child(each, 'Services')?.children.length ?? 0) > 0)
      .map((each) => `orchestrations of ${nameOf(each)}`),
  ];
  return { locations, ports, parties, others };
}

/** Cut, because a name is repeated in each comment about it. BizTalk's names have 256 characters at most. */
const named = (text: string | undefined) => (text ?? '').slice(0, 300);
const nameOf = (element: Element | undefined) => named(element?.attributes.get('Name'));
const isTrue = (text: string | undefined) => /^(?:true|1|-1)$/i.test(text ?? '');

function locationOf(port: Element, each: Element, budget: XmlBudget): ReceiveLocation {
  const data = child(each, 'ReceiveLocationTransportTypeData');
  return {
    port: nameOf(port),
    name: nameOf(each),
    adapter: nameOf(child(each, 'ReceiveLocationTransportType')),
    address: textAt(each, 'Address') ?? '',
    ...settingsOf(data, budget),
    pipeline: pipelineOf(each, 'Receive', budget),
    enabled: isTrue(textAt(each, 'Enable')),
    authentication: textAt(port, 'Authentication') ?? '0',
    hasWindow: ['ServiceWindow', 'StartDate', 'EndDate'].some((part) =>
      isTrue(textAt(each, `ReceiveLocation${part}Enabled`)),
    ),
  };
}

function portOf(each: Element, budget: XmlBudget): SendPort {
  return {
    name: nameOf(each),
    isDynamic: !isTrue(each.attributes.get('IsStatic') ?? 'true'),
    isTwoWay: isTrue(each.attributes.get('IsTwoWay')),
    primary: transportOf(child(each, 'PrimaryTransport'), budget),
    backup: transportOf(child(each, 'SecondaryTransport'), budget),
    pipeline: pipelineOf(each, 'Send', budget),
    certificate: certificateOf(child(each, 'EncryptionCert')),
    priority: textAt(each, 'Priority'),
    stopsOnFailure: isTrue(textAt(each, 'StopSendingOnFailure')),
    hasFilter: textAt(each, 'Filter') !== undefined,
  };
}

function transportOf(each: Element | undefined, budget: XmlBudget): Transport | undefined {
  const adapter = nameOf(child(each, 'TransportType'));
  if (each === undefined || adapter === '') return undefined;
  const [from, to] = ['FromTime', 'ToTime'].map((name) => /T(\d\d:\d\d)/.exec(textAt(each, name) ?? '')?.[1]);
  const isOpen = isTrue(textAt(each, 'ServiceWindowEnabled')) && from !== undefined && to !== undefined;
  return {
    adapter,
    address: textAt(each, 'Address') ?? '',
    ...settingsOf(child(each, 'TransportTypeData'), budget),
    retryCount: textAt(each, 'RetryCount'),
    retryInterval: textAt(each, 'RetryInterval'),
    window: isOpen ? { from, to } : undefined,
    ordered: isTrue(textAt(each, 'OrderedDelivery')),
  };
}

function partyOf(each: Element): Party {
  return {
    name: nameOf(each),
    aliases: children(child(each, 'Aliases'), 'PartyAlias').map((alias) => ({
      name: nameOf(alias),
      value: alias.attributes.get('Value') ?? '',
    })),
    sendPorts: children(child(each, 'SendPorts'), 'SendPortRef').map(nameOf),
    certificate: certificateOf(child(each, 'SignatureCert')),
  };
}

function certificateOf(each: Element | undefined): Certificate | undefined {
  const written = [textAt(each, 'ShortName'), textAt(each, 'LongName'), each?.text].map((text) =>
    text?.trim(),
  );
  const thumbprint = written
    .map((text) => text?.replace(/[^0-9a-f]/gi, '').toUpperCase())
    .find((text) => text?.length === 40);
  return thumbprint === undefined ? undefined : { name: named(textAt(each, 'LongName')), thumbprint };
}

/** Whether a setting may hold a secret, judged by its name. */
const secret = /passw|pwd|secret|token|credential|privatekey|clientkey|connectionstring|accesskey/i;

/** Settings of an adapter: the elements of CustomProps, and the configuration that is XML inside one of them. */
function settingsOf(
  data: Element | undefined,
  budget: XmlBudget,
): { settings: Properties; secrets: string[] } {
  const settings: [string, string][] = [];
  const secrets: string[] = [];
  const read = (element: Element | undefined, budget: XmlBudget) => {
    for (const each of element?.children ?? []) {
      const found = readInner(each, budget);
      if (found) read(found.root, found.within);
      else if (each.children.length > 0) read(each, budget);
      else if (secret.test(each.name)) {
        if (each.text.trim() !== '') secrets.push(each.name);
      } else if (each.text.trim() !== '') settings.push([each.name, each.text.trim()]);
    }
  };
  const found = data && readInner(data, budget);
  if (found) read(found.root, found.within);
  else read(data, budget);
  return { settings: new Properties(settings), secrets };
}

function pipelineOf(each: Element, direction: 'Receive' | 'Send', budget: XmlBudget): Pipeline {
  const data = child(each, `${direction}PipelineData`);
  const root = data && readInner(data, budget)?.root;
  const components = children(child(root, 'Stages'), 'Stage').flatMap((stage) =>
    children(child(stage, 'Components'), 'Component'),
  );
  const wanted = direction === 'Receive' ? 'MIME_SMIME_Decoder' : 'MIME_SMIME_Encoder';
  const mime = components.find((component) => nameOf(component).includes(wanted));
  const properties = child(mime, 'Properties')?.children ?? [];
  return {
    name: nameOf(child(each, direction === 'Receive' ? 'ReceivePipeline' : 'TransmitPipeline')),
    mime: mime && new Properties(properties.map(({ name, text }) => [name, text.trim()])),
    others: components.filter((component) => component !== mime).map(nameOf),
  };
}
