/** Binding files in the structure that BizTalk Server exports; our own words in it. */

/** As the text of an element. */
export function escaped(xml: string): string {
  return xml
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

export const xmlHead = '<?xml version="1.0" encoding="utf-8"?>\n';

export function component(name: string, properties: Record<string, string>): string {
  const inner = Object.entries(properties).map(
    ([each, value]) => `<${each} vt="8">${escaped(value)}</${each}>`,
  );
  return `<Root xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><Stages><Stage CategoryId="9d0e4103-4cce-4536-83fa-4a5040674ad6"><Components><Component Name="Microsoft.BizTalk.Component.${name}"><Properties>${inner.join('')}</Properties></Component></Components></Stage></Stages></Root>`;
}

/** Settings of an adapter whose configuration is XML in XML. */
export function adapterConfig(settings: Record<string, string>): string {
  const inner = Object.entries(settings).map(([each, value]) => `<${each}>${escaped(value)}</${each}>`);
  const config = `<Config xmlns:xsd="http://www.w3.org/2001/XMLSchema">${inner.join('')}</Config>`;
  return `<CustomProps><AdapterConfig vt="8">${escaped(config)}</AdapterConfig></CustomProps>`;
}

export function customProps(settings: Record<string, string>): string {
  const inner = Object.entries(settings).map(
    ([each, value]) => `<${each} vt="8">${escaped(value)}</${each}>`,
  );
  return `<CustomProps>${inner.join('')}</CustomProps>`;
}

export interface Location {
  name: string;
  adapter: string;
  data: string;
  pipelineData?: string;
  authentication?: string;
  more?: string;
}

export function receivePort({
  name,
  adapter,
  data,
  pipelineData = '',
  authentication = '0',
  more = '',
}: Location): string {
  return `<ReceivePort Name="${escaped(name)} port" IsTwoWay="false" BindingOption="1">
      <Description xsi:nil="true" />
      <ReceiveLocations><ReceiveLocation Name="${escaped(name)}">
        <Address>${adapter}://mail.own.example#orders</Address><PublicAddress /><Primary>true</Primary>
        <ReceiveLocationServiceWindowEnabled>false</ReceiveLocationServiceWindowEnabled>${more}
        <ReceiveLocationTransportType Name="${adapter}" Capabilities="9" ConfigurationClsid="1787fcc1-9aaa-4bba-9096-7eb77e3d9d9d" />
        <ReceiveLocationTransportTypeData>${escaped(data)}</ReceiveLocationTransportTypeData>
        <ReceivePipeline Name="Own.Pipelines.DecodeReceive" FullyQualifiedName="Own.Pipelines.DecodeReceive, Own.Pipelines" Type="1" />
        <ReceivePipelineData>${escaped(pipelineData)}</ReceivePipelineData>
        <Enable>true</Enable>
      </ReceiveLocation></ReceiveLocations>
      <Authentication>${authentication}</Authentication>
    </ReceivePort>`;
}

export function sendPort(
  name: string,
  {
    adapter = 'SMTP',
    address,
    data,
    encoder = '',
    certificate = '',
    more = '',
    transport = '',
    attributes = 'IsStatic="true" IsTwoWay="false"',
  }: {
    adapter?: string;
    address: string;
    data: string;
    encoder?: string;
    certificate?: string;
    more?: string;
    transport?: string;
    attributes?: string;
  },
): string {
  return `<SendPort Name="${escaped(name)}" ${attributes} BindingOption="0">
      <Description xsi:nil="true" />
      <TransmitPipeline Name="Own.Pipelines.EncodeSend" FullyQualifiedName="Own.Pipelines.EncodeSend, Own.Pipelines" Type="2" />
      <PrimaryTransport>
        <Address>${escaped(address)}</Address>
        <TransportType Name="${adapter}" Capabilities="1" ConfigurationClsid="8f36b311-9b33-4b6c-8d0a-6e8e2d1f0000" />
        <TransportTypeData>${escaped(data)}</TransportTypeData>
        <RetryCount>3</RetryCount><RetryInterval>5</RetryInterval>${transport}
      </PrimaryTransport>
      ${encoder === '' ? '' : `<SendPipelineData>${escaped(encoder)}</SendPipelineData>`}
      ${certificate}<Priority>5</Priority>${more}
    </SendPort>`;
}

export function bindings({ receive = '', send = '', parties = '', more = '' }): string {
  return `${xmlHead}<BindingInfo xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema" Assembly="Microsoft.BizTalk.Deployment" Version="3.5.1.0" BindingStatus="NoBindings">
  <Timestamp>2026-01-06T10:00:00</Timestamp>
  <ModuleRefCollection>${more}</ModuleRefCollection>
  <SendPortCollection>${send}</SendPortCollection>
  <DistributionListCollection />
  <ReceivePortCollection>${receive}</ReceivePortCollection>
  <PartyCollection>${parties}</PartyCollection>
</BindingInfo>
`;
}

export const thumbprint = 'AB 12 CD 34 EF 56 AB 12 CD 34 EF 56 AB 12 CD 34 EF 56 AB 12';

/** One application as an operator would have it. */
export const application = bindings({
  receive: [
    receivePort({
      name: 'Orders by mail',
      adapter: 'POP3',
      authentication: '2',
      data: adapterConfig({
        mailServer: 'mail.own.example',
        serverPort: '995',
        userName: 'orders',
        password: 'Hunter2-Pop3',
        authenticationScheme: 'Basic',
        sslRequired: 'true',
        applyMIME: 'true',
        bodyPartContentType: 'text/xml',
        errorThreshold: '10',
        pollingInterval: '5',
        pollingUnitOfMeasure: 'Minutes',
      }),
      pipelineData: component('MIME_SMIME_Decoder', {
        AllowNonMIMEMessage: '-1',
        BodyPartIndex: '2',
        CheckRevocationList: '-1',
      }),
    }),
    receivePort({
      name: 'Files',
      adapter: 'FILE',
      data: customProps({ FileMask: '*.xml', Password: 'Hunter2-File' }),
    }),
  ].join(''),
  send: [
    sendPort('Invoices to Acme', {
      address: 'mailto:edi@acme.example;second@acme.example',
      data: customProps({
        From: 'orders@own.example',
        SMTPHost: 'smarthost.own.example',
        Subject: 'Invoice',
        Username: 'relay',
        Password: 'Hunter2-Smtp',
        DeliveryReceipt: '0',
      }),
      encoder: component('MIME_SMIME_Encoder', {
        EnableEncryption: '-1',
        EncryptionAlgorithm: 'AES256',
        SignatureType: 'ClearSign',
        SendBodyPartAsAttachment: '-1',
      }),
      certificate: `<EncryptionCert><LongName>CN=Acme EDI</LongName><ShortName>${thumbprint}</ShortName></EncryptionCert>`,
      transport:
        '<ServiceWindowEnabled>true</ServiceWindowEnabled><FromTime>2000-01-01T08:00:00</FromTime><ToTime>2000-01-01T18:30:00</ToTime><OrderedDelivery>true</OrderedDelivery>',
      more: '<StopSendingOnFailure>true</StopSendingOnFailure><Filter>&lt;Filter /&gt;</Filter>',
    }),
    sendPort('To a queue', {
      adapter: 'WCF-NetMsmq',
      address: 'net.msmq://localhost/x',
      data: customProps({}),
    }),
  ].join(''),
  parties: `<Party Name="Acme"><Aliases><PartyAlias Name="E-mail" Qualifier="Email" Value="billing@acme.example" IsAutoCreated="false" /></Aliases><SendPorts><SendPortRef Name="Invoices to Acme" /></SendPorts></Party>
    <Party Name="Silent"><Aliases><PartyAlias Name="Organization" Qualifier="OrganizationName" Value="Silent" /></Aliases><SendPorts /></Party>`,
});
