import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileFunction } from 'node:vm';
import { lazyBuiltins } from '../../scripts/bundle/lazy-builtins.ts';

/** What a file exports, and the modules of Node that it loads, in order. */
function run(text: string): { exports: Record<string, unknown>; loaded: string[] } {
  const loaded: string[] = [];
  const made = { exports: {} };
  const load = (id: string) => {
    loaded.push(id);
    return process.getBuiltinModule(id);
  };
  compileFunction(lazyBuiltins(text), ['module', 'require'])(made, load);
  return { exports: made.exports, loaded };
}

function called(text: string): { first: string[]; loaded: string[]; value: unknown } {
  const { exports, loaded } = run(text);
  const first = [...loaded];
  const { f } = exports;
  assert.ok(typeof f === 'function');
  f();
  return { first, value: f(), loaded };
}

describe('modules of Node in the bundle', () => {
  it('are loaded once, when they are first used', () => {
    const text = 'var os = require("node:os"); module.exports = { f: () => os.EOL + typeof os.cpus };';
    assert.deepEqual(called(text), { first: [], loaded: ['node:os'], value: '\nfunction' });
  });

  it('are loaded at once where they are used at once', () => {
    const text =
      'const net = require("net"); class A extends net.Server {} module.exports = { f: () => A.name };';
    assert.deepEqual(called(text), { first: ['net'], loaded: ['net'], value: 'A' });
  });

  it('keep their meaning in every kind of use', () => {
    const text = `
      var net = require("node:net");
      const isIP = 4, kept = { net: 1 };
      function f() {
        const { BlockList } = net, short = { net }, list = new net.BlockList(), own = { net: net };
        return [
          (0, net.isIP)("::1"), list instanceof BlockList, short.net === net, own.net.isIPv4("1.2.3.4"),
          kept.net, typeof net, \`\${net.isIPv6("::")}\`, isIP,
        ];
      }
      module.exports = { f };`;
    assert.deepEqual(called(text), {
      first: [],
      loaded: ['node:net'],
      value: [6, true, true, true, 1, 'object', 'true', 4],
    });
  });

  it('are found in the functions that hold the files of libraries, each for itself', () => {
    const text = `
      var __require = require;
      var wrap = (of) => () => { const m = { exports: {} }; Object.values(of)[0](m.exports, m); return m.exports; };
      var a = wrap({ "a.js"(exports2, module2) { var tls = __require("node:tls"); exports2.f = () => typeof tls.connect; } });
      var b = wrap({ "b.js"(exports2, module2) { var tls = { connect: 1 }; exports2.g = () => tls.connect; } });
      module.exports = { f: a().f, g: b().g };`;
    const { exports, loaded } = run(text);
    assert.deepEqual(loaded, []);
    const { f, g } = exports;
    assert.ok(typeof f === 'function' && typeof g === 'function');
    assert.deepEqual([g(), loaded, f(), loaded], [1, ['node:tls'], 'function', ['node:tls']]);
  });

  for (const [what, rest] of [
    ['is set again', 'os = { EOL: 1 }; module.exports = { f: () => os.EOL };'],
    ['also names a parameter', 'module.exports = { f: () => ((os) => os.EOL)({ EOL: 1 }) };'],
    ['also names another variable', 'module.exports = { f() { let os = { EOL: 1 }; return os.EOL; } };'],
    ['also names a part of a pattern', 'module.exports = { f() { const { os } = { os: 1 }; return os; } };'],
  ])
    it(`are left as they are where the name ${what}`, () => {
      const text = `var os = require("node:os"); ${rest}`;
      assert.equal(lazyBuiltins(text), text);
      assert.equal(called(text).value, 1);
    });

  it('are told from other files', () => {
    const text =
      'var a = require("./os"), b = require("node:os"); var c = required("node:os"); var d = require("bullmq");';
    assert.equal(lazyBuiltins(text), text);
  });
});
