/**
 * The mode epoch: a number that stands for which modules train and which evaluate, and what is frozen. A program
 * recorded in one mode is wrong in another, so compiled functions record anew when it has changed.
 */
import { changes } from '../graph/changes.ts';

let epoch = 0;
let newest = 0;

/** The last switch: which modules or parameters changed, and the epochs on both sides of it. */
let last: { readonly switched: readonly object[]; before: number; after: number } | null = null;

export const modeEpoch = (): number => epoch;

/** Something has changed that no switch takes back: hooks, or parameters themselves. */
export function bumpModeEpoch(): void {
  changes.modes++;
  epoch = ++newest;
}

/**
 * The training flags of exactly these modules have been switched, or whether these parameters are frozen. Switching the
 * same ones back restores the epoch they had, so that evaluating between epochs of training records neither anew.
 */
export function modeSwitched(switched: readonly object[]): void {
  changes.modes++;
  if (last?.after === epoch && areSame(last.switched, switched)) {
    last = { switched, before: last.after, after: last.before };
    epoch = last.after;
    return;
  }
  last = { switched, before: epoch, after: ++newest };
  epoch = newest;
}

const areSame = (a: readonly object[], b: readonly object[]): boolean =>
  a.length === b.length && a.every((one, i) => one === b[i]);
