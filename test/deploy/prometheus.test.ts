/**
 * The rules for Prometheus as promtool judges them, that rules and dashboard ask for nothing that is not there, and the
 * dashboard against Grafana's own schemas. `grafana-schema` has files of `jsonschema` of
 * https://github.com/grafana/grafana-foundation-sdk at f178d5a42a8915fdda9235e97ad93881e3f94fef, Apache-2.0.
 * `test/daemon/probes.test.ts` has the answers of a Prometheus that reads a daemon.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Ajv } from 'ajv';
import { run } from '../support/peers/run.ts';
import { skipWithout } from '../support/world.ts';

const root = join(import.meta.dirname, '../..');
const folder = join(root, 'deploy/prometheus');
const dashboard = readFileSync(join(root, 'deploy/grafana/sealpost.json'), 'utf8');
const rules = readFileSync(join(folder, 'sealpost-rules.yaml'), 'utf8');

/** Names of all metrics in the code, without `sealpost_`; a histogram has further ones. */
function metrics(): Set<string> {
  const names = new Set<string>();
  for (const file of globSync('src/**/*.ts', { cwd: root })) {
    const text = readFileSync(join(root, file), 'utf8');
    for (const [, kind, name = ''] of text.matchAll(
      /\b(counter|gauge|histogram)(?:<[^>]*>)?\(\s*'([a-z_]+)'/g,
    )) {
      names.add(name);
      if (kind === 'histogram') for (const end of ['bucket', 'count', 'sum']) names.add(`${name}_${end}`);
    }
  }
  return names;
}

describe('what Prometheus and Grafana ask for', () => {
  it('is there', () => {
    const known = metrics();
    assert.ok(known.size > 20);
    for (const [what, text] of Object.entries({ rules, dashboard })) {
      const asked = [...text.matchAll(/sealpost_([a-z_]+)/g)].map(([, name = '']) => name);
      assert.ok(asked.length > 5, what);
      for (const name of asked)
        assert.ok(known.has(name), `${what} ask for sealpost_${name}, which is not there`);
    }
  });

  it('is a dashboard that fits the schemas of Grafana, with the options and questions of each panel', () => {
    const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
    const assertFits = (schema: object, value: unknown, what: string) =>
      assert.ok(ajv.validate(schema, value), `${what}: ${ajv.errorsText()}`);
    const schemaOf = (name: string) =>
      JSON.parse(readFileSync(join(import.meta.dirname, `grafana-schema/${name}.jsonschema.json`), 'utf8'));
    const parsed = JSON.parse(dashboard);
    assertFits(schemaOf('dashboard'), parsed, 'the dashboard');
    const question = schemaOf('prometheus');
    for (const { type, title, options, targets } of parsed.panels) {
      assertFits({ ...schemaOf(type), $ref: '#/definitions/Options' }, options, title);
      for (const target of targets) assertFits(question, target, title);
    }
  });

  it('is a dashboard whose panels lie beside each other, each with a source and a question', () => {
    const { panels } = JSON.parse(dashboard);
    const places = new Set<string>();
    for (const { title, targets, gridPos, datasource } of panels) {
      assert.match(datasource.uid, /source/, title);
      assert.ok(targets.length > 0 && targets.every(({ expr }: { expr: string }) => expr !== ''), title);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.ok(x < 24 && !places.has(`${x} ${y}`), title);
          places.add(`${x} ${y}`);
        }
    }
  });
});

describe('the rules', { skip: skipWithout('promtool') }, () => {
  it('are right', async () => {
    const { code, stdout, stderr } = await run('promtool', [
      'check',
      'rules',
      join(folder, 'sealpost-rules.yaml'),
    ]);
    assert.equal(code, 0, stdout.toString() + stderr);
  });

  it('say what they should, and nothing before', async () => {
    const { code, stdout, stderr } = await run('promtool', [
      'test',
      'rules',
      join(folder, 'sealpost-rules.test.yaml'),
    ]);
    assert.equal(code, 0, stdout.toString() + stderr);
  });
});
