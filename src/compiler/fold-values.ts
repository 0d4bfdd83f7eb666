/**
 * What can be read off a value without computing it. Imports the flow.
 */
import type { Value } from './flow.ts';

/** The literal every element equals, where the value is one literal spread out; else null. */
export function uniform(value: Value): number | bigint | null {
  let v = value;
  for (;;) {
    if (v.leaf >= 0) return null;
    if (v.is('constant')) return v.attrs.value;
    if (v.is('reshape') || (v.is('reindex') && v.attrs.axes.length === 0)) v = v.inputs[0]!;
    else return null;
  }
}
