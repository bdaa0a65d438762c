import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { extensionFor, partFileName, pieceFileName, safeName } from '../../src/handoff/names.ts';
import { folderName } from '../../src/volume.ts';

describe('handoff names', () => {
  const cases: [string, string][] = [
    ['../../etc/passwd', 'passwd'],
    ['C:\\temp\\order.xml', 'order.xml'],
    ['..', ''],
    ['/', ''],
    ['a\0b\r\nc.txt', 'abc.txt'],
    ['invoice\u202egpj.exe', 'invoicegpj.exe'],
    ['CON', '_CON'],
    ['aux.xml', '_aux.xml'],
    ['.bashrc', 'bashrc'],
    ['-rf', 'rf'],
    ['trailing. . ', 'trailing'],
    ['a<b>:"|?*.txt', 'a_b______.txt'],
    ['$(reboot).sh', '_(reboot).sh'],
    ['Zu\u0308rich.pdf', 'Zürich.pdf'],
    ['half \ud800.txt', 'half \ufffd.txt'],
  ];
  for (const [name, expected] of cases) {
    it(`makes ${JSON.stringify(name)} safe`, () => assert.equal(safeName(name), expected));
  }

  it('shortens without splitting a character and keeps the extension', () => {
    const name = safeName(`${'€'.repeat(200)}.xml`);
    assert.ok(Buffer.byteLength(name) <= 120);
    assert.match(name, /^€+\.xml$/);
  });

  it('never gives a path, a control character, a dot file or a long name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), fc.nat(2000), (name, number) => {
        const file = partFileName(number, 'application/x-unknown', name);
        assert.match(file, /^\d{2,}-[^/\\\p{Cc}\p{Cf}<>:"|?*]+$/u);
        assert.ok(Buffer.byteLength(file) <= 130);
        assert.doesNotMatch(file, /[. ]$/);
        assert.equal(file, file.normalize('NFC'));
      }),
    );
  });

  it('takes the extension from the type, else from a plain file name', () => {
    assert.equal(extensionFor('text/xml', 'a.exe'), 'xml');
    assert.equal(extensionFor('application/soap+xml', ''), 'xml');
    assert.equal(extensionFor('application/octet-stream', 'ORDER.EDI'), 'edi');
    assert.equal(extensionFor('application/octet-stream', 'x./../y'), 'bin');
    assert.equal(partFileName(3, 'application/pdf', ''), '03-part.pdf');
  });

  it('names folders so that they sort by time', () => {
    const early = folderName(Date.UTC(2026, 0, 2, 3, 4, 5, 6), 'zz');
    assert.equal(early, '20260102T030405006Z-zz');
    assert.ok(early < folderName(Date.UTC(2026, 0, 2, 3, 4, 5, 7), 'aa'));
    assert.match(folderName(0, '../x'), /^19700101T000000000Z-[0-9a-f]{32}$/);
  });

  it('name pieces by their path, also by one that is very deep', () => {
    assert.equal(pieceFileName('1/2.1', 'text/plain'), '1_2.1.eml');
    assert.equal(pieceFileName('2', null), '2.bin');
    const deep = Array.from({ length: 100 }, () => '1.1');
    const names = ['1', '2'].map((last) => pieceFileName([...deep, last].join('/'), null));
    assert.equal(new Set(names).size, 2);
    for (const name of names) assert.ok(name.length <= 124, name);
  });
});
