/**
 * The daemon: the supervisor of the role processes, the skeleton that each of these shares (`role.ts`), their signs of
 * life and metrics. It holds no keys and reads no message. Begin with `supervisor.ts`. What only a role needs is loaded
 * by it.
 */
import type { Config } from '../config/index.ts';
import type { QueueRoom } from '../queue/index.ts';
import type { ControlReply } from './control.ts';
import type { Heartbeat, Trouble } from './heartbeat.ts';
import type { Measured } from './metrics.ts';
import type { Monitoring, MonitoringParts } from './monitoring.ts';
import type { Probed } from './probes.ts';
import type { RoleName } from './protocol.ts';
import type { RoleContext, RoleParts } from './role.ts';

/** As `runRole` of `role.ts`. */
export async function runRole(
  name: RoleName,
  build: (context: RoleContext) => Promise<RoleParts>,
): Promise<void> {
  const role = await import('./role.ts');
  await role.runRole(name, build);
}

/** As `collectMetrics` of `metrics.ts`. */
export async function collectMetrics(queue: QueueRoom): Promise<{ contentType: string; text: string }> {
  const metrics = await import('./metrics.ts');
  return await metrics.collectMetrics(queue);
}

/** As `probes.ts`: of this process, or of the whole installation. */
export async function probe(queue: QueueRoom, config: Config, whole: boolean): Promise<Probed> {
  const probes = await import('./probes.ts');
  return whole ? await probes.probeAll(queue, config) : await probes.probeSelf(queue);
}

/** See `monitoring` in `monitoring.ts`. */
export async function loadMonitoring(parts: MonitoringParts): Promise<Monitoring> {
  const { monitoring } = await import('./monitoring.ts');
  return monitoring(parts);
}

/** As `readMetrics` of `metrics.ts`. */
export async function readMetrics(queue: QueueRoom, names: readonly string[]): Promise<Measured[]> {
  const metrics = await import('./metrics.ts');
  return await metrics.readMetrics(queue, names);
}

/** `Supervisor` of `supervisor.ts`. No role needs it, and it takes a dozen files along. */
export async function loadSupervisor(): Promise<typeof import('./supervisor.ts')> {
  return await import('./supervisor.ts');
}

/** As `askReload` of `control.ts`. */
export async function askReload(dataDir: string): Promise<ControlReply[]> {
  const control = await import('./control.ts');
  return await control.askReload(dataDir);
}

/** As `askLevels` of `control.ts`. */
export async function askLevels(dataDir: string, changes: string): Promise<ControlReply[]> {
  const control = await import('./control.ts');
  return await control.askLevels(dataDir, changes);
}

/** As `readHeartbeats` of `heartbeat.ts`. */
export async function readHeartbeats(queue: QueueRoom): Promise<Heartbeat[]> {
  const heartbeat = await import('./heartbeat.ts');
  return await heartbeat.readHeartbeats(queue);
}

/** `checks.ts`: asks for a check, and reads what was found. */
export async function loadChecks(): Promise<typeof import('./checks.ts')> {
  return await import('./checks.ts');
}

export { hasWork, type RoleName, roleNames } from './protocol.ts';
export type { RoleContext } from './role.ts';
export type { Heartbeat, Measured, Trouble };
