/**
 * docker-compose.yml against the schema of the Compose Specification, and against what each role needs: no service sees
 * a private key that its role does not use. compose-spec.json is schema/compose-spec.json of
 * https://github.com/compose-spec/compose-spec at 170098ba07d9f53c383a41bfd4c5166b0a4529a6, Apache-2.0.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import * as z from 'zod';
import { readConfig } from '../../src/config/load.ts';
import { roleNames } from '../../src/daemon/protocol.ts';

const root = join(import.meta.dirname, '../..');
const text = (name: string) => readFileSync(join(root, name), 'utf8');
// The draft is named with https there, which Ajv does not know.
const { $schema: _, ...schema } = JSON.parse(text('test/deploy/compose-spec.json'));
const isCompose = new Ajv({ strict: false, validateFormats: false }).compile(schema);
const document = parse(text('docker-compose.yml'), { merge: true });

const { services } = z
  .object({
    services: z.record(
      z.string(),
      z.object({
        command: z.union([z.string(), z.array(z.string())]),
        volumes: z.array(z.string()),
        networks: z.array(z.string()),
        ports: z.array(z.string()).default([]),
        env_file: z.array(z.object({ path: z.string(), required: z.literal(false) })).default([]),
        environment: z.record(z.string(), z.string()).default({}),
        healthcheck: z.object({ test: z.array(z.string()) }).optional(),
        user: z.string().optional(),
        privileged: z.boolean().optional(),
        read_only: z.boolean().optional(),
        cap_drop: z.array(z.string()).optional(),
        security_opt: z.array(z.string()).optional(),
        stop_grace_period: z.string().optional(),
        profiles: z.array(z.string()).default([]),
      }),
    ),
  })
  .parse(document);

/** Services that run a role. */
const roles = Object.entries(services).flatMap(([name, service]) => {
  const role =
    Array.isArray(service.command) && service.command.at(-2) === '--only' && service.command.at(-1);
  return role ? [{ name, role, service }] : [];
});
/** The services that see a folder of this host or what is in it. */
const seeing = (folder: string) =>
  Object.entries(services)
    .filter(([, { volumes }]) =>
      volumes.some((volume) => {
        const from = `${volume.split(':')[0]}/`;
        return from.startsWith(`./${folder}/`) || `./${folder}/`.startsWith(from);
      }),
    )
    .map(([name]) => name);

describe('docker-compose.yml', () => {
  it('is what the Compose Specification says, and a broken one is not', () => {
    assert.equal(isCompose(document), true, JSON.stringify(isCompose.errors));
    for (const broken of [{ volume: {} }, { services: { a: { port: ['25:25'] } } }, { services: { a: 1 } }])
      assert.equal(isCompose(broken), false, JSON.stringify(broken));
  });

  it('has a service for each role, checked by the health of that role', () => {
    assert.deepEqual(roles.map(({ role }) => role).toSorted(), [...roleNames].toSorted());
    for (const { role, service } of roles)
      assert.deepEqual(service.healthcheck?.test, ['CMD', 'sealpost', 'health', '--role', role]);
  });

  it('shows private keys for S/MIME to decrypt and outbound only, beside the command line', () => {
    assert.deepEqual(seeing('config/keys'), ['decrypt', 'outbound', 'cli']);
    // as index of the certificates of partners, these roles read them
    assert.deepEqual(seeing('config/certs'), ['decrypt', 'outbound', 'api', 'console', 'cli']);
  });

  it('shows each TLS key and each file of secrets to one role', () => {
    for (const role of ['receive', 'handoff', 'outbound', 'api', 'console']) {
      const name = roles.find((each) => each.role === role)?.name;
      assert.deepEqual(seeing(`config/tls/${role}`), [name, 'cli']);
    }
    for (const { role, service } of roles)
      for (const { path } of service.env_file) assert.equal(path, `config/env/${role}.env`);
    const { cli } = services;
    const all = roles.flatMap(({ service }) => service.env_file);
    assert.deepEqual(cli?.env_file.toSorted(), all.toSorted());
  });

  it('lets the command line listen nowhere, and start only when it is called', () => {
    assert.deepEqual([services.cli?.ports, services.cli?.profiles], [[], ['cli']]);
  });

  it('runs without rights, and drains before it is killed', () => {
    const config = readConfig(text('config/sealpost.yaml'), 'sealpost.yaml').config;
    assert.ok(config, 'the configuration is valid');
    for (const { name, service } of [...roles, { name: 'cli', service: services.cli }]) {
      assert.deepEqual([service?.read_only, service?.cap_drop], [true, ['ALL']], name);
      assert.deepEqual([service?.security_opt, service?.privileged], [['no-new-privileges:true'], undefined]);
      const grace = /^(\d+)s$/.exec(service?.stop_grace_period ?? '')?.[1];
      assert.ok(Number(grace) * 1000 >= config.workers.drainTimeout + 10_000, `${name}: ${grace}`);
      for (const volume of service?.volumes ?? [])
        if (volume.startsWith('./config')) assert.match(volume, /:\/etc\/sealpost\/[a-z/.]+:ro$/);
    }
    assert.match(text('Dockerfile'), /^USER sealpost$/m);
  });

  it('keeps Redis on a network of its own', () => {
    assert.deepEqual([services.redis?.networks, services.redis?.ports], [['store'], []]);
    assert.deepEqual(document.networks.store, { internal: true });
  });

  it('has an example of .env that names each variable it takes from there, without a value', () => {
    const taken = [...text('docker-compose.yml').matchAll(/\$\{(\w+)/g)].map(([, name]) => `${name}=`);
    const given = text('deploy/compose.env.example').match(/^[^#\n].*$/gm);
    assert.deepEqual(given, [...new Set(taken)]);
  });
});
