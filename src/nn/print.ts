/**
 * What `String(model)` and `console.log(model)` show: the tree of modules with their settings, in the manner of
 * `torch.nn.Module.__repr__`. Reads fields only: no value is computed.
 */
import { Parameter } from '../tensor/index.ts';
import type { AnyModule } from './module.ts';

type Setting = boolean | number | string | readonly (number | string)[];

const isSetting = (value: unknown): value is Setting =>
  ['boolean', 'number', 'string'].includes(typeof value) ||
  (Array.isArray(value) && value.every(item => typeof item === 'number' || typeof item === 'string'));

const isPlain = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;

const text = (value: Setting): string => {
  if (typeof value === 'string') return `'${value}'`;
  return typeof value === 'object' ? `[${value.join(', ')}]` : String(value);
};

/**
 * Settings among the fields of a module, with those of its groups of options (a convolution's geometry) when `deep`.
 */
function settingsOf(fields: object, deep: boolean): string[] {
  return Object.entries(fields).flatMap(([name, value]) => {
    if (name === 'training') return [];
    if (deep && isPlain(value)) return settingsOf(value, deep);
    return isSetting(value) ? [`${name}=${text(value)}`] : [];
  });
}

/**
 * See Module.extraRepr. A layer says all; a module of modules only its own fields, as its configuration is what its
 * children show; one that has neither settings nor children the shapes of its parameters.
 */
export function describeSettings(module: AnyModule): string {
  const isLayer = module.children().length === 0;
  const settings = settingsOf(module, isLayer);
  if (isLayer && settings.length === 0)
    for (const [name, value] of Object.entries(module))
      if (value instanceof Parameter) settings.push(`${name}=[${value.shape.join(', ')}]`);
  if ('bias' in module && module.bias === null) settings.push('bias=false');
  return settings.join(', ');
}

interface Child {
  readonly first: string;
  readonly last: string;
  readonly repeats: number;
  readonly text: string;
}

/** Children that print alike and follow one another, such as a transformer's blocks, are one entry. */
function collapse(children: readonly (readonly [string, AnyModule])[]): Child[] {
  const entries: Child[] = [];
  for (const [key, module] of children) {
    const text = describe(module);
    const before = entries.at(-1);
    if (before?.text === text && Number(key) === Number(before.last) + 1)
      entries[entries.length - 1] = { ...before, last: key, repeats: before.repeats + 1 };
    else entries.push({ first: key, last: key, repeats: 1, text });
  }
  return entries;
}

/** See Module.toString. */
export function describe(module: AnyModule): string {
  const { name } = module.constructor;
  const settings = module.extraRepr();
  const children = collapse(module.namedChildren());
  if (children.length === 0) return `${name}(${settings})`;
  const lines = children.map(({ first, last, repeats, text }) =>
    repeats === 1 ? `(${first}): ${text}` : `(${first}-${last}): ${repeats} x ${text}`,
  );
  if (settings) lines.unshift(settings);
  return `${name}(\n${lines.join('\n').replace(/^/gm, '  ')}\n)`;
}
