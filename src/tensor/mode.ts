/**
 * The mode epoch: a number that changes whenever some module switches between training and evaluation or is frozen. A program
 * recorded in one mode is wrong in another, so compiled functions record anew when it has changed. Imports nothing.
 */

let epoch = 0;

export const modeEpoch = (): number => epoch;

export function bumpModeEpoch(): void {
  epoch++;
}
