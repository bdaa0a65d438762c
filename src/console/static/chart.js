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
        axes: [axis, { ...axis, size: 60 }],
        series: [
          { value: '{YYYY}-{MM}-{DD} {HH}:{mm}' },
          ...names.slice(1).map((label, at) => ({
            label,
            stroke: strokes[at % strokes.length] ?? '#000',
            width: 2,
            points: { show: false },
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
