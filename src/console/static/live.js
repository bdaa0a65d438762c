// @ts-check
/**
 * Brings parts of a page up to date: [data-live], each with an id. Events of the console say that something happened; where
 * there is no stream, the page is asked every ten seconds. Without this script, one loads the page again.
 */

(() => {
  const pollEvery = 10_000;
  const atMostEvery = 1500;
  /** The server beats at once, and every 15 seconds. */
  const firstBeat = 10_000;
  const beatLasts = 40_000;
  if (document.querySelector('[data-live]') === null) return;

  const sign = document.createElement('span');
  sign.className = 'stream';
  document.querySelector('main')?.prepend(sign);

  let last = performance.now();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let waiting;
  let failures = 0;

  /** @param {string} text */
  const say = (text) => {
    sign.textContent = text;
  };

  /**
   * What a person is writing in or reads with a screen reader is left alone.
   * @param {Element} part
   */
  const isBusy = (part) => document.activeElement !== null && part.contains(document.activeElement);

  const refresh = async () => {
    waiting = undefined;
    last = performance.now();
    // It does not count as something that the person does: the login ends by itself some day.
    const headers = { accept: 'text/html', 'sealpost-refresh': 'yes' };
    const answer = await fetch(location.href, { headers });
    if (!answer.ok || answer.redirected) throw new Error('logged out');
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    for (const part of document.querySelectorAll('[data-live]')) {
      const fresh = page.getElementById(part.id);
      if (fresh === null || isBusy(part) || fresh.innerHTML === part.getAttribute('data-was')) continue;
      const was = fresh.innerHTML;
      fresh.setAttribute('data-was', was);
      part.replaceWith(fresh);
    }
    document.dispatchEvent(new Event('console:fresh'));
  };

  const soon = () => {
    if (waiting !== undefined || document.hidden) return;
    const wait = Math.max(0, last + atMostEvery - performance.now());
    waiting = setTimeout(() => {
      refresh().catch(() => say('not up to date: load the page again'));
    }, wait);
  };

  const poll = () => {
    say('up to date every 10 s');
    soon();
    setInterval(soon, pollEvery);
  };

  if (typeof EventSource === 'undefined') {
    poll();
    return;
  }
  const stream = new EventSource('/events');
  let heard = performance.now();
  let patience = firstBeat;
  /** @type {number | undefined} */
  let opened;
  let hasBeenOpen = false;
  const giveUp = () => {
    clearInterval(watch);
    stream.close();
    poll();
  };
  // A proxy may hold back what comes: its beats are not heard then.
  const watch = setInterval(() => {
    if (performance.now() - heard > patience) giveUp();
  }, 1000);
  /** @param {number} lasts */
  const hear = (lasts) => {
    heard = performance.now();
    patience = lasts;
  };
  stream.onopen = () => {
    opened = performance.now();
    hear(firstBeat);
    // What happened while there was no stream.
    if (hasBeenOpen) soon();
    hasBeenOpen = true;
  };
  stream.addEventListener('beat', () => {
    hear(beatLasts);
    say('live');
  });
  stream.onmessage = () => {
    hear(beatLasts);
    soon();
  };
  stream.addEventListener('missed', soon);
  // Or it cuts what lasts. Whoever comes back three times without having heard anything for a while asks instead.
  stream.onerror = () => {
    const lasted = opened === undefined ? 0 : performance.now() - opened;
    opened = undefined;
    failures = lasted > beatLasts ? 1 : failures + 1;
    if (failures >= 3) giveUp();
  };
  document.addEventListener('visibilitychange', soon);
  // what changes without an event, such as how long ago something was
  setInterval(soon, 60_000);
})();
