import { createHmac } from 'node:crypto';

/**
 * The value of the `Sealpost-Signature` field: `t=<unix seconds>,v1=<hex>`, where v1 is HMAC-SHA-256 under the shared
 * secret over the time as written, a dot, and the body as sent. A receiver computes the same value, compares in
 * constant time, and refuses times that are minutes off.
 */
export function webhookSignature(secret: string, seconds: number, body: Buffer): string {
  const mac = createHmac('sha256', secret).update(`${seconds}.`, 'latin1').update(body).digest('hex');
  return `t=${seconds},v1=${mac}`;
}
