/**
 * What a failure of a running program says: `what` names the operation, or is a whole sentence (`operation: what is
 * wrong`) in which {} is the value.
 */
export const failureText = (what: string, value: number | bigint, size: number): string =>
  what.includes(': ')
    ? what.replace('{}', String(value))
    : `${what}: index ${value} is out of range for ${size} elements`;
