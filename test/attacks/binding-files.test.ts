/** Binding files that somebody made to read other files, to exhaust memory, or to write settings of their own. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { readBindings } from '../../src/biztalk/bindings.ts';
import { importBindings } from '../../src/biztalk/index.ts';
import {
  application,
  bindings,
  customProps,
  escaped,
  receivePort,
  sendPort,
  xmlHead,
} from '../biztalk/support.ts';

const invalid = { code: 'import-invalid' };
const refused = (xml: string, what: string) =>
  assert.throws(() => importBindings(Buffer.from(xml)), invalid, what);
const smtp = (name: string, settings: Record<string, string>, address = 'mailto:a@b.example') =>
  bindings({ send: sendPort(name, { address, data: customProps(settings) }) });

describe('a binding file', () => {
  it('with a DTD, its entities or unknown ones is refused, also within the text of an element', () => {
    const body = '<BindingInfo><SendPortCollection>&x;</SendPortCollection></BindingInfo>';
    const bomb = `<!DOCTYPE BindingInfo [<!ENTITY a "aaaaaaaaaa"><!ENTITY x "&a;&a;&a;&a;">]>`;
    const outside = '<!DOCTYPE BindingInfo [<!ENTITY x SYSTEM "file:///etc/passwd">]>';
    for (const [what, head] of Object.entries({
      bomb,
      outside,
      empty: '<!DOCTYPE BindingInfo SYSTEM "http://127.0.0.1/x">',
    }))
      refused(`${xmlHead}${head}${body.replace('&x;', '')}`, what);
    refused(`${xmlHead}${body}`, 'an unknown entity');
    for (const inner of [
      `${bomb}<CustomProps><From>&x;</From></CustomProps>`,
      '<CustomProps><From>&x;</From></CustomProps>',
    ])
      refused(bindings({ send: sendPort('x', { address: 'a@b.example', data: inner }) }), inner);
    refused(
      bindings({
        receive: receivePort({ name: 'x', adapter: 'POP3', data: '<a/>', pipelineData: `${bomb}<Root/>` }),
      }),
      'in the settings of a pipeline',
    );
  });

  it('is refused when it is nested too deep, has too many elements, or XML within XML too often', () => {
    refused(`${xmlHead}<BindingInfo>${'<a>'.repeat(5000)}${'</a>'.repeat(5000)}</BindingInfo>`, 'depth');
    refused(`${xmlHead}<BindingInfo>${'<a/>'.repeat(251_000)}</BindingInfo>`, 'number');
    // A level of escaping after the other: each is as large as what it holds.
    let inner = '<x>y</x>';
    for (let level = 0; level < 6; level += 1) inner = `<x><v>${escaped(inner)}</v></x>`;
    refused(bindings({ send: sendPort('x', { address: 'a@b.example', data: inner }) }), 'nesting');
    const wide = `<CustomProps>${`<x>${escaped('<y>'.repeat(70) + '</y>'.repeat(70))}</x>`}</CustomProps>`;
    refused(bindings({ send: sendPort('x', { address: 'a@b.example', data: wide }) }), 'depth within');
    // The bounds are those of the whole file: what is within counts with the rest.
    const many = `<CustomProps>${'<a/>'.repeat(90_000)}</CustomProps>`;
    const ports = Array.from({ length: 3 }, (_, at) =>
      sendPort(`p${at}`, { address: 'a@b.example', data: many }),
    );
    refused(bindings({ send: ports.join('') }), 'number within');
  });

  it('is refused when it is cut, not XML, of another kind, or in octets that are no text', () => {
    refused(application.slice(0, -30), 'cut');
    refused('not XML', 'text');
    refused('', 'empty');
    refused('<Other/>', 'another root');
    assert.throws(() => importBindings(Buffer.from([0x3c, 0xff, 0xfe])), invalid);
  });

  it('gives no password away, wherever it stands', () => {
    const { files, notes } = importBindings(Buffer.from(application));
    const text = JSON.stringify([files, notes]);
    assert.equal(text.includes('Hunter2'), false);
    // Nor is it kept on the way.
    const { locations, ports } = readBindings(Buffer.from(application));
    const settings = [...locations, ...ports.flatMap(({ primary }) => primary ?? [])].flatMap((each) => [
      ...each.settings.others.map((name) => each.settings.get(name)),
    ]);
    assert.ok(settings.includes('smarthost.own.example') && settings.includes('mail.own.example'));
    assert.equal(settings.join().includes('Hunter2'), false);
    try {
      importBindings(
        Buffer.from(application.replace('</CustomProps>', '').replace('Hunter2-Smtp', 'Hunter2-Smtp&bad;')),
      );
      assert.fail('it was read');
    } catch (error) {
      assert.equal(`${error}`.includes('Hunter2'), false);
    }
  });

  it('writes no setting of its own: names and comments stay in their line', () => {
    const odd = 'x\nencrypt: false\n# \u2028sign: none\r\u0085';
    const { files } = importBindings(
      Buffer.from(smtp(odd, { From: 'a@b.example\nencrypt: false', SMTPHost: 'h\nencrypt: false' })),
    );
    const [file] = files;
    const read = parse(file?.text ?? '');
    assert.deepEqual(Object.keys(read).sort(), ['addresses', 'identity', 'name', 'route']);
    assert.match(read.name, /^[a-z0-9._-]+$/);
  });

  it('names no file elsewhere', () => {
    for (const name of [
      '../../etc/passwd',
      '/etc/passwd',
      '..',
      'a/../../b',
      '\\\\host\\share',
      '.hidden',
      'con',
    ])
      for (const { name: written } of importBindings(Buffer.from(smtp(name, {}))).files)
        assert.match(written, /^(?:mailboxes|partners\/[a-z0-9][a-z0-9._-]*)\.yaml\.disabled$/, name);
  });

  /** How often something is looked for in a list, a set or a map while a file is read. */
  function lookUps(xml: string): number {
    let count = 0;
    const spy = (on: object, name: 'has' | 'includes') => {
      const own = Object.getOwnPropertyDescriptor(on, name);
      const original: (...args: unknown[]) => unknown = own?.value;
      Object.defineProperty(on, name, {
        ...own,
        value(this: unknown, ...args: unknown[]) {
          count += 1;
          return original.apply(this, args);
        },
      });
      return () => Object.defineProperty(on, name, own ?? {});
    };
    const undo = [spy(Set.prototype, 'has'), spy(Array.prototype, 'includes')];
    try {
      importBindings(Buffer.from(xml));
    } finally {
      for (const each of undo) each();
    }
    return count;
  }

  it('with many of one name takes twice the work for twice as many, not four times', () => {
    const location = receivePort({ name: 'same', adapter: 'POP3', data: '' });
    const port = sendPort('same', { address: 'a@b.example', data: '' });
    const party = '<Party Name="p"><SendPorts><SendPortRef Name="same" /></SendPorts></Party>';
    for (const [what, of] of Object.entries({
      locations: (count: number) => bindings({ receive: location.repeat(count) }),
      parties: (count: number) => bindings({ send: port.repeat(count), parties: party.repeat(count) }),
    })) {
      const [once, twice] = [lookUps(of(100)), lookUps(of(200))];
      assert.ok(once > 50 && twice < once * 2.5, `${what}: ${once}, then ${twice}`);
    }
    const { files } = importBindings(Buffer.from(bindings({ send: port.repeat(3) })));
    assert.deepEqual(
      files.map(({ name }) => name),
      ['same', 'same-2', 'same-3'].map((name) => `partners/${name}.yaml.disabled`),
    );
  });

  it('with one name that is very long does not repeat all of it beside each of many', () => {
    const long = 'n'.repeat(5000);
    const port = sendPort(long, { address: 'a@b.example', data: '' });
    const party = `<Party Name="${long}"><SendPorts><SendPortRef Name="${long}" /></SendPorts></Party>`;
    const read = readBindings(Buffer.from(bindings({ send: port, parties: party })));
    for (const { name } of [...read.ports, ...read.parties]) assert.equal(name.length, 300);
    // and belongs together all the same
    assert.match(
      importBindings(Buffer.from(bindings({ send: port, parties: party }))).files[0]?.text ?? '',
      /, party nnn/,
    );
  });

  it('with many addresses of one party for each of many send ports is refused', () => {
    const of = (ports: number, addresses: number) => {
      const aliases = Array.from(
        { length: addresses },
        (_, at) => `<PartyAlias Name="E-mail" Value="a${at}@b.example" />`,
      );
      return bindings({
        send: sendPort('p', { address: 'a@b.example', data: '' }).repeat(ports),
        parties: `<Party Name="p"><Aliases>${aliases.join('')}</Aliases><SendPorts><SendPortRef Name="p" /></SendPorts></Party>`,
      });
    };
    assert.equal(importBindings(Buffer.from(of(10, 10_000))).partners, 10);
    refused(of(10, 10_001), 'addresses');
  });
});
