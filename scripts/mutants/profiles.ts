/** Mutants of profiles: what holds on a day, what is counted, and who would fail. */
import { mutants } from './mutant.ts';

export const profiles = [
  ...mutants('profile', [
    [
      'profile/rules.ts',
      'time >= beginOf(rule.until)',
      'time > beginOf(rule.until)',
      'profile/rules~first.day',
      'two rules hold on the day of a change',
    ],
    [
      'profile/rules.ts',
      "const level = rule.unverified === true && dated === undefined ? 'should' : rule.level;",
      'const { level } = rule;',
      'profile/rules~unverified',
      'a rule that nobody read refuses mail',
    ],
    [
      'profile/rules.ts',
      '(bits !== null && bits >= least)',
      '(bits !== null && bits >= least - 1)',
      'profile/rules',
      'a key that is one bit short is long enough',
    ],
    [
      'profile/rules.ts',
      'new Set(order).size < 2 ||',
      'order.length > 2 ||',
      'profile/rules~order',
      'a message that was signed again around its encryption has the order demanded',
    ],
    [
      'profile/rules.ts',
      '.filter((held) => isAbout(held, direction))\n    .flatMap((held) => {\n      const found',
      '.flatMap((held) => {\n      const found',
      'profile/rules~direction',
      'what an old partner can read is demanded of what it sends',
    ],
    [
      'profile/rules.ts',
      '...(rule.uses.includes(use) ? [certificate] : []),',
      'certificate,',
      'profile/certificates',
      'a certificate is judged by a rule for its authority',
    ],
    [
      'profile/code.ts',
      "claimed ? 'c' : 'i'",
      "'i'",
      'profile/code~claimed pipeline/decode~minimum',
      'mail that anybody wrote counts as proof of what a partner does',
    ],
    [
      'profile/traffic.ts',
      "level: claimed ? 'should' : missed.level,",
      'level: missed.level,',
      'commands/profiles~address.alone',
      'a forged From makes a partner fail',
    ],
  ]),
  ...mutants('smime', [
    [
      'smime/verdict/used.ts',
      'layer.signers.filter((signer) => signer.valid)',
      'layer.signers',
      'smime/presets~beforehand',
      'a signature that is not valid counts as one',
    ],
  ]),
  ...mutants('queue', [
    [
      'queue/lua.ts',
      'if owner == partner and before and string.find(before, \'"used":"\' .. code .. \'"\', 1, true) then return end',
      '',
      'queue/used~once',
      'a message that was suspended and resumed counts twice',
    ],
    [
      'queue/lua.ts',
      'local room, claimed = 64 + rcall',
      'local room, claimed = 64000 + rcall',
      'queue/used~64',
      'a sender fills Redis with ways of protection',
    ],
    [
      'queue/lua.ts',
      'if room < 0 or claimed < 0 then',
      'if room < 0 then',
      'attacks/claimed-traffic~room-taken',
      'mail that only claims to be from a partner hides its own',
    ],
  ]),
  ...mutants('partner', [
    [
      'partner/assess.ts',
      ".filter(({ level }) => level === 'must')",
      '',
      'pipeline/decode~minimum',
      'a recommendation suspends mail',
    ],
    [
      'partner/assess.ts',
      '[minimumProfile, ...claimed.map((partner) => partner.minimumProfile)]',
      '[minimumProfile]',
      'pipeline/decode~minimum',
      "what is demanded of a partner's mail is not looked at",
    ],
    [
      'partner/readiness.ts',
      "needs.every(({ level }) => level !== 'must')",
      'true',
      'commands/profiles',
      'nobody is told that a partner would fail',
    ],
  ]),
];
