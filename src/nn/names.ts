/**
 * The one rule between property names and state-dict keys: properties are camelCase, keys are PyTorch's snake_case, so
 * `runningMean` is saved as `running_mean` and `weightIhL0` as `weight_ih_l0`. Names without capitals (`fc1`, `ln_1`,
 * `0`) stay as they are. Imports nothing.
 */

/** The state-dict key of a property name. */
export const keyOf = (property: string): string => property.replace(/[A-Z]/g, capital => `_${capital.toLowerCase()}`);

/** `prefix.name`, or the one that is there. */
export const joinKey = (prefix: string, name: string): string => (prefix ? `${prefix}.${name}` : name);
