/**
 * What runs in a report's page: turns the charts' data into Chart.js charts. Plain JavaScript, because it stands in the
 * page as it is.
 */
export const PAGE_SCRIPT = `
const { charts } = JSON.parse(document.getElementById('report').textContent);
const style = getComputedStyle(document.documentElement);
const color = name => style.getPropertyValue(name).trim();
const palette = ['--series-1', '--series-2', '--series-3'].map(color);
Chart.defaults.font.family = style.fontFamily;
Chart.defaults.color = color('--muted');
Chart.defaults.borderColor = color('--grid');
Chart.defaults.animation = false;

const short = value => Math.abs(value) >= 10000 ? value.toLocaleString('en-US', { notation: 'compact' }) : Number(value.toPrecision(4)).toLocaleString('en-US');

function dataset(chart, series, i) {
  const hue = series.reference ? color('--muted') : palette[i % palette.length];
  const data = chart.type === 'scatter' ? series.values.map(([x, y]) => ({ x, y })) : series.values;
  const bars = chart.type === 'bar' || chart.type === 'horizontal';
  return {
    label: series.name, data, borderColor: hue, backgroundColor: hue,
    borderWidth: bars ? 0 : 2, borderDash: series.reference ? [5, 5] : undefined,
    pointRadius: series.reference || data.length > 60 ? 0 : 3, showLine: chart.type !== 'bar', spanGaps: true,
    maxBarThickness: 36, borderRadius: 3,
  };
}

charts.forEach((chart, i) => {
  const sideways = chart.type === 'horizontal';
  const axis = (text, more = {}) => ({ title: { display: text !== '', text }, ...more });
  const numbers = { ticks: { callback: value => short(Number(value)) } };
  // Day and time one below the other, so that labels need not lie aslant.
  const labels = { maxRotation: 0, autoSkipPadding: 16, callback(value) { return this.getLabelForValue(value).split(' ').reverse(); } };
  // What was predicted against what came: on one scale, so that the reference is the diagonal.
  const ends = chart.type === 'scatter' ? chart.series.flatMap(({ values }) => values.flat()) : [];
  const margin = 0.04 * (Math.max(...ends) - Math.min(...ends));
  const range = ends.length > 0 ? { min: Math.max(0, Math.min(...ends) - margin), max: Math.max(...ends) + margin } : {};
  const rounded = { ...numbers, ...range, ticks: { ...numbers.ticks, includeBounds: false } };
  new Chart(document.getElementById('chart-' + i), {
    type: sideways ? 'bar' : chart.type,
    data: { labels: chart.labels, datasets: chart.series.map((series, s) => dataset(chart, series, s)) },
    options: {
      maintainAspectRatio: false,
      indexAxis: sideways ? 'y' : 'x',
      interaction: { mode: chart.type === 'scatter' ? 'nearest' : 'index', intersect: false },
      plugins: {
        legend: { display: chart.series.length > 1, position: 'bottom', labels: { boxWidth: 18, boxHeight: chart.type === 'bar' ? 10 : 0 } },
        tooltip: { callbacks: { label: item => item.dataset.label + ': ' + (chart.type === 'scatter' ? short(item.parsed.x) + ' predicted, ' + short(item.parsed.y) + ' observed' : short(sideways ? item.parsed.x : item.parsed.y)) } },
      },
      scales: {
        x: axis(chart.x, sideways || chart.type === 'scatter' ? rounded : { grid: { display: false }, ticks: labels }),
        y: axis(chart.y, sideways ? { grid: { display: false }, ticks: { autoSkip: false } } : { ...rounded, beginAtZero: chart.zero ?? false }),
      },
    },
  });
});
document.documentElement.dataset.drawn = String(charts.length);
`;
