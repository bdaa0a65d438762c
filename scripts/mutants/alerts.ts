/** Mutants of alerts, probes, notices, and what the log says. */
import { mutants } from './mutant.ts';

export const alerts = mutants('alert', [
  [
    'alert/judge.ts',
    'if (now - goodSince < rule.clearFor)',
    'if (now - goodSince > rule.clearFor)',
    'alert/judge',
    'an alert ends before it has been good for long enough',
  ],
  [
    'alert/judge.ts',
    'if (silenced) return { state };',
    '',
    'alert/judge',
    'who asked for silence is told all the same',
  ],
  [
    'alert/measures.ts',
    '.filter(({ record }) => !isPaused(record))',
    '',
    'alert/evaluator~has.paused',
    'what a person has paused is overdue',
  ],
  [
    'alert/certificates.ts',
    '...seen.filter((each) => each.seen > now - lifetimes.listSeen),',
    '...seen,',
    'alert/evaluator~knows.what.ends',
    'a list that nobody has any more is an alert for a day',
  ],
  [
    'alert/silences.ts',
    'if (until - now > longest)',
    'if (until - now < 0)',
    'alert/evaluator~on.record',
    'a silence lasts for ever',
  ],
  [
    'alert/evaluator.ts',
    'if (samples !== null) round.judge(rule, samples);',
    'round.judge(rule, samples ?? []);',
    'alert/evaluator~nobody.is.there',
    'what is not known counts as good',
  ],
  [
    'alert/courier.ts',
    'if (!isTest && this.#delivered.length >= channel.perHour)',
    'if (!isTest && this.#delivered.length > channel.perHour)',
    'alert/evaluator~so.many.in.an.hour',
    'one mail more than allowed',
  ],
  [
    'queue/job-log.ts',
    "const key = [kind, owner.mailbox, owner.destination, owner.partner, reason].join('\\n');",
    'const key = kind;',
    'queue/job-log~hides.nothing',
    'a flood of one partner hides the lines of another',
  ],
]);
