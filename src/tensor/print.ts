/**
 * Printing tensors: aligned columns, four decimals, scientific where sizes differ much, and only the borders of large
 * ones. The form is PyTorch's, with dtype and shape at the end.
 */
import { type DType, type HostArray, isFloat } from '../graph/dtype.ts';
import { reader, shapeText } from './convert.ts';

/** Beyond this many elements only `EDGE` at each end of a dim are shown. */
const THRESHOLD = 1000;
const EDGE = 3;
const LINE = 80;

/** Positions shown along a dim; -1 stands for the gap. */
function shown(size: number, summarise: boolean): number[] {
  const all = Array.from({ length: size }, (_, i) => i);
  if (!summarise || size <= 2 * EDGE) return all;
  return [...all.slice(0, EDGE), -1, ...all.slice(size - EDGE)];
}

function special(value: number): string | null {
  if (Number.isNaN(value)) return 'nan';
  if (value === Number.POSITIVE_INFINITY) return 'inf';
  if (value === Number.NEGATIVE_INFINITY) return '-inf';
  return null;
}

const scientific = (value: number): string =>
  value.toExponential(4).replace(/e([+-])(\d)$/, (_, sign: string, digit: string) => `e${sign}0${digit}`);

/** How floats of this collection print: whole numbers as `1.`, others with four decimals or in scientific form. */
function floatFormat(values: readonly number[]): (value: number) => string {
  const finite = values.filter(value => Number.isFinite(value) && value !== 0).map(Math.abs);
  const largest = Math.max(0, ...finite);
  const smallest = Math.min(Number.POSITIVE_INFINITY, ...finite);
  const whole = values.every(value => !Number.isFinite(value) || Number.isInteger(value));
  let body: (value: number) => string;
  if (whole) body = largest >= 1e8 ? scientific : value => `${Object.is(value, -0) ? '-0' : value}.`;
  else if (largest / smallest > 1000 || largest > 1e8 || smallest < 1e-4) body = scientific;
  else body = value => value.toFixed(4);
  return value => special(value) ?? body(value);
}

/** The text of a tensor, `tensor([[1.0000, 2.0000]], f32 [1, 2])`. */
export function formatTensor(data: HostArray, shape: readonly number[], dtype: DType): string {
  const size = data.length;
  const read = reader(dtype, data);
  const summarise = size > THRESHOLD;
  const suffix = `, ${dtype} ${shapeText(shape)})`;
  if (size === 0) return `tensor([]${suffix}`;

  const visible: number[] = [];
  const collect = (depth: number, base: number): void => {
    if (depth === shape.length) {
      visible.push(read(base));
      return;
    }
    const stride = shape.slice(depth + 1).reduce((a, n) => a * n, 1);
    for (const i of shown(shape[depth]!, summarise)) if (i >= 0) collect(depth + 1, base + i * stride);
  };
  collect(0, 0);

  const element = isFloat(dtype)
    ? floatFormat(visible)
    : dtype === 'bool'
      ? (value: number) => (value ? 'true' : 'false')
      : (value: number) => String(value);
  const width = shape.length === 0 ? 0 : Math.max(...visible.map(value => element(value).length));

  const level = (depth: number, base: number): string => {
    if (depth === shape.length) return element(read(base)).padStart(width);
    const stride = shape.slice(depth + 1).reduce((a, n) => a * n, 1);
    const parts = shown(shape[depth]!, summarise).map(i => (i < 0 ? '...' : level(depth + 1, base + i * stride)));
    const indent = ' '.repeat('tensor('.length + depth + 1);
    if (depth < shape.length - 1) {
      const blank = '\n'.repeat(shape.length - 1 - depth);
      return `[${parts.join(`,${blank}${indent}`)}]`;
    }
    const perLine = Math.max(1, Math.floor((LINE - indent.length) / (width + 2)));
    const lines: string[] = [];
    for (let i = 0; i < parts.length; i += perLine) lines.push(parts.slice(i, i + perLine).join(', '));
    return `[${lines.join(`,\n${indent}`)}]`;
  };
  return `tensor(${level(0, 0)}${suffix}`;
}
