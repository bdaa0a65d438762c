/** What every answer of the console says to the browser. */

/** No inline script or style, nobody else's files, no frame around it, and no base that turns links elsewhere. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ');

const always = {
  'Content-Security-Policy': policy,
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  // With no-referrer, browsers would send forms with Origin: null.
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), microphone=(), geolocation=(), payment=()',
};

/** @param secure over TLS */
export function headersOf(secure: boolean): Record<string, string> {
  return { ...always, ...(secure && { 'Strict-Transport-Security': 'max-age=31536000' }) };
}

/** A page contains what only its reader may see. */
export const noStore = 'no-store';
