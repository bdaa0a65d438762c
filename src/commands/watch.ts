/** What goes on until somebody ends it: Ctrl-C, SIGTERM, or the reader of a pipe who goes. */
import { outputGone, type Piece, styled, terminal, writeText } from './output.ts';

const every = 2000;

/** @param round is called now and every two seconds */
export async function repeat(round: () => Promise<void>, ms = every): Promise<void> {
  const ended = Promise.withResolvers<'ended'>();
  const end = () => ended.resolve('ended');
  process.once('SIGINT', end).once('SIGTERM', end);
  void outputGone.then(end);
  try {
    for (;;) {
      await round();
      let timer: NodeJS.Timeout | undefined;
      const pause = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, ms);
      });
      const over = await Promise.race([ended.promise, pause]);
      clearTimeout(timer);
      if (over === 'ended') return;
    }
  } finally {
    process.off('SIGINT', end).off('SIGTERM', end);
  }
}

const alternate = '\u001b[?1049h\u001b[?25l';
const usual = '\u001b[?25h\u001b[?1049l';
const home = '\u001b[H';
/** Clears the rest of the line; the rest of the screen. */
const restOfLine = '\u001b[K';
const restOfScreen = '\u001b[J';

/**
 * Draws on the terminal again and again, on a screen of its own; afterwards the terminal is as it was.
 *
 * @param draw the lines; those that do not fit are left out at the bottom
 */
export async function onScreen(draw: () => Promise<Piece[][]>, ms?: number): Promise<void> {
  writeText(alternate);
  try {
    await repeat(async () => {
      const lines = (await draw()).slice(0, terminal()?.rows);
      // No line break after the last one: it would scroll.
      const text = lines.map((line) => `${styled(line)}${restOfLine}`).join('\r\n');
      writeText(`${home}${text}${restOfScreen}`);
    }, ms);
  } finally {
    writeText(usual);
  }
}
