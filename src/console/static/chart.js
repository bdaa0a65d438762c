// @ts-check
/**
 * Draws the chart above a table with [data-chart]: its first column is the time (a <time>), the others are numbers. The
 * table stays: it is what is read without this script, and by screen readers.
 */

(() => {
  /** Colours that differ in lightness as well, in both schemes. */
  const strokes = ['#1f78d1', '#2a9d62', '#b8860b', '#a35bd6', '#d64541', '#e07bb0'];

  /** @param {string} name */
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /** @param {number} at seconds @returns `2026-11-30T08:47` */
  const iso = (at) => new Date(at * 1000).toISOString().slice(0, 16);

  /** There is no half message. */
  const wholes = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000].flatMap((each) => [each, 2 * each, 5 * each]);

  /** Times of an axis as `08:00`, with the day below the first one and each midnight. */
  const ticks = (/** @type {unknown} */ _, /** @type {number[]} */ splits) =>
    splits.map((at, place) => {
      const [day = '', time = ''] = iso(at).split('T');
      return place === 0 || time === '00:00' ? `${time}\n${day}` : time;
    });

  /** @param {HTMLTableElement} table */
  const draw = (table) => {
    const room = table.closest('.wide');
    if (room === null || typeof uPlot === 'undefined') return;
    const names = [...table.querySelectorAll('thead th')].map((each) => each.textContent ?? '');
    const rows = [...table.querySelectorAll('tbody tr')].map((row) => [...row.querySelectorAll('td')]);
    const times = rows.map(([first]) => Date.parse(first?.querySelector('time')?.dateTime ?? '') / 1000);
    const numbers = names
      .slice(1)
      .map((_, at) => rows.map((cells) => Number((cells[at + 1]?.textContent ?? '').replaceAll(',', ''))));
    const before = room.previousElementSibling;
    if (before?.classList.contains('chart')) before.remove();
    const place = document.createElement('div');
    place.className = 'chart';
    place.setAttribute('aria-hidden', 'true');
    room.before(place);
    const axis = {
      stroke: colour('--dim'),
      grid: { stroke: colour('--line'), width: 1 },
      ticks: { show: false },
    };
    const chart = new uPlot(
      {
        width: room.clientWidth,
        height: 240,
        tzDate: (/** @type {number} */ at) => uPlot.tzDate(new Date(at * 1000), 'Etc/UTC'),
        cursor: { drag: { x: false, y: false } },
        scales: { y: { range: (_, __, most) => [0, Math.max(1, most * 1.05)] } },
        axes: [
          { ...axis, values: ticks },
          { ...axis, size: 60, incrs: wholes },
        ],
        series: [
          {
            label: '',
            value: (/** @type {unknown} */ _, /** @type {number | null} */ at) =>
              at === null ? '' : iso(at).replace('T', ' '),
          },
          ...names.slice(1).map((label, at) => ({
            label,
            stroke: strokes[at % strokes.length] ?? '#000',
            width: 2,
            points: { show: false },
            // nothing until the cursor stands somewhere
            value: (/** @type {unknown} */ _, /** @type {number | null} */ each) => String(each ?? ''),
          })),
        ],
      },
      [times, ...numbers],
      place,
    );
    new ResizeObserver(() => chart.setSize({ width: room.clientWidth, height: 240 })).observe(room);
  };

  const all = () => {
    for (const table of document.querySelectorAll('table[data-chart]'))
      if (table instanceof HTMLTableElement) draw(table);
  };
  all();
  document.addEventListener('console:fresh', all);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', all);
})();
