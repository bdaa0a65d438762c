/** The dialogue with a server, line by line, without secrets. */

/** Told of each line: `>` what we say, `<` what the server says. */
export type Trace = (direction: '>' | '<', line: string) => void;

/** As nodemailer's logger. What follows AUTH is masked until the server has decided. */
export function traceLogger(trace: Trace) {
  let secret = false;
  const debug = (entry: unknown, ...text: unknown[]) => {
    const tnx: unknown = typeof entry === 'object' && entry !== null && 'tnx' in entry ? entry.tnx : '';
    const [message] = text;
    if (typeof message !== 'string') return;
    for (const line of message.split(/\r?\n/)) {
      if (tnx === 'client') {
        const auth = /^AUTH [A-Z0-9-]+/i.exec(line)?.[0];
        if (auth !== undefined) trace('>', `${auth} ***`);
        else trace('>', secret ? '***' : line);
        secret ||= auth !== undefined;
      } else if (tnx === 'server') {
        // a challenge may repeat what we said
        const goesOn = secret && line.startsWith('334');
        trace('<', goesOn ? '334 ***' : line);
        secret = goesOn;
      }
    }
  };
  const nothing = () => {};
  return {
    level: nothing,
    trace: nothing,
    debug,
    info: nothing,
    warn: nothing,
    error: nothing,
    fatal: nothing,
  };
}
