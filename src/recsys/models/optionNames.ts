/** Names of the options that models share; each model adds its own where it checks them. */

/** Of ModelOptions. */
export const MODEL = ['schema', 'dim'] as const;

/** Of DeepOptions. */
export const DEEP = [...MODEL, 'hidden', 'dropout'] as const;
