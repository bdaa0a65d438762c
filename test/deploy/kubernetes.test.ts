/** The manifests of deploy/kubernetes against the schemas of Kubernetes and KEDA, and against what Sealpost is. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ScaledObject } from '@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject';
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import { Namespace } from 'kubernetes-models/v1/Namespace';
import { Service } from 'kubernetes-models/v1/Service';
import { parse, parseAllDocuments } from 'yaml';
import { readConfig } from '../../src/config/load.ts';
import { roleNames } from '../../src/daemon/protocol.ts';
import { queueNames } from '../../src/queue/keys.ts';

const folder = join(import.meta.dirname, '../../deploy/kubernetes');
const text = (name: string) => readFileSync(join(folder, name), 'utf8');
const kustomization: { resources: string[]; configMapGenerator: { name: string }[] } = parse(
  text('kustomization.yaml'),
);
const documents = kustomization.resources.flatMap((name) =>
  parseAllDocuments(text(name)).map((document) => ({ name, data: document.toJS() })),
);
/** An instance of the model of its kind, checked against the schema. */
function checked<D, T extends { validate(): void }>(Model: new (data: D) => T, kind: string): T[] {
  return documents
    .filter(({ data }) => data.kind === kind)
    .map(({ data }) => {
      const made = new Model(data);
      made.validate();
      return made;
    });
}

const deployments = checked(Deployment, 'Deployment').map((each) => {
  const template = each.spec?.template;
  const [container] = template?.spec?.containers ?? [];
  assert.ok(template?.spec && container);
  return {
    name: each.metadata?.name,
    selector: each.spec?.selector.matchLabels,
    labels: template.metadata?.labels ?? {},
    pod: template.spec,
    container,
  };
});
const kinds: Record<string, { validate(): void }[]> = {
  Deployment: checked(Deployment, 'Deployment'),
  NetworkPolicy: checked(NetworkPolicy, 'NetworkPolicy'),
  PodDisruptionBudget: checked(PodDisruptionBudget, 'PodDisruptionBudget'),
  Namespace: checked(Namespace, 'Namespace'),
  Service: checked(Service, 'Service'),
  ScaledObject: checked(ScaledObject, 'ScaledObject'),
};
const config = readConfig(text('sealpost.yaml'), 'sealpost.yaml').config;

describe('kubernetes manifests', () => {
  it('are what the schemas say, each document, and a broken one is not', () => {
    for (const [kind, found] of Object.entries(kinds)) assert.ok(found.length > 0, kind);
    for (const { name, data } of documents) assert.ok(data.kind in kinds, `${name}: ${data.kind}`);
    const files = readdirSync(folder).filter((name) => /\.yaml$/.test(name));
    const known = [...kustomization.resources, 'kustomization.yaml', 'sealpost.yaml'];
    assert.deepEqual(files.toSorted(), known.toSorted());
    const broken = structuredClone(documents.find(({ data }) => data.kind === 'Deployment')?.data);
    broken.spec.template.spec.terminationGracePeriodSeconds = '45s';
    assert.throws(() => new Deployment(broken).validate(), /terminationGracePeriodSeconds must be integer/);
  });

  it('run each role, and drain before they are killed', () => {
    assert.ok(config, 'the configuration is valid');
    const roles = deployments.map(({ container }) => container.args?.at(-1) ?? '');
    assert.deepEqual(roles.toSorted(), [...roleNames].toSorted());
    for (const { name, labels, selector, pod } of deployments) {
      assert.deepEqual(selector, labels);
      const grace = (pod.terminationGracePeriodSeconds ?? 0) * 1000;
      assert.ok(grace >= config.workers.drainTimeout + 10_000, `${name}: ${grace}`);
    }
  });

  it('give each role the files that it reads, and no key of another role', () => {
    const holders = (fits: (volume: { secret?: string; configMap?: string }) => boolean) =>
      deployments
        .filter(({ pod }) =>
          pod.volumes?.some(({ secret, configMap }) =>
            fits({
              ...(secret?.secretName === undefined ? {} : { secret: secret.secretName }),
              ...(configMap?.name === undefined ? {} : { configMap: configMap.name }),
            }),
          ),
        )
        .map(({ name }) => name);
    const keys = holders(({ secret }) => secret === 'sealpost-keys');
    assert.deepEqual(keys, ['sealpost-decrypt', 'sealpost-outbound']);
    const certificates = holders(({ configMap }) => configMap === 'sealpost-certs');
    assert.deepEqual(certificates, [
      'sealpost-decrypt',
      'sealpost-outbound',
      'sealpost-api',
      'sealpost-console',
    ]);
    for (const role of ['receive', 'api', 'console'])
      assert.deepEqual(
        holders(({ secret }) => secret === `sealpost-tls-${role}`),
        [`sealpost-${role}`],
      );
    // what the configuration names is where its readers have it
    assert.ok(config);
    const { identities, partners } = config;
    assert.ok(identities.every(({ key }) => key?.startsWith('/etc/sealpost/keys/')));
    for (const entry of partners.flatMap((partner) => partner.certificates))
      assert.match(typeof entry === 'string' ? entry : entry.file, /^\/etc\/sealpost\/certs\//);
  });

  it('let each role out to what it asks, and no further', () => {
    const ports = (role: string) =>
      checked(NetworkPolicy, 'NetworkPolicy')
        .filter(({ spec }) => (spec?.podSelector?.matchLabels?.role ?? role) === role)
        .flatMap(({ spec }) => spec?.egress?.flatMap((rule) => rule.ports ?? []) ?? [])
        .filter(({ protocol }) => protocol === 'TCP')
        .map(({ port }) => Number(port))
        .toSorted((a, b) => a - b);
    const always = [53, 443, 6379];
    const more: Record<string, number[]> = {
      receive: [143, 993],
      decrypt: [80],
      handoff: [24, 25, 465, 587],
      outbound: [25, 80, 389, 465, 587, 636],
    };
    for (const role of roleNames)
      assert.deepEqual(
        ports(role),
        [...always, ...(more[role] ?? [])].toSorted((a, b) => a - b),
        role,
      );
  });

  it('run without rights: no root, no writable system, limited memory', () => {
    for (const { name, pod, container } of deployments) {
      assert.equal(pod.securityContext?.runAsNonRoot, true, name);
      assert.equal(pod.automountServiceAccountToken, false, name);
      const { readOnlyRootFilesystem, allowPrivilegeEscalation, capabilities } =
        container.securityContext ?? {};
      assert.deepEqual([readOnlyRootFilesystem, allowPrivilegeEscalation], [true, false], name);
      assert.deepEqual(capabilities?.drop, ['ALL'], name);
      assert.ok(container.resources?.limits?.memory, name);
      assert.ok(container.readinessProbe, name);
      const mounted = container.volumeMounts?.map((mount) => mount.name) ?? [];
      assert.deepEqual(mounted.toSorted(), pod.volumes?.map((volume) => volume.name).toSorted(), name);
    }
  });

  it('name what is there: services, budgets, policies and scalers', () => {
    const fits = (selector: Record<string, string> = {}) =>
      deployments.filter(({ labels }) =>
        Object.entries(selector).every(([key, value]) => labels[key] === value),
      );
    for (const { spec } of checked(Service, 'Service')) {
      const ports = fits(spec?.selector).flatMap(({ container }) => container.ports ?? []);
      for (const { targetPort } of spec?.ports ?? [])
        assert.ok(
          ports.some(({ name }) => name === targetPort),
          String(targetPort),
        );
    }
    const budgets = checked(PodDisruptionBudget, 'PodDisruptionBudget');
    assert.equal(budgets.length, deployments.length);
    for (const { spec } of budgets) assert.equal(fits(spec?.selector?.matchLabels).length, 1);
    for (const { spec } of checked(NetworkPolicy, 'NetworkPolicy'))
      assert.ok(fits(spec?.podSelector?.matchLabels).length > 0);
    const prefix = config?.redis.prefix;
    for (const { spec } of checked(ScaledObject, 'ScaledObject')) {
      assert.ok(deployments.some(({ name }) => name === spec?.scaleTargetRef.name));
      const lists = spec?.triggers.map(({ metadata }) => metadata.listName) ?? [];
      assert.ok(
        lists.every((list) =>
          queueNames.some((queue) =>
            [`${prefix}:${queue}:wait`, `${prefix}:parked:${queue}`].includes(list ?? ''),
          ),
        ),
        lists.join(),
      );
    }
  });
});
